"""The reports of a worker about a run that cannot continue, with Ray and without."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch

from ltray.data.pin import Pins
from ltray.engine.session import Session
from ltray.engine.train_step import NotFinite
from ltray.errors import CannotWrite, UsageError
from ltray.experiment import Experiment
from ltray.study.fold_runs import train_experiment
from ltray.study.short_runs import Runs

FAILURE = "failure"  # the key of the reason why a run cannot continue
LATER = "later"  # the key that it adds if it can continue later: the disk was full


class WorkerSession(Session, Protocol):
    """A session that also reports the reason why a run cannot continue."""

    def fail(self, report: Mapping[str, Any]) -> None:
        """Report a failure that is the same on every worker."""
        ...

    def refuse(self, error: UsageError) -> None:
        """Report settings, data or files that cannot be used, perhaps on only one worker."""
        ...


def train_and_report(
    settings: Mapping[str, Any],
    session: WorkerSession,
    device: torch.device,
    *,
    pins: Pins,
    runs: Runs | None = None,
) -> None:
    """Train; an error that would occur again is reported as the run's failure and not retried.

    If a loss is not finite, every worker has the same loss and sends the same report.

    Args:
        settings: Flat settings of the experiment to train.
        session: Receives the reports.
        device: The device of the training.
        pins: The digests of the command's data sets; a node with different data ends the run.
        runs: See `train_experiment`.
    """
    try:
        experiment = Experiment.from_settings(settings, complete=True)
        train_experiment(experiment, session, device, pin=pins.of(experiment.dataset), runs=runs)
    except NotFinite as error:
        session.fail({FAILURE: str(error)})
    except UsageError as error:
        session.refuse(error)


def report_of(error: UsageError) -> dict[str, Any]:
    """Return the report of a run that an error ended; after the error of a full disk, it can continue later."""
    return {FAILURE: str(error)} | ({LATER: True} if isinstance(error, CannotWrite) else {})
