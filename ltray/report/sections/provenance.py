"""Versions, hardware, digests, seeds and the complete configuration."""

import json

from ltray.report.formatting import plain
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.results.run_record import RunRecord


def provenance(record: RunRecord) -> Section:
    """Return what the results depend on."""
    rows = [[name, plain(value)] for name, value in record.environment.items()]
    settings = {k: record.settings.get(k) for k in ("seed", "dataset.data_seed", "dataset.protocol", "backbone")}
    rows += [[name, plain(value)] for name, value in settings.items() if value is not None]
    looks = enumerate(record.looks, start=1)
    rows += [[f"look {number} at the test images", f"{look.what} {look.time}"] for number, look in looks]
    table = PageTable("Versions, machine, data and seeds", ["what", "value"], rows, text=(0, 1))
    config = json.dumps(record.config, indent=1, ensure_ascii=False)
    return Section("provenance", "Provenance", {"table": table, "config": config})
