"""The runs of a table, checked against the data before the first one begins."""

import glob
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ltray.auto_settings import AUTO_SETTINGS, print_determined
from ltray.data.beton.store import Check
from ltray.data.dataset import ImageData
from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.following import TrainingSize
from ltray.given_files import recorded_files
from ltray.network_config import WEIGHTS
from ltray.objective import print_objective
from ltray.paper_tables.table_file import PaperTable
from ltray.paper_tables.table_row import TableRow
from ltray.pretraining import records
from ltray.provenance import environment
from ltray.results.finalists import read_run
from ltray.results.ledger import LOOK
from ltray.run_folder import RunFolder
from ltray.start_check import check_batches, check_start
from ltray.study.seed_runs import seeds_from

RUNS = "rows"  # the folder of the run folders of a table
MAY_DIFFER = ("workers", AUTO_SETTINGS)


@dataclass(frozen=True)
class RowRun:
    """The run of a row with one seed.

    Attributes:
        row: The row.
        experiment: The experiment, adapted to the data, with the seed.
        folder: Its run folder.
        data: Its data set.
    """

    row: TableRow
    experiment: Experiment
    folder: Path
    data: ImageData

    @property
    def finished(self) -> bool:
        """Whether it has been evaluated, or cannot be continued after a failure."""
        return read_run(self.folder) is not None

    def claim(self, workers: Mapping[str, Any]) -> None:
        """Reserve its folder, or check that it contains the same run.

        Args:
            workers: The resources of a run, for its `config.yaml`.

        Raises:
            UsageError: The folder contains a run with other settings.
        """
        settings = self.experiment.settings()
        config: dict[str, Any] = {"settings": settings, "workers": dict(workers)} | recorded_files(settings)
        if self.experiment.automatic:
            config[AUTO_SETTINGS] = dict(self.experiment.automatic)
        stamps = environment(data_digest=self.data.digest, protocol=self.experiment.dataset.protocol)
        if RunFolder(self.folder).config() is None and (weights := records([self.experiment])):
            stamps[WEIGHTS] = weights
        RunFolder(self.folder).claim(config, stamps, may_differ=MAY_DIFFER)

    def stamps(self, look: int) -> dict[str, Any]:
        """Return the further entries of its `evaluation.json`.

        Args:
            look: Number of the look at the test images of which its evaluation is a part.
        """
        return {"row": self.row.label, LOOK: look}


def run_folder(folder: Path, row: TableRow, seed: int) -> Path:
    """Return the run folder of a row and a seed.

    Args:
        folder: The folder of the table.
        row: The row.
        seed: The seed.
    """
    return folder / RUNS / f"{row.name}-seed{seed}"


def finished_runs(folder: Path, row: TableRow) -> dict[int, Path]:
    """Return the folders of the finished runs of a row, by seed, also of rows and seeds of earlier commands.

    Args:
        folder: The folder of the table.
        row: The row.
    """
    found = {}
    for path in (folder / RUNS).glob(f"{glob.escape(row.name)}-seed*"):
        seed = path.name.removeprefix(f"{row.name}-seed")
        if seed.isdecimal() and read_run(path) is not None:
            found[int(seed)] = path
    return dict(sorted(found.items()))


def prepare(table: PaperTable, folder: Path, seeds: int, console: Console) -> list[RowRun]:
    """Open the data, adapt and check every row; return the runs, all rows of a seed before the next seed.

    Args:
        table: The table.
        folder: Its folder; nothing is written there.
        seeds: Number of runs of each row.
        console: Receives the lines.

    Raises:
        UsageError: A run would fail.
    """
    known = RunFolder(folder).config()
    gpu = table.trial.has_gpu()
    experiments = [row.experiment for row in table.trained if row.experiment]
    automatic = print_determined(experiments, gpu=gpu, config=known, console=console)
    opened: dict[DatasetDefinition, ImageData] = {}
    found: list[tuple[TableRow, Experiment]] = []
    for row in table.trained:
        assert row.experiment is not None
        experiment = row.experiment.determined(automatic)
        if experiment.dataset not in opened:
            opened[experiment.dataset] = _opened(table, row, experiment, folder, console)
        found.append((row, _suited(row, experiment, opened[experiment.dataset], table.trial.workers, console)))
    runs = []
    for number in range(seeds):
        for row, experiment in found:
            seed = seeds_from(experiment.seed, seeds)[number]
            one = replace(experiment, seed=seed)
            runs.append(RowRun(row, one, run_folder(folder, row, seed), opened[experiment.dataset]))
    return runs


def _opened(table: PaperTable, row: TableRow, experiment: Experiment, folder: Path, console: Console) -> ImageData:
    """Open the data set of a row; runs that have begun must have been trained on the same images."""
    same = [one for one in table.trained if one.experiment and one.experiment.dataset == experiment.dataset]
    digest = next(filter(None, (_digest(run_folder(folder, one, experiment.seed)) for one in same)), "")
    check: Check = "compare" if digest else "convert"
    try:
        data = experiment.opened(torch.device("cpu"), check=check, digest=digest)
    except UsageError as error:
        raise UsageError(
            f"{row.label}: {error} The rows on other data sets can be trained alone, with --rows."
        ) from error
    console.print(data.describe(), soft_wrap=True)
    return data


def _digest(folder: Path) -> str:
    return str((RunFolder(folder).environment() or {}).get("data_digest", ""))


def _suited(row: TableRow, experiment: Experiment, data: ImageData, workers: int, console: Console) -> Experiment:
    """Return a row's run, adapted to its data; print the changes.

    Raises:
        UsageError: It cannot be trained; the message contains the row's name.
    """
    objective = print_objective(experiment, data, console)
    size = TrainingSize.of(data.tail, workers=workers)
    try:
        left_over = experiment.network.check_file(experiment.dataset.image_size)
        suited = replace(experiment, objective=objective).following(size)
        suited.check_classes(size.classes)
        check_batches(suited, size.workers)
        check_start(suited, data.tail, data.class_names, workers=workers)
    except UsageError as error:
        raise UsageError(f"{row.label}: {error}") from error
    if left_over:
        console.print(f"{row.label}: not loaded from the file of weights: {left_over}", soft_wrap=True)
    for line in suited.followed(experiment, size):
        console.print(f"{row.label}: {line}", soft_wrap=True)
    return suited
