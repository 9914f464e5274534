"""What a run is given: who takes its reports, and what stays fixed while it trains."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from ltray.engine.checkpoint import Checkpoint


class Session(Protocol):
    """Whoever started the run: Ray in production, memory in tests."""

    def resume(self) -> Checkpoint | None:
        """Return the checkpoint to continue from, or None for a fresh run."""
        ...

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Take the metrics and the state at the end of an epoch; called on every worker."""
        ...


@dataclass(frozen=True)
class Run:
    """What stays fixed while a run trains.

    Attributes:
        seed: Seed of order, augmentation and every random draw.
        device: Where the stages live.
        selection: Prefix of the metrics that epochs are compared on: "val", or "test"
            under the `paper` protocol.
        objective: The metric that epochs are compared on, such as "acc_few".
        settings: The run's settings, kept in every checkpoint.
        context: What prediction needs besides; see `Checkpoint`.
    """

    seed: int
    device: torch.device
    selection: str = "val"
    objective: str = "acc_all"
    settings: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """The metric that epochs are compared on, such as "val/acc_all"."""
        return f"{self.selection}/{self.objective}"
