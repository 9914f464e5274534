"""Pair frequencies and γ: closed forms against counts in real batches."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ltray.analysis.pair_frequencies import batch_pairs, counted_pairs, pair_imbalance, queue_pairs, siamese_pairs
from ltray.data.plan import Plan
from ltray.data.sampling import Sampling
from ltray.long_tail import LongTail
from ltray.parts.queues import balanced_slots, original_slots

COUNTS = st.lists(st.integers(1, 60), min_size=2, max_size=8).map(torch.tensor)


def members_of_real_batches(counts: Tensor, batch: int, epochs: int) -> Tensor:
    """Count the classes in the batches of ltray's own plan."""
    labels = torch.arange(len(counts)).repeat_interleave(counts)
    plan = Plan.of(labels, None, sampling=Sampling(), seed=3, batch=batch)
    rows = torch.cat([labels[plan.order(epoch)[: plan.steps * batch, 0]] for epoch in range(epochs)])
    return torch.nn.functional.one_hot(rows.view(-1, batch), len(counts)).sum(dim=1)


def test_expected_pairs_are_those_of_real_batches() -> None:
    counts = torch.tensor([200, 60, 20, 8])
    members = members_of_real_batches(counts, 16, 1500)
    for views, expected in ((1, batch_pairs(counts, 16)), (2, siamese_pairs(counts, 16))):
        counted = counted_pairs(members, views=views)
        error = (counted - expected).abs() / expected
        assert error.max() < 0.15 and error[0].max() < 0.02
    gamma = pair_imbalance(counted_pairs(members, views=2))
    assert gamma == pytest.approx(pair_imbalance(siamese_pairs(counts, 16)), rel=0.1)


def test_counted_pairs_are_those_of_all_rows() -> None:
    labels = torch.tensor([[0, 0, 1, 2], [0, 1, 1, 1]])
    members = torch.nn.functional.one_hot(labels, 3).sum(dim=1)
    for views in (1, 2):
        expected = torch.zeros(3, 3, dtype=torch.float64)
        for batch in labels:
            rows = batch.repeat(views)
            for anchor in range(len(rows)):
                for key in range(len(rows)):
                    expected[rows[anchor], rows[key]] += (anchor != key) / 2
        assert torch.equal(counted_pairs(members, views=views), expected)


@given(COUNTS, st.data())
def test_all_pairs_of_a_batch_are_counted(counts: Tensor, data: st.DataObject) -> None:
    batch = data.draw(st.integers(1, int(counts.sum())))
    if counts.sum() < 2:
        return
    assert batch_pairs(counts, batch).sum() == pytest.approx(batch * (batch - 1))
    assert siamese_pairs(counts, batch).sum() == pytest.approx(2 * batch * (2 * batch - 1))
    order = torch.randperm(len(counts))
    for pairs in (batch_pairs, siamese_pairs):
        torch.testing.assert_close(pairs(counts[order], batch), pairs(counts, batch)[order][:, order])
        assert torch.equal(pairs(counts, batch), pairs(counts, batch).T)


@given(st.integers(2, 1000), st.integers(2, 300), st.integers(2, 512))
@settings(max_examples=50)
def test_imbalance_is_between_the_factor_and_about_its_square(factor: int, least: int, batch: int) -> None:
    counts = torch.tensor([factor * least, least])
    batch = min(batch, int(counts.sum()))
    original, siamese = (pair_imbalance(pairs(counts, batch)) for pairs in (batch_pairs, siamese_pairs))
    assert original == pytest.approx(factor * (factor * least - 1) / (least - 1))
    assert factor <= siamese <= original * (1 + 1e-9)  # the two views of an image occur in proportion to n
    balanced = queue_pairs(counts, batch, torch.tensor(balanced_slots(LongTail(tuple(counts.tolist())), 8)))
    assert pair_imbalance(balanced) == pytest.approx(factor)


def test_queue_without_classes_has_the_square_of_the_imbalance_factor() -> None:
    tail = LongTail((1000, 100, 10))
    keys = torch.tensor(original_slots(tail, 370))
    assert pair_imbalance(queue_pairs(tail.count_tensor(), 8, keys)) == pytest.approx(100.0**2)
    assert queue_pairs(tail.count_tensor(), 8, keys).sum() == pytest.approx(8 * 3 * 370)


def test_imbalance_without_positive_pairs() -> None:
    assert pair_imbalance(batch_pairs(torch.tensor([5, 1]), 3)) == math.inf
    assert math.isnan(pair_imbalance(torch.zeros(2, 2)))
    assert pair_imbalance(torch.ones(3, 3)) == 1.0
