"""Cost: wall clock, CPU and GPU hours, and the time of training by method."""

import pandas as pd

from ltray.files import is_there
from ltray.report.formatting import duration, hours
from ltray.report.section import Section
from ltray.report.table import PageTable
from ltray.results.run_record import RunRecord
from ltray.results.verdict import METHODS
from ltray.run_folder import RunFolder
from ltray.seal import read_sealed

SECONDS = "train/seconds"


def cost(record: RunRecord) -> Section | None:
    """Return what the run has used so far; None if nothing was recorded."""
    rows = [*_spent(record), *_training(record)]
    if not rows:
        return None
    return Section("cost", "Cost", {"table": PageTable("Time used so far", ["what", "time"], rows, text=(0,))})


def _spent(record: RunRecord) -> list[list[str]]:
    path = RunFolder(record.folder).spent_file
    if not is_there(path):
        return []
    spent = read_sealed(path)
    return [
        ["wall clock of all commands", duration(float(spent["seconds"]))],
        ["CPU hours, reserved by trials", hours(float(spent["cpu_seconds"]))],
        ["GPU hours, reserved by trials", hours(float(spent["gpu_seconds"]))],
    ]


def _training(record: RunRecord) -> list[list[str]]:
    """Return the seconds of training epochs, without evaluation and waiting, in total and by method."""
    history, trials = record.history, record.trials
    if SECONDS not in history or not len(history):
        return []
    known = pd.to_numeric(history[SECONDS], errors="coerce").fillna(0.0)
    rows = [["training epochs of all trials" if record.is_search else "training epochs", duration(float(known.sum()))]]
    if trials is not None and METHODS in record.varied and {METHODS, "seconds"} <= set(trials):
        by_method = trials.groupby(METHODS)["seconds"].sum().sort_values(ascending=False)
        rows += [[f"training epochs of {name}", duration(float(value))] for name, value in by_method.items()]
    return rows
