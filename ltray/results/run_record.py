"""The content of a run folder, read for reports and comparisons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ltray.data.definition import selected_how
from ltray.errors import UsageError
from ltray.experiment import OBJECTIVE, Experiment
from ltray.files import check_regular, is_there, reading
from ltray.model_folder import LAST_EPOCH
from ltray.printable import printable
from ltray.results.ledger import Look, looks
from ltray.results.table_schema import check_version
from ltray.run_folder import RunFolder
from ltray.seal import FOREIGN, check_listed
from ltray.settings import method_names


@dataclass(frozen=True)
class RunRecord:
    """A finished or interrupted run or search.

    Attributes:
        folder: The run folder.
        config: Its resolved settings.
        environment: Versions, hardware, digest of the data.
        trials: `results.parquet` of a search, else None.
        history: One row per trial and epoch; a single run is trial 0.
        finalists: `finalists.parquet`, or None.
        finalist_runs: `finalist_runs.parquet`, or None.
        evaluation: Of the model in `best/`, or None.
        importance: `importance.csv`, one row per group and knob, or None.
        looks: The looks at the test images, oldest first.
    """

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    trials: pd.DataFrame | None
    history: pd.DataFrame
    finalists: pd.DataFrame | None
    finalist_runs: pd.DataFrame | None
    evaluation: Mapping[str, Any] | None
    importance: pd.DataFrame | None = None
    looks: Sequence[Look] = ()

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """Read a run folder.

        Raises:
            UsageError: It is not a run folder, or does not have the content of every run of this version.
        """
        run = RunFolder(folder)
        config = run.config()
        if config is None:
            what = (
                f"does not contain {run.config_file.name}: not a folder of ltray.train or ltray.tune"
                if folder.is_dir()
                else "no such folder"
            )
            raise UsageError(f"{folder}: {what}.")
        _check_settings(run.config_file, config)
        history = _table(run.epochs_table)
        evaluation = run.best.evaluation()
        if history is None:
            epochs = run.history()
            _check_end(run.history_file, epochs, evaluation)
            history = pd.DataFrame([{"trial": 0, "epoch": m["total_epochs"]} | m for m in epochs])
        return cls(
            folder=folder,
            config=config,
            environment=run.environment() or {},
            trials=_table(run.results_table, ("trial", "name", "paper", "state", "reason", "epochs")),
            history=history,
            finalists=_table(run.finalists_table),
            finalist_runs=_table(run.finalist_runs_table),
            looks=looks(folder),
            evaluation=evaluation,
            importance=_table(run.importance_table, ("group", "knob", "share", "beyond_chance", "variance")),
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """Flat settings of the run, or those common to all trials of the search."""
        found: Mapping[str, Any] = self.config["settings"]
        return found

    @property
    def explored(self) -> Mapping[str, str]:
        """Ranges of the explored knobs as text, by full name."""
        found: Mapping[str, str] = self.config.get("explore", {})
        return found

    @property
    def varied(self) -> Sequence[str]:
        """The settings in which trials differ, by full name: the methods if they are a choice, explored knobs."""
        return [*(["methods"] if "alternatives" in self.config else []), *self.explored]

    @property
    def methods(self) -> str:
        """The methods as text: a sequence, or the sequences from which a search chooses."""
        return " | ".join(self.config.get("alternatives", ())) or " + ".join(method_names(self.settings))

    @property
    def rule(self) -> str:
        """The early-stopping rule of the search."""
        return str(self.config.get("stop", {}).get("rule", "none"))

    @property
    def is_search(self) -> bool:
        """Whether it is a search."""
        return "search" in self.config

    @property
    def protocol(self) -> str:
        """The protocol: "honest", or "paper" (selected on the test set)."""
        return str(self.settings["dataset.protocol"])

    @property
    def folds(self) -> int:
        """Number of folds of the cross-validation; 0 without one."""
        return int(self.settings.get("dataset.folds", 0))

    @property
    def selected_how(self) -> str:
        """How epochs and settings are selected, as text: "on validation images"."""
        return selected_how(self.protocol, self.folds)

    @property
    def selection(self) -> str:
        """Prefix of the metrics by which trials are compared."""
        return "test" if self.protocol == "paper" else "val"

    @property
    def objectives(self) -> Sequence[str]:
        """The objectives; the first one is the metric by which best epochs are chosen."""
        first = str(self.settings.get(OBJECTIVE, Experiment.objective))
        found: Sequence[str] = self.config.get("search", {}).get("objectives", [first])
        return found

    @property
    def metric(self) -> str:
        """The metric by which epochs and trials are compared, such as "val/acc_all"."""
        return f"{self.selection}/{self.objectives[0]}"


def _check_end(path: Path, epochs: Sequence[Mapping[str, Any]], evaluation: Mapping[str, Any] | None) -> None:
    """Raise an error for a history without its last epochs, which can have a complete last line."""
    last, needed = epochs[-1]["total_epochs"] if epochs else 0, (evaluation or {}).get(LAST_EPOCH, 0)
    if last < needed:
        raise UsageError(
            f"{printable(path)}: ends at epoch {last}, but the run reached epoch {needed}: it is truncated; restore "
            "it from a copy."
        )


def _check_settings(path: Path, config: Mapping[str, Any]) -> None:
    settings = config.get("settings")
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: `settings` is missing. {FOREIGN}")
    for name in ("dataset", "methods", "dataset.protocol"):
        if name not in settings:
            raise UsageError(f"{path}: `{name}` is missing in `settings`. {FOREIGN}")


def _table(path: Path, columns: Iterable[str] = ()) -> pd.DataFrame | None:
    """Read a table if the file exists.

    Args:
        path: A Parquet or CSV file.
        columns: Required columns, unless the table is empty.
    """
    if not is_there(path):
        return None
    check_regular(path)
    check_listed(path)
    with reading(path):
        if path.suffix == ".parquet":
            check_version(path)
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    missing = [name for name in columns if name not in found] if len(found) else []
    if missing:
        raise UsageError(f"{path}: the column `{missing[0]}` is missing. {FOREIGN}")
    return found
