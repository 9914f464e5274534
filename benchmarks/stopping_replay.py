"""Analysis of recorded curves: how well early values rank final ones, and the cost of a search over them."""

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna

from benchmarks.stopping_curves import Curve, Job, settings_of, space_of
from ltray.space.search_space import SearchSpace
from ltray.strategies.stopping_rules import SuccessiveHalving
from ltray.study.trial_plan import rungs_of

RESAMPLES, REPETITIONS = 2000, 20
Table = Mapping[tuple[str, int], Mapping[int, Curve]]
"""Curves by setting, for each schedule and length of a run."""


@dataclass(frozen=True)
class Fidelity:
    """An early comparison of settings.

    Attributes:
        name: A description.
        epochs: The cost of a setting.
        early: The early value of each setting.
        final: The result of the complete run: its best epoch, as in a search.
    """

    name: str
    epochs: int
    early: Sequence[int]
    final: Sequence[int]


@dataclass(frozen=True)
class Needed:
    """Epochs of one repetition of a replayed search.

    Attributes:
        random: All epochs of random search, in which every trial is trained completely.
        until_best: Its epochs until the end of its best trial, which is known only afterwards.
        stopping: Epochs of TPE with ASHA until a completely trained trial is as good; all its epochs if no
            trial is.
        reached: Whether a trial is as good; False if all trials that are as good were stopped early.
    """

    random: int
    until_best: int
    stopping: int
    reached: bool


def by_run(curves: Sequence[Curve], name: str) -> Table:
    """Sort a set's curves, without curves that ended early with a NaN."""
    found: dict[tuple[str, int], dict[int, Curve]] = {}
    for curve in curves:
        job: Job = curve.job
        if job.set == name and len(curve.live) == job.epochs:
            found.setdefault((job.schedule, job.epochs), {})[job.setting] = curve
    return found


def fidelities(table: Table, schedule: str, full: int) -> list[Fidelity]:
    """Return the early comparisons for a schedule, over the settings that have all of its runs."""
    runs = {epochs: curves for (kind, epochs), curves in table.items() if kind == schedule}
    common = sorted(set.intersection(*(set(curves) for curves in runs.values())))
    found = []
    for weights in ("live", "average"):
        final = [max(getattr(runs[full][setting], weights)) for setting in common]
        for epochs in (full // 4, full // 2):
            early = [getattr(runs[full][setting], weights)[epochs - 1] for setting in common]
            found.append(Fidelity(f"first {epochs} of {full}, {weights} weights", epochs, early, final))
            if epochs in runs:
                short = [getattr(runs[epochs][setting], weights)[-1] for setting in common]
                found.append(Fidelity(f"short run of {epochs}, {weights} weights", epochs, short, final))
    return found


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Return Kendall's τ-b of two rankings; NaN if one has only ties."""
    one, two = (np.sign(np.subtract.outer(values, values)) for values in (first, second))
    scale = math.sqrt(float((one**2).sum()) * float((two**2).sum()))
    return float((one * two).sum()) / scale if scale else math.nan


def tau_interval(fidelity: Fidelity) -> tuple[float, float]:
    """Return the 95 % percentile interval of τ over settings resampled with replacement."""
    chance = np.random.default_rng(0)
    early, final = np.asarray(fidelity.early), np.asarray(fidelity.final)
    draws = chance.integers(0, len(early), (RESAMPLES, len(early)))
    taus = [kendall_tau(early[draw], final[draw]) for draw in draws]
    low, high = np.nanpercentile(taus, [2.5, 97.5])
    return float(low), float(high)


def regret(fidelity: Fidelity) -> float:
    """Return the difference in images between the best final value and that of the early best (mean over ties)."""
    chosen = [last for first, last in zip(fidelity.early, fidelity.final, strict=True) if first == max(fidelity.early)]
    return max(fidelity.final) - sum(chosen) / len(chosen)


def epochs_needed(curves: Mapping[int, Curve], name: str, *, slacks: Sequence[int]) -> dict[int, list[Needed]]:
    """Return the epochs of random search and of TPE with ASHA for the same value, for each repetition.

    Random search tries half of the recorded settings in a random order, all completely; TPE with
    ASHA proposes settings until a completely trained setting is as good. A proposal is replaced
    with the nearest recorded setting that was not tried.

    Args:
        curves: The curves of complete runs, by setting.
        name: The set.
        slacks: Numbers of validation images by which a value may be lower and still count as equally good;
            each has an entry of the result.
    """
    space = space_of(name)
    settings = settings_of(space, max(curves) + 1)
    epochs = len(next(iter(curves.values())).live)
    found: dict[int, list[Needed]] = {slack: [] for slack in slacks}
    for repetition in range(REPETITIONS):
        order = random.Random(repetition).sample(sorted(curves), len(curves))[: len(curves) // 2]
        finals = [max(curves[setting].live) for setting in order]
        until_best = (finals.index(max(finals)) + 1) * epochs
        ends, spent = _with_stopping(space, settings, curves, seed=repetition)
        for slack in slacks:
            costs = [cost for cost, value in ends if value >= max(finals) - slack]
            found[slack].append(Needed(len(order) * epochs, until_best, (costs or [spent])[0], bool(costs)))
    return found


def _with_stopping(
    space: SearchSpace, settings: Sequence[Mapping[str, Any]], curves: Mapping[int, Curve], *, seed: int
) -> tuple[list[tuple[int, int]], int]:
    """Search until no setting is left; return cost and value at the end of each complete run, and the total cost."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    sampler = optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    epochs = len(next(iter(curves.values())).live)
    rule = SuccessiveHalving(rungs_of(space.stop, epochs, (), former=True), space.stop.keep_one_in)
    records: dict[int, dict[int, float]] = {}
    left, ends, cost = set(curves), list[tuple[int, int]](), 0
    while left:
        trial = study.ask()
        setting = _nearest(space, settings, left, space.suggest(trial))
        left.remove(setting)
        records[setting] = {}
        for epoch, value in enumerate(curves[setting].live, start=1):
            records[setting][epoch] = float(value)
            if epoch < epochs and not rule.should_continue(setting, epoch, records):
                break
        cost += len(records[setting])
        complete = len(records[setting]) == epochs
        if complete:
            ends.append((cost, max(curves[setting].live)))
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        study.add_trial(
            optuna.trial.create_trial(
                params={d.key: settings[setting][d.key] for d in space.dimensions},
                distributions=trial.distributions,
                value=max(records[setting].values()) if complete else None,
                intermediate_values=records[setting],
                state=optuna.trial.TrialState.COMPLETE if complete else optuna.trial.TrialState.PRUNED,
            )
        )
    return ends, cost


def _nearest(
    space: SearchSpace, settings: Sequence[Mapping[str, Any]], left: set[int], wanted: Mapping[str, Any]
) -> int:
    def distance(setting: int) -> float:
        total = 0.0
        for d in space.dimensions:
            one, two = settings[setting][d.key], wanted[d.key]
            if d.low is None or d.high is None:
                total += float(one != two)
            elif d.log:
                total += (math.log(one / two) / math.log(d.high / d.low)) ** 2
            else:
                total += ((one - two) / (d.high - d.low)) ** 2
        return total

    return min(sorted(left), key=distance)
