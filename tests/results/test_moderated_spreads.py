"""Moderated variances: when settings share them, when not, and invariances."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import polygamma

from ltray.results.moderated_spreads import LEAST, STEP, _inverse_trigamma, moderated


def moderated_of(own: list[float], freedom: float = 4.0, shared: float = 0.5) -> tuple[list[float], list[float]]:
    value, known = moderated(np.array([own]), np.full(len(own), freedom), shared)
    return value[0].tolist(), known[0].tolist()


def test_similar_settings_share_one_variance_with_all_degrees_of_freedom() -> None:
    value, freedom = moderated_of([1.0, 1.1, 0.9, 1.2, 0.8])
    assert value == pytest.approx([1.0] * 5)
    assert freedom == pytest.approx([20 / (1 + 4 * 0.25)] * 5)  # correlated variances have fewer degrees of freedom
    assert moderated_of([1.0, 1.1, 0.9, 1.2, 0.8], shared=0.0)[1] == pytest.approx([20.0] * 5)


def test_clearly_different_settings_keep_their_own_variance() -> None:
    own = [1.0, 900.0] * 5
    value, freedom = moderated_of(own)
    pooled = 450.5
    assert min(value[1::2]) > 0.9 * 900.0
    assert value[::2] == pytest.approx([LEAST * pooled] * 5)
    assert max(freedom) < 5.0  # of 40


def test_intermediate_variances_are_moderated_as_by_smyth() -> None:
    own = np.array([1.0, 2.0, 4.0, 1.5, 3.0, 6.0, 2.5, 0.8, 5.0, 1.2])
    value, freedom = (np.array(part) for part in moderated_of(own.tolist(), 40.0))
    pooled = own.mean()
    inside = (value > LEAST * pooled * 1.001) & ~np.isclose(value, own)  # neither at the lower limit nor an outlier
    assert inside.sum() >= 2
    common = 40.0 * (own[inside] - value[inside]) / (value[inside] - pooled)
    assert common == pytest.approx(common[0])
    assert np.allclose(freedom, freedom[0]) and freedom[0] <= common[0] + 40 < STEP * freedom[0]
    # section 6.2: scatter of the logarithms beyond chance is trigamma(d0 / 2); here at an upper limit, so d0 is less
    excess = np.log(own).var(ddof=1) - polygamma(1, 20.0)
    assert polygamma(1, common[0] / 2) > excess > 0


def test_setting_with_a_much_larger_variance_keeps_it() -> None:
    value, _ = moderated_of([1.0] * 19 + [9.0])
    assert value[-1] == 9.0 and max(value[:-1]) < 1.5


def test_equal_runs_use_the_variance_of_the_others() -> None:
    value, freedom = moderated_of([0.0, 0.0, 0.0])
    assert value == [0.0, 0.0, 0.0] and freedom == pytest.approx([8.0] * 3)
    value, freedom = moderated_of([0.0, 2.0, 2.2])
    assert value[0] == pytest.approx(LEAST * 1.4) and min(freedom) > 0
    assert moderated_of([3.0], 2.0) == ([3.0], [2.0])


VARIANCES = st.lists(
    st.tuples(st.one_of(st.just(0.0), st.floats(1e-6, 1e4)), st.integers(1, 20)), min_size=1, max_size=8
)


@settings(max_examples=80, deadline=None)
@given(own=VARIANCES, seed=st.integers(0, 99), scale=st.sampled_from([2.0**-20, 0.25, 8.0]))
def test_moderated_variance_does_not_depend_on_order_unit_or_other_searches(own: list, seed: int, scale: float) -> None:
    variances, freedom = np.array([v for v, _ in own]), np.array([float(d) for _, d in own])
    value, known = moderated(variances[None], freedom, 0.5)
    order = random.Random(seed).sample(range(len(own)), len(own))
    both = moderated(np.stack([variances[order], scale * variances[order]]), freedom[order], 0.5)
    assert both[0][0].tolist() == value[0][order].tolist() and both[1][0].tolist() == known[0][order].tolist()
    assert both[0][1].tolist() == (scale * value[0][order]).tolist() and both[1][1].tolist() == both[1][0].tolist()
    pooled = (variances * freedom).sum() / freedom.sum()
    assert (value >= LEAST * pooled * (1 - 1e-9)).all()
    assert (known > 0).all() and (known <= freedom.sum() * (1 + 1e-9)).all()


@settings(max_examples=60, deadline=None)
@given(value=st.floats(1e-7, 1e4))
def test_inverse_trigamma_inverts_trigamma(value: float) -> None:
    assert polygamma(1, _inverse_trigamma(np.array([value]))) == pytest.approx([value], rel=1e-5)
