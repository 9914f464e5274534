"""Rules of early stopping, which depend only on the study's record, so that a restart does not change decisions."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Protocol

import numpy as np

Records = Mapping[int, Mapping[int, float]]
"""Finite values by finished epochs, by trial number, including those of ended trials."""

LEAST_OTHERS = 3  # the least number of other trials for the median rule


class Rule(Protocol):
    """Decides whether a trial continues, each time that the trial reports."""

    def should_continue(self, number: int, epoch: int, records: Records) -> bool:
        """Return whether trial `number`, whose value after `epoch` epochs is in `records`, continues."""
        ...


@dataclass(frozen=True)
class SuccessiveHalving:
    """Asynchronous successive halving, in the variant that stops trials and never waits.

    At a rung, a trial continues if its value is not below the (1 − 1/η) quantile, linearly
    interpolated, of the values of the trials that reached the rung earlier; the first trial always continues.

    Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020, sec.
    3; the stopping form and the quantile are those of Ray's ASHAScheduler.

    Attributes:
        rungs: Epochs at which trials are compared, ascending.
        keep_one_in: η.
    """

    rungs: Sequence[int]
    keep_one_in: int

    def should_continue(self, number: int, epoch: int, records: Records) -> bool:
        """Return the decision; between rungs, every trial continues."""
        if epoch not in self.rungs:
            return True
        others = [values[epoch] for other, values in records.items() if other != number and epoch in values]
        if not others:
            return True
        return bool(records[number][epoch] >= np.percentile(others, 100 * (1 - 1 / self.keep_one_in)))


@dataclass(frozen=True)
class HyperBand:
    """Asynchronous HyperBand: brackets of successive halving, each with a later first rung.

    With k rungs there are k + 1 brackets, the last one without rungs; their shares of the trials
    are those of HyperBand. A trial's bracket is a function of its number, and trials are
    compared only within their bracket. Unlike synchronous HyperBand, no trial is ever
    paused: no worker waits, but there is no guarantee that exactly 1/η of the trials at a rung
    continue. With the sampler `tpe`, this resembles BOHB but is not equal to it: BOHB's model uses the
    results of the longest budget that has enough of them, while Optuna's TPE ranks all trials, with
    stopped trials below those that trained for longer.

    Source: Li et al., Hyperband, JMLR 2018, algorithm 1, for the shares.

    Attributes:
        rungs: Epochs at which trials are compared, ascending; the first bracket has all of them.
        keep_one_in: η.
    """

    rungs: Sequence[int]
    keep_one_in: int

    def should_continue(self, number: int, epoch: int, records: Records) -> bool:
        """Return the decision among the trials of the same bracket."""
        brackets = self.brackets(max(records) + 1)
        own = brackets[number]
        alike = {other: values for other, values in records.items() if brackets[other] == own}
        return SuccessiveHalving(self.rungs[own:], self.keep_one_in).should_continue(number, epoch, alike)

    def shares(self) -> list[int]:
        """Return the number of a round's trials in each bracket: ⌈(k+1)/(s+1)·η^s⌉ with s rungs left of k."""
        count = len(self.rungs)
        return [math.ceil((count + 1) / (left + 1) * self.keep_one_in**left) for left in range(count, -1, -1)]

    def brackets(self, trials: int) -> list[int]:
        """Return the bracket of each of the first `trials` trials: the one that is furthest below its share."""
        shares = self.shares()
        given, found = [0] * len(shares), []
        for number in range(trials):
            lacking = [share * (number + 1) - sum(shares) * n for share, n in zip(shares, given, strict=True)]
            bracket = lacking.index(max(lacking))
            given[bracket] += 1
            found.append(bracket)
        return found


@dataclass(frozen=True)
class MedianStopping:
    """The median stopping rule.

    A trial stops after an epoch if its best value so far is below the median, over the other
    trials that have reached that epoch, of the mean of their values up to it.

    Source: Golovin et al., Google Vizier, KDD 2017, sec. 3.2.1. There, the other trials are the
    completed ones; a search with early stopping has few of them.

    Attributes:
        first_rung: Epochs before the first decision.
    """

    first_rung: int

    def should_continue(self, number: int, epoch: int, records: Records) -> bool:
        """Return the decision; with fewer than three other trials, every trial continues."""
        means = [
            fmean(value for at, value in values.items() if at <= epoch)
            for other, values in records.items()
            if other != number and epoch in values
        ]
        if epoch < self.first_rung or len(means) < LEAST_OTHERS:
            return True
        return max(value for at, value in records[number].items() if at <= epoch) >= median(means)


@dataclass(frozen=True)
class StoppingRule:
    """The properties of a rule named in `stop.rule`.

    Attributes:
        settings: The settings of `stop:` that have an effect with it.
        new: Builds the rule from the rungs (epochs, ascending) and η; None if it stops no trial.
        describe: Returns a description of what happens to a trial, from the rungs, η and the epochs of a run.
        population: Whether trials train together and copy each other; see `ltray.study.population`.
    """

    settings: tuple[str, ...] = ()
    new: Callable[[Sequence[int], int], Rule | None] = lambda rungs, keep_one_in: None
    describe: Callable[[Sequence[int], int, int], str] = lambda rungs, keep_one_in, epochs: "no early stopping"
    population: bool = False

    @property
    def stops(self) -> bool:
        """Whether it ends trials before their last epoch."""
        return bool(self.settings) and not self.population


def _halving(name: str, new: Callable[[Sequence[int], int], Rule]) -> StoppingRule:
    def describe(rungs: Sequence[int], keep_one_in: int, epochs: int) -> str:
        return f"early stopping at epochs {list(rungs)} ({name}, 1 in {keep_one_in} continues)"

    return StoppingRule(("fidelity", "rungs", "first_rung", "keep_one_in"), new, describe)


def _below_median(rungs: Sequence[int], keep_one_in: int, epochs: int) -> str:
    return f"stopped below the median from epoch {rungs[0] if rungs else epochs} on"


STOPPING_RULES: Mapping[str, StoppingRule] = {
    "asha": _halving("asha", SuccessiveHalving),
    "hyperband": _halving("hyperband", HyperBand),
    "median": StoppingRule(
        ("first_rung",), lambda rungs, keep_one_in: MedianStopping(rungs[0]) if rungs else None, _below_median
    ),
    "pbt": StoppingRule(("exploit_every", "exploit_share"), population=True),
    "none": StoppingRule(),
}
"""Every rule by its name in `stop.rule`."""


def rules_with(setting: str) -> tuple[str, ...]:
    """Return the names of the rules with which a setting of `stop:` has an effect."""
    return tuple(name for name, rule in STOPPING_RULES.items() if setting in rule.settings)
