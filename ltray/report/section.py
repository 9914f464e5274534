"""A section of the page: a template with its values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltray.report.templating import rendered


@dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        name: Name of its template, and of its anchor.
        title: Its heading.
        values: What the template shows, as `s`.
    """

    name: str
    title: str
    values: Mapping[str, Any]

    @property
    def template(self) -> str:
        """The file of the template."""
        return f"sections/{self.name}.html"

    def html(self) -> str:
        """Return the section alone, as in the page of one run."""
        return rendered("section.html", {"section": self, "heading": "h2", "anchor": self.name})
