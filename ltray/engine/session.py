"""The inputs of a run: the receiver of its reports, and its constants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from ltray.engine.checkpoint import Checkpoint
from ltray.engine.held_out import HELD_OUT, HeldOut


class Session(Protocol):
    """The receiver of a run's reports: Ray in production, memory in tests."""

    def resume(self) -> Checkpoint | None:
        """Return the checkpoint to continue from, or None for a new run."""
        ...

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Receive the metrics and the state at the end of an epoch; called on every worker."""
        ...


@dataclass(frozen=True)
class Run:
    """The constants of a run.

    Attributes:
        seed: Seed of order, augmentation and every random draw.
        device: The device of the stages.
        selection: Prefix of the metrics that epochs are compared on: "val", or "test"
            under the `paper` protocol.
        objective: The metric by which epochs are compared, such as "acc_few".
        settings: The run's settings, kept in every checkpoint.
        context: Further data for prediction; see `Checkpoint`.
        held_out: The scores of a cross-validation, of which this run trains the model of a fold or the final one.
    """

    seed: int
    device: torch.device
    selection: str = "val"
    objective: str = "acc_all"
    settings: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    held_out: HeldOut | None = None

    @property
    def metric(self) -> str:
        """The metric by which epochs are compared, such as "val/acc_all"."""
        return f"{self.selection}/{self.objective}"

    def saved_context(self) -> Mapping[str, Any]:
        """Return the context of a checkpoint: with the scores of the cross-validation, as they are now."""
        return {**self.context, HELD_OUT: self.held_out.state()} if self.held_out else self.context
