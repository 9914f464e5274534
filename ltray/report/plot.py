"""A figure of the page: drawn by plotly in the browser, with a description for readers who cannot see it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ltray.printable import printable
from ltray.report.script import json_for_script
from ltray.report.theme import colour

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HEIGHT = 300  # pixels
MARKUP = ("hovertemplate", "bdata")
"""Keys whose strings are code of this package; plotly reads all others as a subset of HTML, so they are escaped."""
LONGEST = 24  # characters of a name on an axis or in a legend

_AXIS = {"gridcolor": colour("line"), "linecolor": colour("grey"), "zeroline": False, "automargin": True}
STYLE: Mapping[str, Any] = {
    "font": {"family": "system-ui, sans-serif", "size": 12, "color": colour("soft")},
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "margin": {"l": 56, "r": 12, "t": 10, "b": 40},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    "hoverlabel": {"bgcolor": colour("card"), "bordercolor": colour("grey"), "font": {"color": colour("ink")}},
    "hovermode": "closest",
    "dragmode": False,
    "xaxis": {**_AXIS, "title": {"standoff": 8}, "showgrid": False, "showline": True},
    "yaxis": {**_AXIS, "title": {"standoff": 8}},
}
"""The layout of every figure; it is added to the JSON, because plotly's objects would check it again for each."""


@dataclass(frozen=True)
class Plot:
    """A figure with its text alternative.

    Attributes:
        figure: The figure; colours are those of `theme.colour`.
        label: What it shows, for readers who cannot see it.
        height: In pixels.
        title: Its heading; empty: none.
    """

    figure: "Figure"
    label: str
    height: int = HEIGHT
    title: str = ""

    def json(self) -> Markup:
        """Return traces and layout as JSON that can be the content of a script element."""
        content = json.loads(self.figure.to_json(validate=False))
        content["layout"].pop("template", None)  # plotly's own style
        return json_for_script(_escaped({"data": content["data"], "layout": _merged(STYLE, content["layout"])}))


def new_figure(x: str = "", y: str = "", *, legend: bool = False, left: int = 56) -> "Figure":
    """Return an empty figure in the style of the page.

    Args:
        x: Title of the horizontal axis.
        y: Title of the vertical axis.
        legend: Whether it has a legend, which is above the figure.
        left: Pixels for the labels of the vertical axis.
    """
    from plotly.graph_objects import Figure  # imported here: only a report needs it

    figure = Figure()
    figure.update_layout(
        margin={"l": left, "t": 34 if legend else 10},
        showlegend=legend,
        xaxis={"title": {"text": x}},
        yaxis={"title": {"text": y}},
    )
    return figure


def log_ticks(low: float, high: float) -> dict[str, Any]:
    """Return ticks at 1, 2 and 5 times powers of ten for a logarithmic axis between two positive ends."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 300 else (1,)
    places = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
    if len(places) < 2:
        places = sorted({low, high})
    return {"tickvals": places, "ticktext": [f"{place:.2g}" for place in places]}


def short(name: str, longest: int = LONGEST) -> str:
    """Return a name for an axis: printable, and with an ellipsis in its middle if it is too long."""
    shown = printable(name)
    if len(shown) <= longest:
        return shown
    kept = longest - 1
    return f"{shown[: (kept + 1) // 2]}…{shown[len(shown) - kept // 2 :]}"


def _merged(style: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return a layout with the values of the style that it does not have."""
    nested = {
        name: _merged(value, own[name])
        for name, value in style.items()
        if isinstance(value, Mapping) and isinstance(own.get(name), Mapping)
    }
    return {**style, **own, **nested}


def _escaped(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _escaped(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each, key) for each in value]
    if not isinstance(value, str) or key in MARKUP:
        return value
    return escape(printable(value), quote=False).replace("$", "&#36;")  # plotly reads text between two $ as TeX
