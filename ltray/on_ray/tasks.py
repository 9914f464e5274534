"""The inputs of the processes of a run: frozen, and pickled by Ray for the transfer."""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ltray.data.pin import Pins
from ltray.run_folder import trial_name
from ltray.study.short_runs import Runs

TASK, SEARCH = "task", "search"
"""Keys of the two tasks in the dictionary that Tune passes to a trial: its own inputs, and those of all trials."""


def import_path() -> tuple[str, ...]:
    """Return the folders from which this process imports modules, in a form that other processes can use."""
    return tuple(dict.fromkeys(os.path.abspath(place) for place in sys.path if os.path.isdir(place or os.curdir)))


def enter(working: str | Path, path: Iterable[str]) -> None:
    """Work in a folder, and import the modules that the command can import, including methods of other packages.

    Args:
        working: The folder.
        path: The result of `import_path` in the command's process; a folder that is not on this node has no effect.
    """
    os.chdir(working)
    # Python sets the first entry.
    sys.path += [place for place in path if place not in sys.path[1:]]
    importlib.invalidate_caches()


@dataclass(frozen=True)
class Placement:
    """The resources and the environment of a run.

    Attributes:
        working: The working directory, to which relative paths refer.
        workers: Number of worker processes, W.
        resources: The resources of each worker, by Ray's names: "CPU", "GPU".
        retries: The number of consecutive crashes without a new epoch after which the run restarts.
        pins: The digests of the command's data sets.
        path: The folders from which the command imports modules.
    """

    working: Path
    workers: int
    resources: Mapping[str, float]
    retries: int
    pins: Pins
    path: tuple[str, ...] = field(default_factory=import_path)

    def enter(self) -> None:
        """Change to the command's working directory and import path."""
        enter(self.working, self.path)

    @property
    def threads(self) -> int:
        """Number of compute threads of a worker."""
        return max(int(self.resources["CPU"]), 1)

    @property
    def device(self) -> torch.device:
        """The device of a run in a single process."""
        return torch.device("cuda" if "GPU" in self.resources else "cpu")


@dataclass(frozen=True)
class TrialTask:
    """The inputs that only one trial has.

    Attributes:
        number: Its number in the study.
        attempt: Number of times that a resumed search has continued it.
        settings: Flat settings of its experiment.
    """

    number: int
    attempt: int
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its number in the form used in folder names: `0007`."""
        return trial_name(self.number)

    @property
    def folder_name(self) -> str:
        """Name of its folder: `0007`, or `0007.1` if the search was resumed once."""
        return self.name + (f".{self.attempt}" if self.attempt else "")


@dataclass(frozen=True)
class SearchTask:
    """The inputs that all trials of a search share.

    Attributes:
        trials: The folder of the trials' folders.
        placement: Resources and environment of each trial.
        runs: The runs of a trial with several runs; None: a trial is one run.
    """

    trials: Path
    placement: Placement
    runs: Runs | None


@dataclass(frozen=True)
class WaveTask:
    """One training of a wave: a run of a finalist, or of a row of a paper's table.

    Attributes:
        settings: Flat settings of its experiment.
        folder: Its folder.
        placement: Its resources and environment.
        stamps: Further entries of its results.
        logger: Name or dotted path of its logger.
    """

    settings: Mapping[str, Any]
    folder: Path
    placement: Placement
    stamps: Mapping[str, Any]
    logger: str


@dataclass(frozen=True)
class WorkerTask:
    """The inputs of every worker of a run with several workers.

    Attributes:
        settings: Flat settings of the experiment.
        folder: The folder in which Ray stores the run's checkpoints, for error messages.
        placement: Its resources and environment.
        earlier: The checkpoint of an earlier driver, or None.
        runs: The runs of a trial with several runs, or None.
    """

    settings: Mapping[str, Any]
    folder: Path
    placement: Placement
    earlier: Path | None
    runs: Runs | None


def task_of(trial: Any) -> TrialTask:
    """Return the task of one of Tune's trials."""
    task = trial.config[TASK]
    assert isinstance(task, TrialTask)
    return task
