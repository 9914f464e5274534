"""Colours and names of classes of the figures of analyses; their style is that of `ltray.figures.style`."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ltray.figures import style
from ltray.figures.style import GROUPS, MARKERS, name_text

INK, SOFT, ACCENT, LIGHT, BAR = "#222222", "#666666", "#cc79a7", "#dddddd", "#56b4e9"
# Tol's "muted" colours for ten classes, the last one black.
TEN = ("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499", "#000000")
SEQUENTIAL, DIVERGING, HEAT = "Blues", "RdBu", "cividis"
LONGEST = 18  # characters of a name
BOUNDS: Mapping[str, str] = {"many": "many (> 100)", "medium": "medium (20 to 100)", "few": "few (< 20)"}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; to be used inside `paper_style`.

    Args:
        width: In inches, `COLUMN` or `TWO_COLUMNS` of the style.
        height: In inches.
    """
    return style.new_figure(width=width, height=height)


def names_of(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Return the names of classes for a figure, shortened where they are long."""
    return [name_text(name, longest) for name in names]


def group_legend(figure: Figure, groups: Sequence[str]) -> None:
    """Add the key of the groups' colours and markers below a figure."""
    handles = [
        Line2D([], [], color=GROUPS[one], marker=MARKERS[one], linestyle="", markersize=4, label=BOUNDS[one])
        for one in groups
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2, columnspacing=1.0)
