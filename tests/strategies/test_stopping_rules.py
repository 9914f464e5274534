"""Stopping rules: pure functions of the recorded values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.space.search_settings import Stop
from ltray.strategies.stopping_rules import STOPPING_RULES, HyperBand, MedianStopping, SuccessiveHalving

RUNGS = (1, 3, 9)
shares = st.integers(0, 100).map(lambda share: share / 100)


def test_first_trial_of_a_rung_and_all_trials_between_rungs_continue():
    rule = SuccessiveHalving(RUNGS, 3)
    assert rule.should_continue(0, 1, {0: {1: 0.1}})
    assert rule.should_continue(1, 2, {0: {1: 0.9, 2: 0.9}, 1: {1: 0.1, 2: 0.1}})


def test_best_third_continues():
    records = {number: {1: number / 10} for number in range(9)}
    assert [n for n in range(9) if SuccessiveHalving(RUNGS, 3).should_continue(n, 1, records)] == [6, 7, 8]


@given(values=st.lists(shares, min_size=2, max_size=12), keep=st.integers(2, 5))
def test_best_trial_of_a_rung_is_never_stopped(values, keep):
    records = {number: {3: value} for number, value in enumerate(values)}
    best = max(range(len(values)), key=values.__getitem__)
    for rule in (SuccessiveHalving(RUNGS, keep), HyperBand(RUNGS, keep), MedianStopping(3)):
        assert rule.should_continue(best, 3, records)


@given(values=st.lists(shares, min_size=3, max_size=30), keep=st.integers(2, 4))
def test_halving_keeps_about_its_fraction(values, keep):
    records = {number: {1: value} for number, value in enumerate(values)}
    kept = [number for number in records if SuccessiveHalving((1,), keep).should_continue(number, 1, records)]
    better = {number: sum(v[1] > records[number][1] for v in records.values()) for number in kept}
    assert all(better[number] <= math.ceil((len(values) - 2) / keep) for number in kept)


def test_brackets_have_the_fractions_of_hyperband():
    rule = HyperBand((1, 3), 3)  # R = 9: Li et al.'s brackets of 9, 5 and 3
    assert rule.shares() == [9, 5, 3]
    assert [rule.brackets(17).count(bracket) for bracket in range(3)] == [9, 5, 3]
    assert rule.brackets(40)[:17] == rule.brackets(17)


def test_bracket_begins_at_its_rung_and_compares_its_own_trials():
    rule = HyperBand((1, 3), 3)
    brackets = rule.brackets(17)
    poor = {number: {1: 0.9, 3: 0.9} for number in range(17)}
    for bracket, stopped in ((0, {1, 3}), (1, {3}), (2, set())):
        number = max(n for n in range(17) if brackets[n] == bracket)
        records = poor | {number: {1: 0.1, 3: 0.1}}
        assert {epoch for epoch in (1, 3) if not rule.should_continue(number, epoch, records)} == stopped
        alone = {n: values for n, values in records.items() if n == number or brackets[n] != bracket}
        assert rule.should_continue(number, 3, alone)


def test_median_rule_compares_the_best_value_with_the_means_of_others():
    records = {0: {1: 0.2, 2: 0.4}, 1: {1: 0.4, 2: 0.6}, 2: {1: 0.6, 2: 0.8}}  # means 0.3, 0.5, 0.7
    for best, should_continue in ((0.49, False), (0.51, True)):
        assert MedianStopping(1).should_continue(3, 2, records | {3: {1: best, 2: 0.0}}) == should_continue


def test_median_rule_starts_at_its_first_rung_with_three_others():
    records = {number: {1: 0.9, 2: 0.9} for number in range(3)} | {3: {1: 0.1, 2: 0.1}}
    assert MedianStopping(2).should_continue(3, 1, records) and not MedianStopping(2).should_continue(3, 2, records)
    assert MedianStopping(1).should_continue(3, 2, {n: records[n] for n in (0, 1, 3)})


@pytest.mark.parametrize("rule", [SuccessiveHalving(RUNGS, 2), HyperBand(RUNGS, 2), MedianStopping(2)])
@given(data=st.data())
def test_a_decision_does_not_depend_on_the_order_of_the_records(rule, data):
    count = data.draw(st.integers(2, 8))
    records = {n: {epoch: data.draw(shares) for epoch in (1, 2, 3)} for n in range(count)}
    mixed = {n: dict(reversed(records[n].items())) for n in data.draw(st.permutations(range(count)))}
    for number in range(count):
        assert rule.should_continue(number, 3, records) == rule.should_continue(number, 3, mixed)


@pytest.mark.parametrize("name", STOPPING_RULES)
def test_every_rule_is_built_and_described_with_settings_of_stop(name):
    kind, stop = STOPPING_RULES[name], Stop(rule=name)
    rule = kind.new((1, 3), 3)
    assert (rule is not None) == kind.stops
    if rule:
        assert rule.should_continue(0, 1, {0: {1: 0.5}})
        assert not rule.should_continue(
            9, 3, {n: dict.fromkeys(range(1, 4), 0.1 if n == 9 else 0.9) for n in range(10)}
        )
    assert kind.describe((1, 3), 3, 9)
    assert set(kind.settings) < stop.specs().keys()
    with_effect = {
        setting for setting in stop.specs() if setting not in ("rule", "promotion") and stop.has_effect(setting)
    }
    assert with_effect == set(kind.settings)


@pytest.mark.parametrize(("name", "hint"), [("asa", "Did you mean `asha`"), ("halving", "Known: "), ("", "Known: ")])
def test_an_unknown_rule_is_refused(name, hint):
    with pytest.raises(UsageError, match=f"`rule` must be one of .* but got {name!r}.*{hint}"):
        Stop(rule=name)
