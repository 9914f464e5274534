"""A trial of several complete runs on different seeds; its value is the mean over the runs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from ltray.data.pin import Pin
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.session import Session
from ltray.experiment import Experiment
from ltray.knobs import HIGHEST_SEED
from ltray.metrics import PLANNED_EPOCHS
from ltray.study.run_of_several import RUN, RUN_SEED, RunOfSeveral

_BEST, _EARLIER = "_best", "earlier_runs/"


def seeds_from(first: int, count: int) -> list[int]:
    """Return consecutive seeds; the lowest seed follows the highest.

    Args:
        first: The first seed.
        count: Number of seeds.
    """
    return [(first + index) % (HIGHEST_SEED + 1) for index in range(count)]


@dataclass(frozen=True)
class SeedRuns:
    """The runs of a trial on several seeds.

    Attributes:
        count: Number of runs; the first has the trial's seed, each further one the seed after it.
    """

    count: int

    def train(self, experiment: Experiment, session: Session, device: torch.device, pin: Pin | None = None) -> None:
        """Train the runs one after another, each from scratch, from the session's checkpoint if there is one.

        The metrics of a checkpoint identify its run, so that a trial that was interrupted during any run continues
        as if it had not been interrupted: runs that have ended are not repeated.

        Args:
            experiment: The run of the first seed.
            session: Receives metrics and a checkpoint after every epoch of every run.
            device: The device to train on.
            pin: The digests of the data; see `Experiment.train`.
        """
        saved = session.resume()
        first = int(saved.metrics[RUN]) if saved else 0
        last = saved
        for index, seed in list(enumerate(seeds_from(experiment.seed, self.count)))[first:]:
            own = _RunOfSeed(session, self.count, run=index, saved=saved if index == first else None, last=last)
            replace(experiment, seed=seed).train(own, device, pin=pin)
            last = own.last


class _RunOfSeed(RunOfSeveral):
    """The session of one run: averages the best values over the runs so far.

    Args:
        session: The trial's session.
        count: Number of runs.
        run: Index of the run.
        saved: A checkpoint of this run from which to continue.
        last: The newest checkpoint of the trial.
    """

    def __init__(
        self, session: Session, count: int, *, run: int, saved: Checkpoint | None, last: Checkpoint | None
    ) -> None:
        super().__init__(session, run=run, saved=saved, last=last)
        self._count = count
        known: Mapping[str, float] = last.metrics if last else {}
        # The sum of the best values of the earlier runs, by metric, computed from the mean in the newest checkpoint.
        self._sums = {
            name: known[_EARLIER + name] if saved else known[name] * run
            for name in known
            if run and name.endswith(_BEST) and not name.startswith(_EARLIER)
        }

    def marks(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> dict[str, float]:
        """Return the seed, the epochs of all runs, and best values: means over the runs so far."""
        own: dict[str, float] = {
            PLANNED_EPOCHS: metrics[PLANNED_EPOCHS] * self._count,
            RUN_SEED: checkpoint.settings["seed"],
        }
        for name in [name for name in metrics if name.endswith(_BEST)]:
            before = self._sums.get(name, 0.0)
            own |= {name: (before + metrics[name]) / (self.run + 1), _EARLIER + name: before}
        return own


def mean_and_error(values: Mapping[int, float]) -> tuple[float, float]:
    """Return the mean over the runs of a trial, and its standard error (NaN for one run).

    Args:
        values: The best value of each run, by the index of the run.
    """
    count = len(values)
    mean = math.fsum(values.values()) / count
    if count < 2:
        return mean, math.nan
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values.values()) / (count - 1) / count)
