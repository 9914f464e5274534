"""Simultaneous verdicts on several settings: error rates with known truth, and invariances."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.results.finalist_table import render_finalists, shift_of, summary
from ltray.results.finalists import Finalist, clear_losers, looks
from ltray.results.intervals import BETTER, SAME, WORSE, mean_interval
from ltray.results.multiple_comparisons import critical_value, differences, mean_intervals

METRIC = "val/acc_all"


def by_name(runs: np.ndarray) -> dict[str, list[float]]:
    """Return the columns by number."""
    return {f"{place:02d}": column for place, column in enumerate(runs.T.tolist())}


@pytest.mark.parametrize(("count", "freedom", "known"), [(2, 5, 2.44), (3, 10, 2.34), (5, 20, 2.39), (9, 10, 2.81)])
def test_critical_values_equal_those_of_dunnett(count: int, freedom: int, known: float) -> None:
    # Dunnett, JASA 50 (1955), table 1a: one-sided, 5 %, correlation 1/2.
    assert critical_value(count, freedom, 0.5, 0.05) == pytest.approx(known, abs=0.006)


@pytest.mark.parametrize("freedom", [1.0, 2.0, 3.9, 40.0, 1e4])
@pytest.mark.parametrize("error", [0.05, 0.025, 1e-4])
def test_critical_value_grows_with_settings_up_to_bonferroni(freedom: float, error: float) -> None:
    from scipy.stats import t as student

    found = [critical_value(count, freedom, 1 / 3, error) for count in (1, 2, 5, 19, 100)]
    assert found == sorted(found) and len(set(found)) == 5
    for count, value in zip((1, 2, 5, 19, 100), found, strict=True):
        assert value <= student.ppf(1 - error / count, freedom) * 1.001


def test_single_setting_has_the_textbook_interval() -> None:
    values = [0.70, 0.71, 0.69, 0.73]
    alone, known = mean_intervals({"a": values})["a"], mean_interval(values)
    assert (alone.mean, alone.low, alone.high) == pytest.approx((known.mean, known.low, known.high))
    # one-sided: t(0.95, 3) = 2.353 instead of t(0.975, 3) = 3.182
    bounds = differences({"a": values})["a"].bounds
    assert bounds.half / known.half == pytest.approx(2.3534 / 3.1824, abs=1e-3)


@pytest.mark.parametrize("every", [1.0, 3.0])
@pytest.mark.parametrize("heavy", [False, True])
def test_error_rate_with_ten_equal_settings_is_five_percent(every: float, heavy: bool) -> None:
    draws = np.random.default_rng(5)
    noise = draws.standard_t(3, (800, 5, 11)) if heavy else draws.standard_normal((800, 5, 11))
    runs = noise * np.array([1.0, every] * 5 + [1.0])
    verdicts = [{found.verdict for found in differences(by_name(own[:, 1:] - own[:, :1])).values()} for own in runs]
    for verdict in (BETTER, WORSE):
        assert np.mean([verdict in some for some in verdicts]) <= 0.065  # 5 % and two standard errors


def test_true_lead_of_two_points_is_found_with_five_seeds() -> None:
    runs = np.random.default_rng(6).standard_normal((400, 5, 4))
    runs[:, :, 3] += 2.0
    found = [differences(by_name(own[:, 1:] - own[:, :1]))["02"].verdict == BETTER for own in runs]
    assert np.mean(found) > 0.6


@pytest.mark.parametrize("shared", [0.0, 1.5])
def test_interval_of_the_highest_of_ten_covers_its_true_value(shared: float) -> None:
    draws = np.random.default_rng(7)
    runs = draws.standard_normal((600, 5, 10)) + shared * draws.standard_normal((600, 5, 1))
    covered = 0
    for own in runs:
        found = mean_intervals(by_name(own))
        winner = max(found.values(), key=lambda one: one.mean)
        covered += winner.low <= 0 <= winner.high
    assert covered / 600 >= 0.94


def test_best_of_equal_settings_is_rarely_dropped() -> None:
    runs = np.random.default_rng(8).standard_normal((300, 8, 6))
    lost = 0
    for own in runs:
        alive = evaluations(own)
        for done in range(3, 8):
            order = [[(seed, 0)] for seed in range(done)]
            for key in clear_losers(alive, order, metric=METRIC, looks=looks([[(s, 0)] for s in range(8)])):
                del alive[key]
        lost += "00" not in alive
    assert lost / 300 <= 0.05


def test_one_round_gives_no_verdict() -> None:
    found = differences({"a": [0.3], "b": [0.01, 0.02, 0.015], "c": []})
    assert found["a"].verdict == SAME and found["a"].interval.low == -math.inf
    assert found["b"].verdict == BETTER and found["c"].verdict == SAME and math.isnan(found["c"].interval.mean)


def test_equal_runs_give_no_difference_and_an_exact_lead_gives_one() -> None:
    found = differences({"a": [0.0, 0.0, 0.0], "b": [0.125] * 3})
    assert (found["a"].verdict, found["b"].verdict) == (SAME, BETTER)


NUMBERS = st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 3))
TABLES = st.integers(2, 6).flatmap(
    lambda rounds: st.lists(st.lists(NUMBERS, min_size=rounds, max_size=rounds), min_size=1, max_size=6)
)


@settings(max_examples=60, deadline=None)
@given(table=TABLES, seed=st.integers(0, 99))
def test_verdicts_do_not_depend_on_the_order_of_settings_or_rounds(table: list[list[float]], seed: int) -> None:
    values = {str(place): own for place, own in enumerate(table)}
    mixer = random.Random(seed)
    keys = mixer.sample(sorted(values), len(values))
    order = mixer.sample(range(len(table[0])), len(table[0]))
    mixed = {key: [values[key][place] for place in order] for key in keys}
    assert differences(mixed) == differences(values)
    assert mean_intervals(mixed) == mean_intervals(values)


@settings(max_examples=60, deadline=None)
@given(table=TABLES, scale=st.sampled_from([0.25, 2.0, 64.0]), shift=st.sampled_from([-3.0, 0.5, 8.0]))
def test_verdicts_do_not_depend_on_unit_or_common_shift(table: list[list[float]], scale: float, shift: float) -> None:
    values = {str(place): own for place, own in enumerate(table)}
    scaled = differences({key: [scale * value for value in own] for key, own in values.items()})
    moved = mean_intervals({key: [value + shift for value in own] for key, own in values.items()})
    for key, one in differences(values).items():
        assert scaled[key].verdict == one.verdict
        assert scaled[key].bounds.low == pytest.approx(scale * one.bounds.low, abs=1e-9)
    for key, interval in mean_intervals(values).items():
        assert moved[key].low == pytest.approx(interval.low + shift, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(table=TABLES)
def test_verdict_never_contradicts_its_interval(table: list[list[float]]) -> None:
    for one in differences({str(place): own for place, own in enumerate(table)}).values():
        assert one.interval.low <= one.bounds.low and one.bounds.high <= one.interval.high


def evaluations(runs: np.ndarray) -> dict[str, dict[tuple[int, int], dict]]:
    return {
        key: {
            (seed, 0): {"selection": {METRIC: value}, "metrics": {"test/acc_all": value}}
            for seed, value in enumerate(own)
        }
        for key, own in by_name(runs).items()
    }


def finalists(count: int) -> list[Finalist]:
    return [Finalist(f"{place:02d}", {}, place == 0) for place in range(count)]


@pytest.mark.parametrize("seed", range(8))
def test_table_does_not_depend_on_the_order_of_finalists_and_rounds(seed: int) -> None:
    runs = np.random.default_rng(seed).normal(0.6, 0.01, (5, 5)).round(3)
    runs[:, 2] = runs[:, 1]  # a tie for the highest mean, perhaps
    found, order = evaluations(runs), [[(place, 0)] for place in range(5)]
    known = summary(finalists(5), found, order, protocol="honest")
    mixer = random.Random(seed)
    mixed = dict(mixer.sample(sorted(found.items()), 5))
    again = summary(mixer.sample(finalists(5), 5), mixed, mixer.sample(order, 5), protocol="honest")
    assert again.equals(known)


@pytest.mark.parametrize("seed", range(4))
def test_dropped_finalists_do_not_depend_on_the_order(seed: int) -> None:
    runs = np.random.default_rng(seed).normal(0.6, 0.01, (4, 6)) - 0.03 * np.arange(6)
    found, order = evaluations(runs), [[(place, 0)] for place in range(4)]
    known = clear_losers(found, order, metric=METRIC)
    mixed = dict(random.Random(seed).sample(sorted(found.items()), 6))
    assert known and set(clear_losers(mixed, order[::-1], metric=METRIC)) == set(known)
    assert set(clear_losers(found, order, metric=METRIC, looks=50)) <= set(known)


def row(lead: Sequence[float]) -> dict:
    runs = np.array([[0.5, 0.5 + one] for one in lead])
    table = summary(finalists(2), evaluations(runs), [[(place, 0)] for place in range(len(lead))], protocol="honest")
    assert "finalist" in str(render_finalists(table).title)
    return table.set_index("trial").loc["01"].to_dict() | {"trial": "01"}


def test_difference_is_shown_with_the_bound_of_its_verdict() -> None:
    # mean 2 points, spread 1, three seeds: 2 - 2.92 / sqrt(3) = 0.31
    assert shift_of(row([0.01, 0.02, 0.03])) == "+2.0 (≥ +0.3)"
    assert shift_of(row([-0.01, -0.02, -0.03])) == "-2.0 (≤ -0.3)"
    assert shift_of(row([-0.01, 0.02, 0.03])) == "+1.3 ± 5.2"
    assert shift_of(row([0.01])) == "+1.0"
    assert shift_of(row([0.01]) | {"paper": True}) == ""
