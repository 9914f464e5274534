"""Claims for the terminal and for pages."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from ltray.published.check import Comparison

TITLE = "published figures for this method, data set and imbalance factor"
HEADINGS = ("of", "published in", "all, %", "ours − theirs", "verdict")


def claim_rows(found: Mapping[str, Sequence[Comparison]]) -> list[tuple[str, ...]]:
    """Return the cells under `HEADINGS`.

    Args:
        found: Comparisons by the name of what they are of.
    """
    return [
        (name, one.claim.where, f"{one.claim.all:g}", f"{one.difference:+.1f}", one.words)
        for name, comparisons in found.items()
        for one in comparisons
    ]


def claim_table(found: Mapping[str, Sequence[Comparison]]) -> Table:
    """Return published figures beside ours; `found` as in `claim_rows`."""
    shown = Table(title=TITLE)
    for heading in HEADINGS:
        shown.add_column(heading, justify="right" if heading in HEADINGS[2:4] else "left", no_wrap=heading == "of")
    for row in claim_rows(found):
        shown.add_row(*row)
    return shown
