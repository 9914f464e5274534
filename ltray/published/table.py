"""Tables of published figures for the terminal and for pages."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from ltray.published.check import MEANING, Comparison

TITLE = "published figures for this method, data set and imbalance factor"
HEADINGS = ("run", "published in", "all, %", "ours − published", "verdict")


def claim_rows(found: Mapping[str, Sequence[Comparison]]) -> list[tuple[str, ...]]:
    """Return the cells under `HEADINGS`.

    Args:
        found: Comparisons by the name of the run.
    """
    return [
        (name, one.claim.where, f"{one.claim.all:g}", f"{one.difference:+z.1f}", one.text)
        for name, comparisons in found.items()
        for one in comparisons
    ]


def meanings(found: Mapping[str, Sequence[Comparison]]) -> list[str]:
    """Return the meaning of each verdict among these comparisons, one line each."""
    given = {one.verdict for comparisons in found.values() for one in comparisons}
    return [f"{verdict}: {meaning}" for verdict, meaning in MEANING.items() if verdict in given]


def claim_table(found: Mapping[str, Sequence[Comparison]]) -> Table:
    """Return a table of published figures and ours; `found` as in `claim_rows`."""
    shown = Table(title=TITLE, caption="\n".join(meanings(found)), caption_justify="left")
    for heading in HEADINGS:
        shown.add_column(heading, justify="right" if heading in HEADINGS[2:4] else "left", no_wrap=heading == "run")
    for row in claim_rows(found):
        shown.add_row(*row)
    return shown
