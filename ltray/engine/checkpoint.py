"""What is saved between two epochs, and reading it back."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltray.files import atomic_write

FILE_NAME = "checkpoint.pt"
SUMMARY_NAME = "summary.json"


@dataclass(frozen=True)
class Position:
    """How far a run has come.

    Attributes:
        stage: Index of the stage.
        epoch: Finished epochs of that stage.
        total_epochs: Finished epochs over all stages; the fidelity of early stopping.
        best: Best value of the selection metric in this stage, -1 before the first.
        best_epoch: `total_epochs` at which it was reached.
    """

    stage: int = 0
    epoch: int = 0
    total_epochs: int = 0
    best: float = -1.0
    best_epoch: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to go on as if nothing had happened.

    Randomness and the learning rate are functions of the position and need no state.

    Attributes:
        position: How far the run has come.
        stages: `state_dict` of all stages: weights, queues, averages.
        optimizer: `state_dict` of the current stage's optimiser.
        settings: The run's settings, flat.
        context: What prediction needs besides: class names, counts.
        metrics: What was reported together with it.
        average: The moving average of the current stage's weights, under their names in
            `stages`; empty where none is kept.
    """

    position: Position
    stages: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    settings: Mapping[str, Any]
    context: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    average: Mapping[str, Tensor] = field(default_factory=dict)

    def weights(self) -> dict[str, Tensor]:
        """Return the `state_dict` to predict with and to go on from: `stages`, averages in their place."""
        return dict(self.stages) | dict(self.average)

    def save(self, folder: Path) -> Path:
        """Write `checkpoint.pt`, then `summary.json` that vouches for it, each renamed into place."""
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / FILE_NAME
        temporary = target.with_suffix(f".{os.getpid()}.tmp")
        torch.save(self.plain(), temporary)
        os.replace(temporary, target)
        summary = {"bytes": target.stat().st_size, "metrics": dict(self.metrics)}
        atomic_write(folder / SUMMARY_NAME, json.dumps(summary, indent=1))
        return target

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> "Checkpoint":
        """Read what `save` wrote; nothing but tensors and plain values is unpickled.

        Raises:
            FileNotFoundError: `folder` holds no checkpoint.
        """
        return cls.from_plain(torch.load(folder / FILE_NAME, map_location=device, weights_only=True))

    def plain(self) -> dict[str, Any]:
        """Return the content as tensors and plain values, which load without unpickling code."""
        return {name: getattr(self, name) for name in _PLAIN} | {"position": asdict(self.position)}

    @classmethod
    def from_plain(cls, saved: Mapping[str, Any]) -> "Checkpoint":
        """Build from what `plain` returned."""
        return cls(position=Position(**saved["position"]), **{name: saved[name] for name in _PLAIN})


_PLAIN = ("stages", "optimizer", "settings", "context", "metrics", "average")


def metrics_of(folder: Path) -> dict[str, float] | None:
    """Return the metrics reported with a checkpoint, or None where it is not whole.

    A process killed while it copies a checkpoint leaves a part of it; the summary's byte
    count tells.
    """
    try:
        summary = json.loads((folder / SUMMARY_NAME).read_text())
        whole = (folder / FILE_NAME).stat().st_size == summary["bytes"]
    except (OSError, json.JSONDecodeError):
        return None
    return dict(summary["metrics"]) if whole else None
