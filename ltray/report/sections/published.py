"""Published figures, beside those of the run."""

from ltray.published.of_run import claims_of
from ltray.published.table import HEADINGS, claim_rows, meanings
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.results.run_record import RunRecord


def published(record: RunRecord) -> Section | None:
    """Return the published figures for the method and data set, if there are any."""
    found = claims_of(record)
    if not found:
        return None
    kinds = ". ".join(text[0].upper() + text[1:] for text in meanings(found))
    table = PageTable("Published figures and the differences from ours", HEADINGS, claim_rows(found), text=(0, 1, 4))
    return Section("published", "Published figures", {"meanings": kinds, "table": table})
