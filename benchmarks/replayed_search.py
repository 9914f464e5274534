"""A search on recorded curves: ltray's own samplers and stopping rules, in simulated time.

Trials run in parallel in a number of slots; an epoch takes one unit of time in each. A proposal is replaced by the
nearest recorded setting that was not tried, which the study records as if it had been proposed. Trials of `cmaes`,
which recognises its own proposals, keep them and get the curve of the nearest recorded setting.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState

from ltray.experiment import Experiment
from ltray.space.search_space import SearchSpace
from ltray.strategies.samplers import OWN_STATE
from ltray.strategies.stopping_rules import Rule
from ltray.study.study import ask, begin


@dataclass(frozen=True)
class Table:
    """The recorded curves of a task as one repetition sees them.

    Attributes:
        space: The search space.
        settings: The explored values of each setting.
        seen: The curve of each setting with the seed that the search sees; shorter than `epochs` if a loss was NaN.
        true: The mean over the held-out seeds of the best epoch of each setting.
        epochs: Epochs of a complete run.
    """

    space: SearchSpace
    settings: Sequence[Mapping[str, Any]]
    seen: Sequence[Sequence[float]]
    true: Sequence[float]
    epochs: int

    def position(self, values: Mapping[str, Any]) -> np.ndarray:
        """Return a setting's coordinates, each range as the unit interval on its scale; a choice is its index."""
        found = []
        for d in self.space.dimensions:
            value = values[d.key]
            if d.low is None or d.high is None:
                found.append(float((d.among or ()).index(value)))
            elif d.log:
                found.append(math.log(value / d.low) / math.log(d.high / d.low))
            else:
                found.append((value - d.low) / (d.high - d.low))
        return np.array(found)


@dataclass(frozen=True)
class Ended:
    """A trial that ran completely.

    Attributes:
        spent: Epochs of all trials until it ended.
        setting: Its recorded setting.
        value: The value that the search saw.
    """

    spent: int
    setting: int
    value: float


@dataclass(frozen=True)
class Method:
    """A way to search.

    Attributes:
        sampler: `search.sampler`.
        rule: The rule of early stopping; None: every trial is complete.
        slots: Trials in parallel.
        prior: `search.prior`.
        centre: The recorded setting around which the sampler `prior` begins; None: the papers' setting.
        first_try: Whether this setting is the first trial.
    """

    sampler: str
    rule: Rule | None = None
    slots: int = 4
    prior: str = "medium"
    centre: int | None = None
    first_try: bool = True


class ReplayedSearch:
    """One search until its epochs are spent or every setting was tried.

    Args:
        table: The task.
        method: How it searches.
        epochs: Epochs to spend over all trials.
        seed: `search.seed`.
    """

    def __init__(self, table: Table, method: Method, *, epochs: int, seed: int) -> None:
        self._table, self._method, self._budget = table, method, epochs
        search = replace(table.space.search, sampler=method.sampler, prior=method.prior, seed=seed, first_try=())
        search = replace(search, trials=max(epochs // table.epochs, 1))
        self._space = replace(table.space, search=search)
        if method.centre is not None:
            self._space = _with_papers(self._space, table.settings[method.centre])
        self._study = optuna.create_study(directions=search.directions())
        begin(self._study, self._space, ())
        self._records: dict[int, dict[int, float]] = {}
        self._setting_of: dict[int, int] = {}
        self._left = dict(enumerate(table.position(one) for one in table.settings))
        self._positions = dict(self._left)

    def run(self) -> list[Ended]:
        """Return the complete trials in the order in which they ended."""
        reports: list[tuple[int, int]] = []  # (time of the next report, trial)
        trials: dict[int, optuna.Trial] = {}
        ended: list[Ended] = []
        spent = now = 0
        while True:
            while len(reports) < self._method.slots and spent < self._budget and self._left:
                trial = self._ask()
                trials[trial.number] = trial
                heapq.heappush(reports, (now + 1, trial.number))
            if not reports:
                return ended
            now, number = heapq.heappop(reports)
            spent += 1
            state = self._report(trials[number])
            if state is None:
                heapq.heappush(reports, (now + 1, number))
                continue
            value = max(self._records[number].values(), default=math.nan)
            self._study.tell(trials.pop(number), value if state == TrialState.COMPLETE else None, state=state)
            if state == TrialState.COMPLETE:
                ended.append(Ended(spent, self._setting_of[number], value))

    def _report(self, trial: optuna.Trial) -> TrialState | None:
        """Report the next epoch of a trial; return its state if it ends with it."""
        curve, records = self._table.seen[self._setting_of[trial.number]], self._records[trial.number]
        epoch = len(records) + 1
        if epoch > len(curve):
            return TrialState.FAIL  # the loss was NaN
        records[epoch] = curve[epoch - 1]
        trial.report(records[epoch], epoch)
        if epoch == self._table.epochs:
            return TrialState.COMPLETE
        rule = self._method.rule
        continues = rule is None or rule.should_continue(trial.number, epoch, self._records)
        return None if continues else TrialState.PRUNED

    def _ask(self) -> optuna.Trial:
        """Return the next trial, whose settings are recorded ones."""
        first = self._method.centre or 0
        if self._method.first_try and first in self._left and not self._records:
            trial = self._given(first)
        else:
            trial, drawn = ask(self._study, self._space)
            nearest = self._nearest(drawn)
            if self._method.sampler not in OWN_STATE:
                self._study.tell(trial, state=TrialState.FAIL)  # samplers ignore it
                trial = self._given(nearest)
            self._setting_of[trial.number] = nearest
        setting = self._setting_of[trial.number]
        self._left.pop(setting, None)
        self._records[trial.number] = {}
        return trial

    def _given(self, setting: int) -> optuna.Trial:
        self._study.enqueue_trial(dict(self._table.settings[setting]))
        trial, _ = ask(self._study, self._space)
        self._setting_of[trial.number] = setting
        return trial

    def _nearest(self, drawn: Mapping[str, Any]) -> int:
        among = self._positions if self._method.sampler in OWN_STATE else self._left
        wanted = self._table.position(drawn)
        return min(among, key=lambda setting: (float(((among[setting] - wanted) ** 2).sum()), setting))


def _with_papers(space: SearchSpace, settings: Mapping[str, Any]) -> SearchSpace:
    """Return the space as if the papers' setting had other values."""
    (alternative,) = space.alternatives
    base = Experiment.from_settings(alternative.base.settings() | dict(settings), complete=True)
    return replace(space, alternatives=(replace(alternative, base=base),))
