"""A table for the terminal that leaves columns out, in a stated order, instead of truncating cells."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

WRAPPED = 24
"""Width to which the text of a column that may be wrapped can shrink before columns are left out."""
_UNLIMITED = 100_000


class FittedTable(Table):
    """A table that fits the width of the console.

    Args:
        optional: Headings of the columns that may be left out, in the order in which they are; the headings of one
            item are left out together. Without them the columns that stay are wrapped.
        remedy: How to see the columns that were left out, such as "--wide shows all".
        notes: Lines below the table for each heading, printed if its column was left out.
        title: Text above the table.
        caption: Text below the table.
    """

    def __init__(
        self,
        *,
        optional: Iterable[Sequence[str]] = (),
        remedy: str = "",
        notes: Mapping[str, str] | None = None,
        title: str | None = None,
        caption: str | None = None,
    ) -> None:
        super().__init__(title=title, caption=caption, caption_justify="left")
        self._optional = [tuple(group) for group in optional]
        self._remedy, self._notes = remedy, dict(notes or {})

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the columns that fit."""
        yield from Table.__rich_console__(self.fitted(console, options), console, options)

    def fitted(self, console: Console, options: ConsoleOptions) -> Table:
        """Return a table of the columns that fit `options.max_width`, with a line about the others below."""
        left_out: list[str] = []
        waiting = list(self._optional)
        while waiting and _width(self._without(left_out), console, options) > options.max_width:
            left_out += [heading for heading in waiting.pop(0) if heading in map(_heading, self.columns)]
        shown = self._without(left_out)
        if left_out:
            names = ", ".join(name for name in map(_heading, self.columns) if name in left_out)
            notes = dict.fromkeys(self._notes[heading] for heading in left_out if heading in self._notes)
            remedy = f"; {self._remedy}" if self._remedy else ""
            lines = [self.caption, *notes, f"not shown for lack of space: {names}{remedy}"]
            shown.caption = "\n".join(str(line) for line in lines if line)
        return shown

    def _without(self, left_out: Sequence[str]) -> Table:
        kept = [column for column in self.columns if _heading(column) not in left_out]
        table = Table(title=self.title, caption=self.caption, caption_justify="left")
        for column in kept:
            how: dict[str, Any] = {"justify": column.justify, "no_wrap": column.no_wrap, "min_width": column.min_width}
            table.add_column(column.header, overflow="fold", **how)
        for cells, row in zip(zip(*(column.cells for column in kept), strict=True), self.rows, strict=True):
            table.add_row(*cells, style=row.style)
        return table


def _heading(column: Column) -> str:
    return str(column.header)


def _width(table: Table, console: Console, options: ConsoleOptions) -> int:
    """Return the width that a table needs if its columns that may be wrapped are `WRAPPED` wide or narrower."""
    wide = options.update(width=_UNLIMITED)
    needed = 1
    for column in table.columns:
        cells = [column.header, *column.cells]
        width = max(Measurement.get(console, wide, cell).maximum for cell in cells)
        needed += 3 + (width if column.no_wrap else max(min(width, WRAPPED), column.min_width or 0))
    return needed
