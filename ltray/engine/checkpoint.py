"""Checkpoints: the state saved after an epoch, and functions that write and read it."""

import errno
import json
import os
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltray.errors import UsageError
from ltray.files import digest_of, read_text, reading, replacing
from ltray.printable import printable
from ltray.seal import unseal, write_sealed

FILE_NAME = "checkpoint.pt"
SUMMARY_NAME = "summary.json"
BYTES, WEIGHTS_DIGEST, METRICS = "bytes", "checkpoint_sha256", "metrics"
REMEDY = "delete the folder of this checkpoint to continue from an earlier one"


@dataclass(frozen=True)
class Position:
    """The progress of a run.

    Attributes:
        stage: Index of the stage.
        epoch: Finished epochs of that stage.
        total_epochs: Finished epochs over all stages; the fidelity of early stopping.
        best: Best value of the selection metric in this stage, -1 before the first.
        best_epoch: `total_epochs` at which `best` was reached.
    """

    stage: int = 0
    epoch: int = 0
    total_epochs: int = 0
    best: float = -1.0
    best_epoch: int = 0

    def at_stage(self, stage: int) -> "Position":
        """Return the position at which a stage begins; this position if the stage has begun."""
        return self if stage == self.stage else replace(self, stage=stage, epoch=0, best=-1.0)

    def after_epoch(self, value: float) -> "Position":
        """Return the position one epoch later.

        Args:
            value: The selection metric after that epoch.
        """
        done, better = self.total_epochs + 1, value > self.best
        return replace(
            self,
            epoch=self.epoch + 1,
            total_epochs=done,
            best=value if better else self.best,
            best_epoch=done if better else self.best_epoch,
        )


@dataclass(frozen=True)
class Checkpoint:
    """The complete state from which a run continues with bit-equal results.

    Randomness and the learning rate are functions of the position and need no state.

    Attributes:
        position: The progress of the run.
        stages: `state_dict` of all stages: weights, queues, averages.
        optimizer: `state_dict` of the current stage's optimiser.
        settings: The run's settings, flat.
        context: Further data for prediction: class names, counts.
        metrics: The metrics reported together with it.
        average: The moving average of the current stage's weights, under their names in
            `stages`; empty if it is off.
    """

    position: Position
    stages: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    settings: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    average: Mapping[str, Tensor] = field(default_factory=dict)

    def weights(self) -> dict[str, Tensor]:
        """Return the `state_dict` for prediction and for following methods: `stages`, with averaged weights if any."""
        return dict(self.stages) | dict(self.average)

    def save(self, folder: Path) -> Path:
        """Write `checkpoint.pt`, then `summary.json` with its size and digest; each is renamed into place.

        Raises:
            OSError: They cannot be written, with the file's name.
        """
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / FILE_NAME
        _write(self.plain(), target)
        summary = {BYTES: target.stat().st_size, WEIGHTS_DIGEST: digest_of(target), METRICS: dict(self.metrics)}
        write_sealed(folder / SUMMARY_NAME, summary)
        return target

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "Checkpoint":
        """Read what `save` wrote; only tensors and plain values are unpickled.

        Raises:
            FileNotFoundError: `folder` contains no checkpoint.
            UsageError: It is damaged, or not a checkpoint of ltray.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        check_weights_digest(folder)
        with reading(path, "is not a checkpoint of ltray"):
            try:
                return cls.from_plain(torch.load(path, map_location=device, weights_only=True))
            except pickle.UnpicklingError as error:  # its message explains how to run the code in the file
                raise UsageError(
                    f"{printable(path)}: is not a checkpoint of ltray: it contains more than weights, or is damaged."
                ) from error

    def plain(self) -> dict[str, Any]:
        """Return the content as tensors and plain values, which load without unpickling code."""
        return {name: getattr(self, name) for name in _PLAIN} | {"position": asdict(self.position)}

    @classmethod
    def from_plain(cls, saved: Mapping[str, Any]) -> "Checkpoint":
        """Build from what `plain` returned."""
        return cls(position=Position(**saved["position"]), **{name: saved[name] for name in _PLAIN})


def _write(content: Mapping[str, Any], target: Path) -> None:
    """Write a file of weights; an error has the file's name."""
    try:
        with replacing(target) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:
        cause = error.__context__ if isinstance(error, RuntimeError) else error  # torch raises another error from it
        if isinstance(cause, OSError):
            raise OSError(cause.errno, cause.strerror, str(target)) from error
        raise


_PLAIN = ("stages", "optimizer", "settings", "context", "metrics", "average")


def metrics_of(folder: Path) -> dict[str, float] | None:
    """Return the metrics reported with a checkpoint, or None where it is not complete.

    A process that is killed while it copies a checkpoint leaves an incomplete file. The byte count in the summary
    shows this. The digest of the weights is compared when they are loaded.

    Raises:
        UsageError: The summary is damaged.
    """
    summary = _summary(folder)
    try:
        complete = summary is not None and (folder / FILE_NAME).stat().st_size == summary[BYTES]
    except OSError:
        return None
    return dict(summary[METRICS]) if summary is not None and complete else None


def check_weights_digest(folder: Path) -> None:
    """Compare a checkpoint's file with its summary, if there is one; an earlier version wrote only a byte count.

    Raises:
        UsageError: They differ.
    """
    summary = _summary(folder)
    if summary is None:
        return
    path = folder / FILE_NAME
    with reading(path):
        same = path.stat().st_size == summary[BYTES]
        same = same and (WEIGHTS_DIGEST not in summary or digest_of(path) == summary[WEIGHTS_DIGEST])
    if not same:
        raise UsageError(f"{printable(path)}: differs from its digest in {SUMMARY_NAME}: it is damaged; {REMEDY}.")


def _summary(folder: Path) -> dict[str, Any] | None:
    """Return a checkpoint's summary, or None if it is absent or a killed process left it incomplete."""
    path = folder / SUMMARY_NAME
    if not path.is_file():
        return None
    text = read_text(path)
    if not text.rstrip().endswith("}"):
        return None
    with reading(path, "not valid JSON", remedy=REMEDY):
        content = json.loads(text)
    summary = unseal(content, path, remedy=REMEDY)
    if not isinstance(summary.get(BYTES), int) or not isinstance(summary.get(METRICS), dict):
        raise UsageError(f"{printable(path)}: `{BYTES}` or `{METRICS}` is missing: the file is damaged; {REMEDY}.")
    return summary
