"""The list of published rows: figure, whether each can be trained here, hours, state."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ltray.errors import UsageError, did_you_mean, shown
from ltray.published.row_names import source_of
from ltray.reproduction.availability import Availability
from ltray.reproduction.progress import NOT_BEGUN
from ltray.reproduction.row import PublishedRow

HEADINGS = ("row", "all, %", "here", "hours", "state")
LEGEND = (
    "all, %: the published figure. here: whether the row can be trained on this machine without a download. hours: of "
    "one seed, measured with --time; in brackets: at another commit of ltray"
)


@dataclass(frozen=True)
class ListedRow:
    """A row with the content of the table.

    Attributes:
        row: The row.
        availability: What is missing.
        hours: Hours on this machine as text; "" if they are not known.
        state: State of its runs as text.
    """

    row: PublishedRow
    availability: Availability
    hours: str
    state: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells under `HEADINGS`; the last one also contains what is missing."""
        published = "–" if self.row.claim.all is None else f"{self.row.claim.all:g}"
        runnable, reason = self.availability.runnable, self.availability.reason
        notes = [self.state] if runnable or self.state != NOT_BEGUN else []
        return (
            self.row.name,
            published,
            "yes" if runnable else "no",
            self.hours or "–",
            "; ".join([*notes, *([reason] if reason else [])]),
        )


def lines(rows: Iterable[ListedRow]) -> list[str]:
    """Return a line for each row, below the headings: names are not broken, so that they can be searched and copied."""
    cells = [HEADINGS, *(one.cells for one in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS) - 1)]
    return [
        f"{name:<{widths[0]}}  {figure:>{widths[1]}}  {here:<{widths[2]}}  {hours:>{widths[3]}}  {state}"
        for name, figure, here, hours, state in cells
    ]


PAPER, DATASET, METHOD = "paper", "dataset", "method"
VALUES: dict[str, Callable[[PublishedRow], set[str]]] = {
    PAPER: lambda row: {source_of(row.claim), source_of(row.claim).rpartition("-")[0]},
    DATASET: lambda row: {row.claim.dataset},
    METHOD: lambda row: set(row.claim.methods),
}
"""For each filter, the values that a row matches: a paper with or without its table, a data set, each method."""


def filtered(rows: Iterable[PublishedRow], **wanted: str | None) -> list[PublishedRow]:
    """Return the rows that match every filter.

    Args:
        rows: All rows.
        wanted: For keys of `VALUES`, the value to match, or None for all rows.

    Raises:
        UsageError: No row has the value; the message contains the nearest value.
    """
    found = list(rows)
    for name, value in wanted.items():
        if value is None:
            continue
        known = {one for row in found for one in VALUES[name](row)}
        if value not in known:
            raise UsageError(f"--{name} {shown(value)}: no listed row has this value.{did_you_mean(value, known)}")
        found = [row for row in found if value in VALUES[name](row)]
    return found
