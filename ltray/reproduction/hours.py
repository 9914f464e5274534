"""Hours that a published row takes on this machine: measured on request, and kept in a file of the data folder."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ltray.data.data_folder import data_folder, make_data_folder
from ltray.data.dataset import ImageData
from ltray.engine.timing import StageTime
from ltray.experiment import Experiment
from ltray.files import atomic_write, read_json, reading
from ltray.provenance import commit, processor
from ltray.reproduction.row import PublishedRow
from ltray.study.cost import TrialCost, measure

FILE = "row_hours.json"
NO_INFLUENCE = (
    "seed",
    "objective",
    "dataset.data_seed",
    "dataset.imbalance_factor",
    "dataset.protocol",
    "dataset.validation_per_class",
)
"""Settings on which the duration of a step does not depend, in addition to the knobs of the schedule."""
SCHEDULE = ("learning_rate", "schedule", "decay", "weight_decay", "momentum")


@dataclass(frozen=True)
class KnownHours:
    """The measured cost of a row.

    Attributes:
        hours: Hours of a run of one seed.
        current: Whether it was measured at the present commit of ltray.
    """

    hours: float
    current: bool

    @property
    def text(self) -> str:
        """The hours; in brackets if they were measured at another commit."""
        shown = f"{self.hours:.1f}" if self.hours >= 0.1 else f"{self.hours:.2f}"
        return shown if self.current else f"({shown})"


class RowHours:
    """The measured hours of rows on this machine.

    Args:
        device: The device on which rows are trained.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
        self._commit = commit()
        self._file = data_folder() / FILE
        self._known = _read(self._file)
        self._opened: dict[str, ImageData] = {}
        self._timed: dict[str, tuple[TrialCost, ImageData]] = {}

    def known(self, row: PublishedRow) -> KnownHours | None:
        """Return the hours that were measured on this machine; None if there are none."""
        found = self._known.get(self._key(row))
        return None if found is None else KnownHours(found["seconds"] / 3600, found["commit"] == self._commit)

    def measure(self, row: PublishedRow) -> KnownHours:
        """Return the hours of a row, measured now unless they were measured at this commit.

        Rows that differ only in their schedule and in the numbers of their images are timed once: steps of equal work
        take equal time.

        Raises:
            UsageError: Its data cannot be opened.
        """
        known = self.known(row)
        if known and known.current:
            return known
        experiment, data = row.experiment, self._open(row.experiment)
        key = _digest(_work(experiment))
        if key not in self._timed:
            self._timed[key] = measure(experiment, data, self._device), data
        cost, timed_on = self._timed[key]
        epochs = experiment.stage_epochs(data.tail)
        stages = [_of_other_size(*one, timed_on=timed_on, data=data) for one in zip(cost.stages, epochs, strict=True)]
        seconds = replace(cost, stages=tuple(stages)).command_seconds
        self._known[self._key(row)] = {"row": row.name, "seconds": seconds, "commit": self._commit}
        make_data_folder(self._file.parent)
        atomic_write(self._file, json.dumps(self._known, indent=1))
        return KnownHours(seconds / 3600, True)

    def _key(self, row: PublishedRow) -> str:
        return f"{self._name}/{_digest([row.name, dict(sorted(row.overrides.items()))])}"

    def _open(self, experiment: Experiment) -> ImageData:
        key = _digest(experiment.dataset.as_dict())
        if key not in self._opened:
            self._opened[key] = experiment.open_data(self._device)
        return self._opened[key]


def _read(file: Path) -> dict[str, dict[str, Any]]:
    if not file.is_file():
        return {}
    with reading(file, "not what `--time` writes", remedy="remove the file"):
        found = read_json(file)
        return {str(key): {"seconds": float(one["seconds"]), **one} for key, one in found.items()}


def _of_other_size(time: StageTime, epochs: int, *, timed_on: ImageData, data: ImageData) -> StageTime:
    """Return the times of a stage for another number of epochs, training images and evaluated images."""
    share = data.tail.total / timed_on.tail.total
    evaluated = sum(data.selection_counts) / sum(timed_on.selection_counts)
    return replace(time, epochs=epochs, steps=round(time.steps * share), evaluation=time.evaluation * evaluated)


def _work(experiment: Experiment) -> Mapping[str, Any]:
    """Return the settings on which the duration of a step depends."""
    found = {name: value for name, value in experiment.settings().items() if name not in NO_INFLUENCE}
    for method, knobs in zip(experiment.methods, experiment.knobs, strict=True):
        for name, spec in knobs.specs().items():
            if spec.in_epochs or name == "epochs" or name in SCHEDULE:
                del found[f"{method.name}.{name}"]
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()[:16]
