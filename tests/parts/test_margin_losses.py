"""Class weights and margins compared with LDAM-DRW's code and with loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.long_tail import LongTail
from ltray.parts.margin_losses import (
    class_balanced_weights,
    ldam_margins,
    subtract_margins,
    weighted_cross_entropy,
)

CASES = ["k3", "k10", "k100"]


@pytest.mark.parametrize("case", CASES)
def test_weights_and_margins_equal_the_authors_code(golden, case):
    z = golden("classic_losses")
    tail = LongTail(tuple(z[f"{case}/counts"].tolist()))
    for beta in (0.9, 0.99, 0.999, 0.9999):
        np.testing.assert_allclose(class_balanced_weights(tail, beta), z[f"{case}/cb_w_{beta}"], atol=1e-8)
    np.testing.assert_allclose(ldam_margins(tail, 0.5), z[f"{case}/ldam_margins_m05"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 0.9999])
def test_weighted_cross_entropy_equals_the_authors_code(golden, case, beta):
    z = golden("classic_losses")
    tail = LongTail(tuple(z[f"{case}/counts"].tolist()))
    scores = torch.from_numpy(z[f"{case}/z"]).requires_grad_()
    loss = weighted_cross_entropy(scores, torch.from_numpy(z[f"{case}/y"]), class_balanced_weights(tail, beta))
    assert loss.item() == pytest.approx(float(z[f"{case}/cb_ce_{beta}"]), abs=1e-8)
    if beta == 0.9999:
        loss.backward()
        np.testing.assert_allclose(scores.grad, z[f"{case}/cb_ce_0.9999_grad"], atol=1e-8)


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=30), st.floats(0.0, 1.0))
def test_weights_sum_to_the_class_count_and_decrease_with_frequency(counts, beta):
    weights = class_balanced_weights(LongTail(tuple(counts)), beta)
    assert weights.sum().item() == pytest.approx(len(counts))
    order = np.argsort(counts, kind="stable")
    assert (np.diff(weights.numpy()[order]) <= 1e-9).all()


def test_beta_zero_gives_equal_weights():
    assert class_balanced_weights(LongTail((900, 30, 1)), 0.0).tolist() == [1.0, 1.0, 1.0]


@given(st.lists(st.integers(1, 5000), min_size=2, max_size=20), st.floats(0.01, 2.0))
def test_the_rarest_class_has_the_largest_margin(counts, largest):
    margins = ldam_margins(LongTail(tuple(counts)), largest)
    for count, margin in zip(counts, margins.tolist(), strict=True):
        assert margin == pytest.approx(largest * (min(counts) / count) ** 0.25)


def test_margins_lower_the_own_score_only():
    scores = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    lowered = subtract_margins(scores, torch.tensor([1, 0]), torch.tensor([0.5, 0.25], dtype=torch.float64))
    assert lowered.tolist() == [[1.0, 1.75], [2.5, 4.0]]


def test_margins_of_bfloat16_scores_are_subtracted_in_float32():
    scores = torch.tensor([[20.0, 1.0]], dtype=torch.bfloat16)
    lowered = subtract_margins(scores, torch.tensor([0]), torch.tensor([0.01, 0.0], dtype=torch.float64))
    assert lowered.dtype == torch.float32
    assert math.isclose(lowered[0, 0].item(), 19.99, rel_tol=1e-6)
