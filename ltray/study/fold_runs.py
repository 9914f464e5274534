"""A cross-validation: a run for each fold, whose scores are pooled, and a final run on all images."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ltray.data.dataset import ImageData
from ltray.data.fold_data import FoldData
from ltray.data.pin import Pin
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.held_out import HELD_OUT, HeldOut
from ltray.engine.session import Session
from ltray.experiment import Experiment
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.study.run_of_several import A_RUN, RUN, RUN_FOLD, RunOfSeveral
from ltray.study.short_runs import Runs


def runs_of(experiment: Experiment) -> int:
    """Return the number of complete trainings of an experiment: with K folds, K and the final one."""
    return experiment.dataset.folds + 1 if experiment.dataset.folds else 1


def train_experiment(
    experiment: Experiment, session: Session, device: torch.device, *, pin: Pin | None = None, runs: Runs | None = None
) -> None:
    """Train an experiment, all of its runs.

    Args:
        experiment: The experiment.
        session: Receives metrics and a checkpoint after every epoch of every run.
        device: The device to train on.
        pin: The digests of the data; see `Experiment.train`.
        runs: The runs of a trial with several runs; None: one run, or those of the data set's folds.
    """
    if runs:
        runs.train(experiment, session, device, pin=pin)
    elif experiment.dataset.folds:
        FoldRuns().train(experiment, session, device, pin=pin)
    else:
        experiment.train(session, device, pin=pin)


@dataclass(frozen=True)
class FoldRuns:
    """The runs of a cross-validation: of each fold, then on all images, each from scratch with the same seed.

    The values of an epoch are those of the pooled scores of all folds so far after as many epochs. The final run is
    not evaluated: its epochs have the values of the complete cross-validation, so that its best epoch, whose
    checkpoint is the result, is the one that the cross-validation selects.
    """

    def train(self, experiment: Experiment, session: Session, device: torch.device, pin: Pin | None = None) -> None:
        """Train the runs one after another, from the session's checkpoint if there is one.

        A checkpoint contains the scores of all earlier folds, and its metrics identify its run: a cross-validation
        that was interrupted during any run continues as if it had not been interrupted.
        """
        saved = session.resume()
        experiment = experiment.determined_on(device, saved)
        data = experiment.checked_data(device, pin=pin, saved=saved)
        folds, first = experiment.dataset.folds, int(saved.metrics[RUN]) if saved else 0
        held_out = HeldOut.from_state(saved.context[HELD_OUT]) if saved else _without_scores(experiment, data)
        last = saved
        for run in range(first, folds + 1):
            own = _RunOfFold(session, folds + 1, run=run, saved=saved if run == first else None, last=last)
            images = FoldData(data, run) if run < folds else data
            experiment.train_on(images, own, device, held_out=held_out.of_run(run))
            last = own.last


def _without_scores(experiment: Experiment, data: ImageData) -> HeldOut:
    assert data.splits.folds is not None
    return HeldOut.new(
        torch.from_numpy(data.splits.folds),
        torch.from_numpy(data.splits.train.labels),
        count=experiment.dataset.folds,
        epochs=experiment.planned_epochs(data.tail),
        classes=data.tail.classes,
    )


class _RunOfFold(RunOfSeveral):
    """The session of one run of a cross-validation.

    Args:
        session: The session of all runs.
        count: Number of runs.
        run: Index of the run.
        saved: A checkpoint of this run from which to continue.
        last: The newest checkpoint of all runs.
    """

    def __init__(
        self, session: Session, count: int, *, run: int, saved: Checkpoint | None, last: Checkpoint | None
    ) -> None:
        super().__init__(session, run=run, saved=saved, last=last)
        self._count = count

    def marks(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> dict[str, float]:
        """Return the fold, the epochs of all runs, and a score: checkpoints of a later run have a higher one."""
        return {
            PLANNED_EPOCHS: metrics[PLANNED_EPOCHS] * self._count,
            RUN_FOLD: self.run,
            CHECKPOINT_SCORE: A_RUN * self.run + metrics[CHECKPOINT_SCORE],
        }
