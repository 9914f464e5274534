"""The report: settings, results and their uncertainty, of one or several runs."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from ltray.files import atomic_write
from ltray.report import findings, model, search, summary
from ltray.report.page import page, table, tiles
from ltray.results.run_record import RunRecord


def write_report(records: Sequence[RunRecord], path: Path) -> Path:
    """Write the report of one or several run folders as one HTML file without external resources.

    Args:
        records: At least one.
        path: The file.
    """
    title = records[0].folder.name if len(records) == 1 else f"{len(records)} runs"
    body = [f"<h1>{escape(title)}</h1>"]
    if len(records) > 1:
        body += [overview(records), _links(records)]
    for place, record in enumerate(records):
        if len(records) > 1:
            body.append(f'<h1 id="run{place}">{escape(record.folder.name)}</h1>')
        body += of_run(record)
    atomic_write(path, page(f"{title} · ltray", body))
    return path


def of_run(record: RunRecord) -> list[str]:
    """Return the sections of one run or search, without the empty ones."""
    parts = [
        f'<p class="soft">{escape(summary.headline(record))}</p>',
        tiles(summary.key_figures(record)),
        summary.which_method(record),
        summary.finalists(record),
        findings.front(record),
        summary.claims(record),
        search.explored(record),
        findings.importance(record),
        search.slices(record),
        search.curves(record),
        search.trials(record),
        model.classes(record),
        model.post_hoc(record),
        model.provenance(record),
    ]
    return [part for part in parts if part]


def overview(records: Sequence[RunRecord]) -> str:
    """Return a table that compares the runs."""
    headings = ("run", "methods", "data", "protocol", "selected on, %", "test all, %", "many", "medium", "few")
    rows = [summary.overview_row(record) for record in records]
    return f"<section>{table(headings, rows, text_columns=(0, 1, 2, 3))}</section>"


def _links(records: Sequence[RunRecord]) -> str:
    links = "".join(f'<a href="#run{i}">{escape(record.folder.name)}</a>' for i, record in enumerate(records))
    return f"<nav>{links}</nav>"
