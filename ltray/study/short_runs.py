"""A trial of several runs, each longer than the previous one; a search compares trials by the short runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from ltray.data.pin import Pin
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.session import Session
from ltray.experiment import Experiment
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS

RUN, RUN_EPOCH, TOTAL = "run", "run_epoch", "total_epochs"
A_RUN = 1000.0  # in the score of a checkpoint: above every sum of stages and accuracies of a run


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
        own = _RunOfSeveral(session, runs.lengths, run=index, saved=saved if index == first else None, last=last)
        start = last if runs.promotion == "continue" and index > first else None
        experiment.shortened(epochs).train(own, device, start=start, pin=pin)
        last = own.last


class _RunOfSeveral:
    """The session of one run: counts epochs over all runs, and marks metrics and checkpoints with their run.

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
        self.last = last
        self._lengths = lengths
        self._session, self._run, self._saved = session, run, saved
        self._before = int(last.metrics[TOTAL]) if last else 0
        if saved:
            self._before -= int(saved.metrics[RUN_EPOCH])

    def resume(self) -> Checkpoint | None:
        """Return the checkpoint of this run from which to continue."""
        return self._saved

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Pass metrics and checkpoint to the trial's session; checkpoints of a later run have a higher score."""
        untrained = metrics[PLANNED_EPOCHS] - self._lengths[self._run]  # stages without epochs report once per run
        own = {
            PLANNED_EPOCHS: sum(self._lengths) + untrained * len(self._lengths),
            RUN: self._run,
            RUN_EPOCH: metrics[TOTAL],
            TOTAL: self._before + metrics[TOTAL],
            CHECKPOINT_SCORE: A_RUN * self._run + metrics[CHECKPOINT_SCORE],
        }
        self.last = replace(checkpoint, metrics=dict(metrics) | own)
        self._session.report(self.last.metrics, self.last)
