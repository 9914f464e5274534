"""Claims for the terminal and for pages."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from ltray.published.check import MEANING, Comparison

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


def meanings(found: Mapping[str, Sequence[Comparison]]) -> list[str]:
    """Return a line a kind of verdict among these comparisons: what it means."""
    given = {one.verdict for comparisons in found.values() for one in comparisons}
    return [f"{verdict}: {meaning}" for verdict, meaning in MEANING.items() if verdict in given]


def claim_table(found: Mapping[str, Sequence[Comparison]]) -> Table:
    """Return published figures beside ours; `found` as in `claim_rows`."""
    shown = Table(title=TITLE, caption="\n".join(meanings(found)), caption_justify="left")
    for heading in HEADINGS:
        shown.add_column(heading, justify="right" if heading in HEADINGS[2:4] else "left", no_wrap=heading == "of")
    for row in claim_rows(found):
        shown.add_row(*row)
    return shown
