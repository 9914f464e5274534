"""A table of the page."""

from collections.abc import Sequence
from dataclasses import dataclass

LONG = 60  # characters above which a cell is wrapped


@dataclass(frozen=True)
class PageTable:
    """A table with a caption; the first cell of each row is its heading.

    Attributes:
        caption: What the rows are.
        headings: Headings of the columns.
        rows: Their cells; "better" and "worse" are coloured.
        text: Columns of text, which are aligned to the left; the others are numbers.
        kinds: CSS class of each row: "first", "paper" or "".
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Sequence[int] = (0,)
    kinds: Sequence[str] = ()

    def kind(self, row: int) -> str:
        """Return the CSS class of a row."""
        return self.kinds[row] if row < len(self.kinds) else ""

    def cell_kind(self, column: int, cell: str = "") -> str:
        """Return the CSS classes of a cell."""
        colour = cell if cell in ("better", "worse") else ""
        align = ("long" if len(cell) > LONG else "word") if column in self.text else ""
        return f"{align} {colour}".strip()

    def part(self, first: int, last: int | None = None) -> "PageTable":
        """Return the table with some of its rows."""
        return PageTable(
            self.caption, self.headings, self.rows[first:last], text=self.text, kinds=self.kinds[first:last]
        )
