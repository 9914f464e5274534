"""The explored knobs: their ranges, the papers' values and the best values."""

from ltray.report.formatting import cell, symbol
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.results.run_record import RunRecord


def explored(record: RunRecord) -> Section | None:
    """Return the explored knobs of a search with trials."""
    if record.trials is None or not len(record.trials) or not record.explored:
        return None
    best = record.trials.iloc[0]
    papers = record.trials[record.trials["paper"]]
    rows = []
    for knob, text in record.explored.items():  # a knob is only in the papers' setting of its method
        known = papers[knob].dropna().tolist() if knob in papers else []
        rows.append([knob, symbol(knob), text, cell(known[0]) if known else "–", cell(best.get(knob))])
    headings = ["knob", "symbol", "range", "papers'", "best trial"]
    table = PageTable("Knobs, the papers' values and those of the best trial", headings, rows, text=(0, 1, 2))
    return Section("explored", "Explored knobs", {"table": table})
