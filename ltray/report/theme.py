"""Colours of the page and its figures, for light and dark screens; CSS and figures take them from here."""

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "page": "#fbfbfa",
    "card": "#ffffff",
    "ink": "#1d2329",
    "soft": "#55606a",
    "line": "#dfe3e6",
    "grey": "#7b868f",
    "blue": "#2563b8",
    "orange": "#b8500a",
    "green": "#1a7a44",
    "red": "#b3261e",
    "purple": "#7a3fb0",
    "teal": "#0e7490",
}
DARK: Mapping[str, str] = {
    "page": "#14181c",
    "card": "#1c2126",
    "ink": "#e4e8eb",
    "soft": "#a9b4bd",
    "line": "#333b42",
    "grey": "#808b94",
    "blue": "#78aef5",
    "orange": "#f0975a",
    "green": "#63c78c",
    "red": "#f2857c",
    "purple": "#c39bf0",
    "teal": "#5cc4d8",
}
GROUPS: Mapping[str, str] = {"all": "ink", "many": "blue", "medium": "green", "few": "orange"}
"""The colour of each group of classes."""
SYMBOLS: Mapping[str, str] = {"all": "circle", "many": "circle", "medium": "square", "few": "diamond"}
"""The marker of each group, because not everyone can distinguish the colours."""
SERIES = ("blue", "orange", "green", "purple", "teal", "red", "grey")
"""The colours of things without an order, such as methods; they repeat after the last one."""


def colour(name: str) -> str:
    """Return a colour as CSS and as a figure's JSON contain it: `var(--blue)`, replaced when the figure is drawn.

    Raises:
        KeyError: There is no such colour.
    """
    LIGHT[name], DARK[name]
    return f"var(--{name})"


def series(place: int) -> str:
    """Return the colour of the thing at a place, from 0."""
    return colour(SERIES[place % len(SERIES)])


def css_variables(palette: Mapping[str, str]) -> str:
    """Return a palette as CSS declarations."""
    return " ".join(f"--{name}: {value};" for name, value in palette.items())
