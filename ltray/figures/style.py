"""The style of figures: width of a paper's column, colours for colour-blind readers, names of classes as text."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import Any

from matplotlib import get_data_path, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from ltray.printable import printable

COLUMN, TWO_COLUMNS = 3.35, 6.9
"""Width of a column and of a page of a paper, in inches."""
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")
"""The colours of Okabe and Ito, which colour-blind readers can tell from one another, without their yellow."""
GROUPS: Mapping[str, str] = {"all": "#000000", "many": "#0072b2", "medium": "#009e73", "few": "#d55e00"}
"""The colour of each group of classes."""
MARKERS: Mapping[str, str] = {"all": "o", "many": "o", "medium": "s", "few": "D"}
"""The marker of each group, for prints without colours."""
THEORY: Mapping[str, Any] = {"color": "#000000", "linestyle": "--", "linewidth": 0.9}
"""The line of a theoretical value."""
_NO_DATE: Mapping[str, Mapping[str, Any]] = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}}
FIGURE_FORMATS = tuple(_NO_DATE)
"""The suffixes of the files of a figure."""
NAMED = 30  # classes whose names fit along an axis
_LONGEST_NAME = 16
_STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # text that journals accept and readers can search
    "image.cmap": "viridis",
    "font.family": ["DejaVu Sans"],
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw and save figures in the block in the style of papers; the settings of the process are restored."""
    with rc_context(_STYLE):
        yield


def figure_files(figure: Figure) -> dict[str, bytes]:
    """Return a figure as PNG and PDF by suffix; the same figure gives the same bytes."""
    files = {}
    with paper_style():
        for suffix, metadata in _NO_DATE.items():
            content = BytesIO()
            figure.savefig(content, format=suffix, metadata=dict(metadata))
            files[suffix] = content.getvalue()
    return files


def new_figure(*, width: float = COLUMN, height: float = 2.3) -> Figure:
    """Return an empty figure, without a window.

    Args:
        width: In inches.
        height: In inches.
    """
    return Figure(figsize=(width, height))


def name_text(name: str, longest: int = _LONGEST_NAME) -> str:
    r"""Return a class name as it is drawn; characters that the font does not have as `\u....`.

    A dollar sign is escaped, because matplotlib reads text between two of them as mathematics.

    Args:
        name: The name.
        longest: Characters of the result, at least 8.
    """
    shown = "".join(
        character if ord(character) in _characters() else character.encode("unicode_escape").decode()
        for character in printable(name)
    )
    short = shown if len(shown) <= longest else f"{shown[: longest - 6]}…{shown[-5:]}"
    return short.replace("$", r"\$")


@cache
def _characters() -> frozenset[int]:
    """Return the code points of the characters of the font."""
    return frozenset(FT2Font(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf").get_charmap())


def name_classes(axis: Axes, names: Sequence[str], *, which: str = "x") -> None:
    """Label the classes along an axis with their names; with more than 30 classes, only the axis is labelled.

    Args:
        axis: The axes.
        names: Names in the order of the positions 0, 1, ….
        which: "x" or "y".
    """
    along = axis.xaxis if which == "x" else axis.yaxis
    if len(names) > NAMED:
        along.set_label_text(f"{len(names):,} classes, most frequent first")
        return
    along.set_label_text("class, the most frequent first")
    along.set_ticks(range(len(names)), [name_text(name) for name in names])
    if which == "x" and max(map(len, names)) > 2:
        axis.tick_params(axis="x", rotation=60, pad=1)
        for label in axis.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
