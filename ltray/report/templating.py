"""The templates of the page: all values are escaped, an unknown name is an error."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ltray.printable import printable, printable_lines


@cache
def environment() -> Environment:
    """Return the environment of the templates."""
    found = Environment(
        loader=PackageLoader("ltray.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["lines"] = _lines
    return found


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return a template with its values.

    Raises:
        jinja2.UndefinedError: The template contains a name without a value.
    """
    return environment().get_template(template).render(values)


def _shown(value: Any) -> Any:
    """Return text with its control characters escaped; markup of other templates is unchanged."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lines(text: str) -> Markup:
    """Return text of several lines, escaped, with its line ends."""
    return escape(printable_lines(text))
