"""BCL's lower bound: tight at the regular simplex, valid everywhere, and of the loss that BCL trains."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.analysis import balanced_bound
from ltray.analysis.balanced_bound import BalancedLoss, simplex_bound
from ltray.analysis.simplex import regular_simplex
from ltray.methods.bcl.losses import averaged_outside
from ltray.parts.contrast import ContrastBatch

COUNTS = st.lists(st.integers(2, 9), min_size=2, max_size=6)
TEMPERATURES = st.sampled_from([0.07, 0.1, 0.5, 1.0])


def rows_of(counts: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return F.normalize(torch.randn(len(labels), 5, dtype=torch.float64), dim=1), labels[torch.randperm(len(labels))]


@given(COUNTS, TEMPERATURES)
def test_bounds_are_tight_at_the_simplex_whatever_the_counts(counts: list[int], temperature: float) -> None:
    _, labels = rows_of(counts, 0)
    loss = BalancedLoss.of(regular_simplex(len(counts))[labels], labels, temperature=temperature)
    least = simplex_bound(len(counts), temperature)
    assert loss.losses.tolist() == pytest.approx([least] * len(counts), rel=1e-6)
    assert loss.bounds.tolist() == pytest.approx([least] * len(counts), rel=1e-6)


@given(COUNTS, TEMPERATURES, st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_bounds_hold_for_all_embeddings(counts: list[int], temperature: float, seed: int) -> None:
    rows, labels = rows_of(counts, seed)
    loss = BalancedLoss.of(rows, labels, temperature=temperature)
    assert (loss.losses >= loss.bounds - 1e-9).all()
    assert loss.losses.mean() >= simplex_bound(len(counts), temperature) - 1e-9


@given(COUNTS, TEMPERATURES, st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_loss_is_that_of_bcl(counts: list[int], temperature: float, seed: int) -> None:
    rows, labels = rows_of(counts, seed)
    batch = ContrastBatch(rows, labels, rows, labels, torch.arange(len(rows)))
    expected = averaged_outside(batch, None, temperature=temperature)
    loss = BalancedLoss.of(rows, labels, temperature=temperature)
    assert float(loss.losses @ torch.bincount(labels).double() / len(labels)) == pytest.approx(float(expected))


def test_parts_of_the_anchors_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, labels = rows_of([9, 5, 2], 4)
    complete = BalancedLoss.of(rows, labels, temperature=0.1)
    monkeypatch.setattr(balanced_bound, "ROWS", 3)
    parts = BalancedLoss.of(rows, labels, temperature=0.1)
    torch.testing.assert_close(parts.losses, complete.losses)
    torch.testing.assert_close(parts.bounds, complete.bounds)


def test_bound_of_two_opposite_classes() -> None:
    assert simplex_bound(2, 0.5) == pytest.approx(math.log(1 + math.exp(-4)))
    assert simplex_bound(1000, 1e9) == pytest.approx(math.log(1000))
