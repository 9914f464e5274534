"""A trial of several runs, each longer than the previous one; a search compares trials by the short runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ltray.data.pin import Pin
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.session import Session
from ltray.experiment import Experiment
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.study.run_of_several import A_RUN, RUN, RunOfSeveral


class Runs(Protocol):
    """The runs of a trial with several runs."""

    def train(self, experiment: Experiment, session: Session, device: torch.device, pin: Pin | None = None) -> None:
        """Train the runs one after another, from the session's checkpoint if there is one."""
        ...


@dataclass(frozen=True)
class ShortRuns:
    """The runs of a trial with several runs of increasing length.

    Attributes:
        lengths: `epochs` of each run, ascending.
        promotion: "restart" or "continue"; see `train_runs`.
    """

    lengths: tuple[int, ...]
    promotion: str

    def train(self, experiment: Experiment, session: Session, device: torch.device, pin: Pin | None = None) -> None:
        """Train the runs of a trial; see `train_runs`."""
        train_runs(experiment, self, session=session, device=device, pin=pin)


def train_runs(
    experiment: Experiment,
    runs: ShortRuns,
    *,
    session: Session,
    device: torch.device,
    pin: Pin | None = None,
) -> None:
    """Train the runs of a trial one after another, from the session's checkpoint if there is one.

    Every run uses the seed of the trial, the schedule for its length and its own position. The
    metrics of a checkpoint identify its run, so that a trial that was interrupted during any run
    continues as if it had not been interrupted.

    Args:
        experiment: The last, complete run.
        runs: Their lengths and the start of a longer run. "restart": from scratch, as if there
            were no other run; "continue": from the final weights, queues and averages of the previous
            run, with a new optimiser state and a new schedule (a warm restart).
        session: Receives metrics and a checkpoint after every epoch of every run.
        device: The device to train on.
        pin: The digests of the data; see `Experiment.train`.
    """
    saved = session.resume()
    first = int(saved.metrics[RUN]) if saved else 0
    last = saved
    for index, epochs in enumerate(runs.lengths[first:], start=first):
        own = _ShortRun(session, runs.lengths, run=index, saved=saved if index == first else None, last=last)
        start = last if runs.promotion == "continue" and index > first else None
        experiment.shortened(epochs).train(own, device, start=start, pin=pin)
        last = own.last


class _ShortRun(RunOfSeveral):
    """The session of one run of increasing lengths.

    Args:
        session: The trial's session.
        lengths: `epochs` of each run.
        run: Index of the run.
        saved: A checkpoint of this run from which to continue.
        last: The newest checkpoint of the trial.
    """

    def __init__(
        self,
        session: Session,
        lengths: Sequence[int],
        *,
        run: int,
        saved: Checkpoint | None,
        last: Checkpoint | None,
    ) -> None:
        super().__init__(session, run=run, saved=saved, last=last)
        self._lengths = lengths

    def marks(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> dict[str, float]:
        """Return the epochs of all runs, and a score: checkpoints of a later run have a higher one."""
        untrained = metrics[PLANNED_EPOCHS] - self._lengths[self.run]  # stages without epochs report once per run
        return {
            PLANNED_EPOCHS: sum(self._lengths) + untrained * len(self._lengths),
            CHECKPOINT_SCORE: A_RUN * self.run + metrics[CHECKPOINT_SCORE],
        }
