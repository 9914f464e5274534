"""The record of a run or search that may be running: its tables are made from the study, not read."""

from dataclasses import replace
from pathlib import Path

from ltray.results.run_record import RunRecord
from ltray.results.tables import FOLDS, history, trial_table
from ltray.run_folder import RunFolder, attempts


def live_record(folder: Path) -> RunRecord:
    """Read a run folder as it is now; a search has its trials so far, also before its tables are written.

    Raises:
        UsageError: It is not a run folder, or a file in it is damaged.
    """
    record, run = RunRecord.read(folder), RunFolder(folder)
    if not record.is_search or not run.holder() or not run.study_file.exists():
        return record
    from ltray.study.study import load_study, own_trials  # SQLAlchemy takes a second to import

    study = load_study(folder)
    numbers = [trial.number for trial in own_trials(study)]
    epochs = history({number: attempts(run.trials, number) for number in numbers})
    stamps = {name: record.settings.get(key) for name, key in STAMPS.items()}
    if record.folds:
        stamps[FOLDS] = record.folds
    table = trial_table(study, epochs, stamps, selection=record.selection)
    return replace(record, trials=table, history=epochs if len(epochs) else record.history)


STAMPS = {"seed": "seed", "data_seed": "dataset.data_seed", "protocol": "dataset.protocol"}
"""Columns with the same value in all rows, and the settings that they are."""
