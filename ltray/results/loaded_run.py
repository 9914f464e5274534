"""The results of a run or a search, as data frames, settings and the trained model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from ltray.arguments import path_value
from ltray.engine.checkpoint import Checkpoint, metrics_of
from ltray.errors import UsageError
from ltray.files import is_there
from ltray.metrics import CHECKPOINT_SCORE
from ltray.printable import printable
from ltray.recorded_settings import recorded_settings
from ltray.results.classifier import Classifier, best_device
from ltray.results.run_record import RunRecord
from ltray.results.tables import cell
from ltray.run_folder import RunFolder, checkpoint_of


@dataclass(frozen=True)
class LoadedRun:
    """A run, a search or a single checkpoint, finished or not.

    Attributes:
        folder: Its folder.
        record: The content of the run folder; None for a checkpoint without a run folder.
    """

    folder: Path
    record: RunRecord | None

    @property
    def results(self) -> pd.DataFrame:
        """One row for each trial, sorted by the first objective; a run or a checkpoint is trial 0.

        Columns: `trial`, `epochs`, `best_epoch`, the metrics of the best epoch (such as `val/acc_all`, fractions of 1),
        and the settings by full name. A search also has `state`, `name`, `paper` and `reason`.
        """
        if self.record is not None and self.record.trials is not None:
            return self.record.trials
        if not len(self.history):
            return pd.DataFrame()
        epochs = self.history["epoch"]
        row = self.history.iloc[int(self.history[CHECKPOINT_SCORE].argmax())].to_dict()
        known = {"trial": 0, "epochs": int(epochs.max()), "best_epoch": int(row["epoch"])}
        metrics = {str(key): value for key, value in row.items() if "/" in str(key)}
        return pd.DataFrame([known | metrics | {key: cell(value) for key, value in self._settings.items()}])

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row for each trial and epoch: `trial`, `epoch` (from 1, over all stages) and the epoch's metrics.

        For a checkpoint without a run folder, the row of its epoch.
        """
        if self.record is not None:
            return self.record.history
        metrics = metrics_of(self._checkpoint)
        assert metrics is not None  # `checkpoint_of` has compared it
        return pd.DataFrame([{"trial": 0, "epoch": int(metrics["total_epochs"])} | metrics])

    @property
    def best(self) -> Mapping[str, Any]:
        """The settings of the best model by full name; `ltray.train.run` accepts those of methods and data set.

        Raises:
            UsageError: It is a search that has not saved a model yet.
        """
        if self.record is None or (self.record.is_search and self.record.evaluation is None):
            return recorded_settings(self._saved.settings)
        return recorded_settings(self.record.evaluation["settings"] if self.record.evaluation else self.record.settings)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The test metrics of the best model (such as `test/acc_all`, fractions of 1); empty before the run's end."""
        evaluation = self.record.evaluation if self.record else None
        return dict(evaluation["metrics"]) if evaluation else {}

    def model(self, device: torch.device | str | None = None) -> Classifier:
        """Return the best model.

        Args:
            device: The device, such as "cpu"; None: the GPU if there is one.

        Raises:
            UsageError: There is no model yet, or it is damaged.
        """
        return Classifier.open(self._checkpoint, best_device() if device is None else torch.device(device))

    @property
    def _checkpoint(self) -> Path:
        return checkpoint_of(self.folder)

    @cached_property
    def _saved(self) -> Checkpoint:
        return Checkpoint.load(self._checkpoint)

    @property
    def _settings(self) -> Mapping[str, Any]:
        return recorded_settings(self._saved.settings) if self.record is None else self.record.settings


def load(run: str | PathLike[str]) -> LoadedRun:
    """Open a run or search folder, or a checkpoint.

    No code in it is executed: only tables, JSON and weights are read. A method, data source, transform or backbone of
    another package is imported when `model` is called, and not from the current folder; see docs/run-folders.md.

    Args:
        run: Folder of a run, a search or a checkpoint.

    Raises:
        UsageError: The folder does not exist, is none of these, is damaged, or was written by a newer version.
    """
    folder = path_value("run", run)
    if not is_there(folder):
        raise UsageError(f"{printable(folder)}: no such folder.")
    if is_there(RunFolder(folder).config_file):
        return LoadedRun(folder, RunRecord.read(folder))
    checkpoint_of(folder)  # raises an error if it is not a checkpoint
    return LoadedRun(folder, None)
