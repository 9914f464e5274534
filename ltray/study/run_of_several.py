"""The session of one of a trial's runs: counts epochs over all runs and marks reports with their run."""

from collections.abc import Mapping
from dataclasses import replace

from ltray.engine.checkpoint import Checkpoint
from ltray.engine.session import Session

RUN, RUN_EPOCH, TOTAL = "run", "run_epoch", "total_epochs"
RUN_SEED = "run_seed"  # the training seed of a run, in the metrics of a trial of several seeds
RUN_FOLD = "run_fold"  # the fold of a run, from 0, in the metrics of a cross-validation; that of the last run is K
COMPLETE_RUNS = (RUN_SEED, RUN_FOLD)
"""Marks of the metrics of a trial of several complete runs; stopping rules compare only the first runs."""
A_RUN = 1000.0  # in the score of a checkpoint: above every sum of stages and accuracies of a run


def is_later_run(metrics: Mapping[str, object]) -> bool:
    """Return whether an epoch is of the second or a later one of a trial's complete runs."""
    return any(mark in metrics for mark in COMPLETE_RUNS) and bool(metrics[RUN])


class RunOfSeveral:
    """The session of one run.

    Args:
        session: The trial's session.
        run: Index of the run.
        saved: A checkpoint of this run from which to continue.
        last: The newest checkpoint of the trial.

    Attributes:
        last: The newest checkpoint of the trial.
        run: Index of the run.
    """

    def __init__(self, session: Session, *, run: int, saved: Checkpoint | None, last: Checkpoint | None) -> None:
        self.last, self.run = last, run
        self._session, self._saved = session, saved
        self._before = int(last.metrics[TOTAL]) if last else 0
        if saved:
            self._before -= int(saved.metrics[RUN_EPOCH])

    def resume(self) -> Checkpoint | None:
        """Return the checkpoint of this run from which to continue."""
        return self._saved

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Pass metrics and checkpoint to the trial's session, with the marks of the run."""
        own = {RUN: self.run, RUN_EPOCH: metrics[TOTAL], TOTAL: self._before + metrics[TOTAL]}
        self.last = replace(checkpoint, metrics=dict(metrics) | own | self.marks(metrics, checkpoint))
        self._session.report(self.last.metrics, self.last)

    def marks(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> dict[str, float]:
        """Return the metrics that replace the run's own or are added to them."""
        return {}
