"""Early stopping with Tune's interface, without a cluster."""

import math
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.schedulers import ASHAScheduler

from ltray.on_ray.scheduler import EPOCHS, RuleScheduler
from ltray.on_ray.tasks import TASK, TrialTask
from ltray.strategies.stopping_rules import HyperBand, MedianStopping, SuccessiveHalving
from ltray.study.progress import TrialProgress

METRIC = "val/acc_all"
RULES = [SuccessiveHalving((1, 3), 3), HyperBand((1, 3), 3), MedianStopping(2)]


def trial(number):
    return SimpleNamespace(config={TASK: TrialTask(number, 0, {})}, trial_id=f"id-{number}")


def report(scheduler, number, epoch, value):
    result = {METRIC: value, EPOCHS: epoch}
    return scheduler.on_trial_result(None, trial(number), result) if epoch < 9 else None


def curves(seed, count=24):
    chance = random.Random(seed)
    return {n: {epoch: round(chance.random(), 3) for epoch in range(1, 9)} for n in range(count)}


def decisions(scheduler, curves, first=0):
    """Train one trial after another; return the epoch at which each ended."""
    ended = {}
    for number in sorted(curves):
        for epoch, value in curves[number].items():
            if number >= first and number not in ended and report(scheduler, number, epoch, value) == "STOP":
                ended[number] = epoch
    return ended


@pytest.mark.parametrize("seed", range(5))
def test_halving_decides_like_the_correct_decisions_of_ray(seed):
    stock = ASHAScheduler(
        time_attr=EPOCHS, metric=METRIC, mode="max", max_t=9, grace_period=1, reduction_factor=3, stop_last_trials=False
    )
    for number in range(24):
        stock.on_trial_add(None, trial(number))
    ours = RuleScheduler(SuccessiveHalving((1, 3), 3), metric=METRIC, recorded={})
    assert decisions(ours, curves(seed)) == decisions(stock, curves(seed)) != {}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("stopped_after", [1, 9, 17])
def test_restart_does_not_change_decisions(rule, stopped_after):
    values = curves(1)
    uninterrupted = decisions(RuleScheduler(rule, metric=METRIC, recorded={}), values)
    assert uninterrupted
    begun = {n: c for n, c in values.items() if n < stopped_after}
    before = decisions(RuleScheduler(rule, metric=METRIC, recorded={}), begun)
    recorded = {n: {e: v for e, v in c.items() if e <= before.get(n, 8)} for n, c in begun.items()}
    after = decisions(RuleScheduler(rule, metric=METRIC, recorded=recorded), values, first=stopped_after)
    assert before | after == uninterrupted


@pytest.mark.parametrize("rule", [*RULES, None])
def test_non_finite_value_ends_its_trial_and_is_not_recorded(rule):
    scheduler = RuleScheduler(rule, metric=METRIC, recorded={})
    assert report(scheduler, 0, 1, math.nan) == "STOP"
    scheduler.on_trial_complete(None, trial(1), {METRIC: math.inf, EPOCHS: 9})
    scheduler.on_trial_complete(None, trial(2), {"failure": "loss/total is not finite"})
    for number in range(3, 9):
        assert report(scheduler, number, 1, 0.0) == "CONTINUE"


def test_class_of_ray_continues_a_trial_with_nan():
    stock = ASHAScheduler(time_attr=EPOCHS, metric=METRIC, mode="max", max_t=9, grace_period=1, reduction_factor=2)
    for number in range(4):
        stock.on_trial_add(None, trial(number))
        report(stock, number, 1, 0.5)
    stock.on_trial_add(None, trial(4))
    assert report(stock, 4, 1, math.nan) == "CONTINUE"


@pytest.mark.parametrize("rule", RULES)
def test_resumed_trial_repeats_its_last_decision(rule):
    recorded = {n: {1: 0.9, 2: 0.9, 3: 0.9} for n in range(12)} | {12: {1: 0.9, 2: 0.9, 3: 0.1}}
    recorded[12] = {1: 0.1, 2: 0.1, 3: 0.1}
    scheduler = RuleScheduler(rule, metric=METRIC, recorded=recorded)
    own = [n for n in range(12) if report(scheduler, n, 3, 0.9) == "STOP"]
    assert not own and report(scheduler, 12, 3, 0.1) == "STOP"


def interleaved(values, rule, order, *, kills=()):
    """Report epochs of trials in the given order; return every decision. A restarted driver repeats the last report."""
    scheduler = RuleScheduler(rule, metric=METRIC, recorded={})
    at, records, progress, decided = {}, {}, {}, {}
    for place, number in enumerate(order):
        if place in kills:
            scheduler = RuleScheduler(rule, metric=METRIC, recorded=records, progress=progress)
            running = [n for n, known in progress.items() if not known.stopped and at[n] < 8]
            for again in running:  # a resumed trial reports its last epoch again
                assert report(scheduler, again, at[again], records[again][at[again]]) == "CONTINUE"
        known = progress.get(number, TrialProgress())
        epoch = at.get(number, 0) + 1
        if known.stopped or epoch > 8:
            continue
        decision = report(scheduler, number, epoch, values[number][epoch])
        decided[number, epoch], at[number] = decision, epoch
        records.setdefault(number, {})[epoch] = values[number][epoch]
        stopped = epoch if decision == "STOP" else 0
        progress[number] = TrialProgress(epoch=epoch, continued=0 if stopped else epoch, stopped=stopped)
    return decided


@given(
    st.integers(0, 10**6),
    st.sampled_from(RULES),
    st.lists(st.integers(0, 9), min_size=20, max_size=120),
    st.lists(st.integers(0, 119), max_size=4),
)
def test_continued_search_decides_like_an_uninterrupted_one(seed, rule, order, kills):
    values = curves(seed, count=10)
    assert interleaved(values, rule, order, kills=kills) == interleaved(values, rule, order)


def test_stopped_but_unrecorded_trial_is_stopped_by_the_next_driver():
    recorded = {n: {1: 0.5} for n in range(3)}
    progress = {2: TrialProgress(epoch=1, stopped=1)}
    scheduler = RuleScheduler(SuccessiveHalving((1,), 3), metric=METRIC, recorded=recorded, progress=progress)
    assert report(scheduler, 2, 1, 0.5) == "STOP" and report(scheduler, 1, 1, 0.5) == "CONTINUE"


def test_trials_without_a_rule_run_completely():
    scheduler = RuleScheduler(None, metric=METRIC, recorded={})
    assert not decisions(scheduler, curves(0))
