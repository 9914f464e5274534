"""The report: settings, results and their uncertainty, of one or several runs, as one HTML file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ltray.files import atomic_write
from ltray.report.best_model import BestModel
from ltray.report.facts import headline
from ltray.report.order import OF_MODEL, OF_RECORD, OF_RECORD_LAST
from ltray.report.script import json_for_script, plotly_bundle
from ltray.report.section import Section
from ltray.report.sections.glossary import glossary
from ltray.report.sections.overview import overview
from ltray.report.templating import rendered
from ltray.report.theme import DARK, LIGHT, css_variables
from ltray.results.run_record import RunRecord


def write_report(records: Sequence[RunRecord], path: Path) -> Path:
    """Write the report of one or several run folders as one HTML file without external resources.

    Args:
        records: At least one.
        path: The file.
    """
    atomic_write(path, page_of(records))
    return path


def page_of(records: Sequence[RunRecord], *, watched: bool = False) -> str:
    """Return the page of one or several runs.

    Args:
        records: At least one.
        watched: Whether the page is served and reloads itself when the runs change.
    """
    several = len(records) > 1
    runs = [_run(record, f"run{place}", several) for place, record in enumerate(records)]
    values = {
        "title": f"{len(records)} runs" if several else records[0].folder.name,
        "general": [overview(records)] if several else [],
        "runs": runs,
        "last": glossary(),
        "light": css_variables(LIGHT),
        "dark": css_variables(DARK),
        "palettes": json_for_script({"light": LIGHT, "dark": DARK}),
        "plotly": plotly_bundle(),
        "watched": watched,
    }
    return rendered("page.html", values)


def _run(record: RunRecord, anchor: str, several: bool) -> Mapping[str, Any]:
    sections = sections_of(record)
    return {"name": record.folder.name, "headline": headline(record), "anchor": anchor, "sections": sections}


def sections_of(record: RunRecord) -> list[Section]:
    """Return the sections of one run or search, without those for which it has no content."""
    model = BestModel.of(record)
    found = [
        *(make(record) for make in OF_RECORD),
        *(make(model) for make in OF_MODEL if model is not None),
        *(make(record) for make in OF_RECORD_LAST),
    ]
    return [section for section in found if section is not None]
