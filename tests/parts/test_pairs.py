"""Sums over pairs equal double loops, in any order, with absent classes and single rows."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ltray.parts.contrast import ContrastBatch, unit
from ltray.parts.pairs import (
    EPSILON,
    class_similarity,
    extended,
    floored,
    log_sum_exp,
    positive_similarity,
    supervised_contrast,
)

CLASSES = 5


@st.composite
def contrasts(draw: st.DrawFn) -> ContrastBatch:
    """Draw two views of a batch of 1 to 5, and 0 to 6 further keys, of some of the classes."""
    rows, memory = draw(st.integers(1, 5)), draw(st.integers(0, 6))
    label = st.integers(0, draw(st.integers(0, CLASSES - 1)))
    labels = torch.tensor(draw(st.lists(label, min_size=rows, max_size=rows)))
    memory_labels = torch.tensor(draw(st.lists(label, min_size=memory, max_size=memory)), dtype=torch.int64)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    drawn = [unit(torch.randn(n, 3, generator=generator, dtype=torch.float64)) for n in (rows, rows, memory)]
    return extended(ContrastBatch.gathered(drawn[:2], labels), drawn[2], memory_labels)


def looped(contrast: ContrastBatch, temperature: float) -> list[tuple[float, float, int]]:
    """Return log-sum-exp, positive sum and positive count of each anchor, pair by pair."""
    found = []
    for anchor, label, own in zip(contrast.anchors, contrast.labels, contrast.own, strict=True):
        sum_exp, positive, count = 0.0, 0.0, 0
        for place, (key, key_label) in enumerate(zip(contrast.keys, contrast.key_labels, strict=True)):
            if place == own:
                continue
            value = float(anchor @ key) / temperature
            sum_exp += math.exp(value)
            if key_label == label:
                positive, count = positive + value, count + 1
        found.append((math.log(sum_exp), positive, count))
    return found


@pytest.mark.parametrize("live", [None, 7, 4])
def test_gradient_of_the_log_sum_is_numerically_correct(live: int | None) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(9, 3, dtype=torch.float64, generator=generator)
    anchors = rows[:4].clone().requires_grad_()
    keys, rest = rows[:live].clone().requires_grad_(), rows[9 if live is None else live :]

    def log_sum(anchors: Tensor, keys: Tensor) -> Tensor:
        return log_sum_exp(anchors, torch.cat([keys, rest]), torch.arange(4), temperature=0.3, live=live)[0]

    assert torch.autograd.gradcheck(log_sum, (anchors, keys))


def test_anchor_without_other_keys_has_no_gradient() -> None:
    row = torch.tensor([[0.6, 0.8]], requires_grad=True)
    log_sum, peak = log_sum_exp(row, row, torch.tensor([0]), temperature=0.1)
    assert log_sum.item() == -math.inf
    floored(log_sum, peak).sum().backward()
    assert torch.equal(row.grad, torch.zeros_like(row))


def test_queue_keys_have_no_gradient() -> None:
    rows, labels = torch.randn(4, 3, requires_grad=True), torch.arange(4)
    batch = ContrastBatch.gathered([rows], labels)
    assert batch.live is None
    longer = extended(
        extended(batch, torch.randn(5, 3), torch.zeros(5).long()), torch.randn(2, 3), torch.zeros(2).long()
    )
    assert (len(longer.keys), longer.live) == (11, 4)
    assert extended(batch, rows, labels).live is None


@settings(max_examples=30)
@given(contrast=contrasts(), temperature=st.sampled_from([0.05, 0.2, 1.0]))
def test_sums_equal_double_loops(contrast: ContrastBatch, temperature: float) -> None:
    log_sum, peak = log_sum_exp(contrast.anchors, contrast.keys, contrast.own, temperature=temperature)
    positive, count = positive_similarity(contrast, temperature=temperature, classes=CLASSES)
    expected = looped(contrast, temperature)
    torch.testing.assert_close(log_sum.tolist(), [row[0] for row in expected])
    torch.testing.assert_close(positive.tolist(), [row[1] for row in expected], rtol=1e-9, atol=1e-9)
    assert count.tolist() == [row[2] for row in expected]
    assert torch.allclose(peak, torch.full_like(peak, 1.0 / temperature))  # itself, at cosine 1


@settings(max_examples=30)
@given(contrast=contrasts(), temperature=st.sampled_from([0.1, 1.0]))
def test_supervised_contrast_equals_a_double_loop(contrast: ContrastBatch, temperature: float) -> None:
    guard = EPSILON * math.exp(1.0 / temperature)  # an anchor has the cosine 1 with itself
    sums = [(math.log(math.exp(log_sum) + guard), *rest) for log_sum, *rest in looped(contrast, temperature)]
    losses = [log_sum - positive / count for log_sum, positive, count in sums]
    loss = supervised_contrast(contrast, temperature=temperature, classes=CLASSES)
    torch.testing.assert_close(float(loss), sum(losses) / len(losses), rtol=1e-7, atol=1e-7)
    weight = torch.arange(1.0, CLASSES + 1.0)
    weighted = supervised_contrast(contrast, temperature=temperature, classes=CLASSES, class_weight=weight)
    by_hand = [float(weight[label]) * one for label, one in zip(contrast.labels, losses, strict=True)]
    torch.testing.assert_close(float(weighted), sum(by_hand) / len(losses), rtol=1e-7, atol=1e-7)


@settings(max_examples=20)
@given(contrast=contrasts(), seed=st.integers(0, 2**16))
def test_sums_do_not_depend_on_the_order_of_keys(contrast: ContrastBatch, seed: int) -> None:
    order = torch.randperm(len(contrast.keys), generator=torch.Generator().manual_seed(seed))
    shuffled = ContrastBatch(
        contrast.anchors,
        contrast.labels,
        contrast.keys[order],
        contrast.key_labels[order],
        order.argsort()[contrast.own],
    )
    losses = [supervised_contrast(each, temperature=0.1, classes=CLASSES) for each in (contrast, shuffled)]
    torch.testing.assert_close(*losses)


def test_anchor_without_positives_has_no_loss() -> None:
    rows = unit(torch.eye(2, dtype=torch.float64))
    contrast = ContrastBatch(rows, torch.tensor([0, 1]), rows, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert supervised_contrast(contrast, temperature=0.1, classes=2) == 0.0


def test_class_similarity_counts_every_key() -> None:
    anchors = unit(torch.randn(3, 4, dtype=torch.float64))
    memory = torch.cat([anchors, anchors]), torch.tensor([0, 1, 0, 1, 1, 1])
    total, count = class_similarity(anchors, torch.tensor([0, 1, 2]), memory, temperature=0.5, classes=3)
    assert count.tolist() == [2.0, 4.0, 0.0]
    expected = anchors[0] @ memory[0][[0, 2]].sum(dim=0) / 0.5
    torch.testing.assert_close(total[0], expected)
    assert total[2] == 0.0


def test_floor_equals_the_official_guard() -> None:
    log_sum, peak = torch.tensor([0.0, -50.0], dtype=torch.float64), torch.tensor([20.0, 20.0], dtype=torch.float64)
    expected = [math.log(math.exp(value) + EPSILON * math.exp(20.0)) for value in log_sum.tolist()]
    torch.testing.assert_close(floored(log_sum, peak).tolist(), expected)


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_sums_are_taken_in_float32_under_autocast(low: torch.dtype) -> None:
    torch.manual_seed(0)
    rows = unit(torch.randn(16, 8))
    contrast = ContrastBatch.gathered([rows, rows.flip(0)], torch.arange(16) % 3)
    exact = supervised_contrast(contrast, temperature=0.05, classes=3)
    with torch.autocast("cpu", dtype=low):
        loss = supervised_contrast(contrast, temperature=0.05, classes=3)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, exact)


def gradient(contrast: ContrastBatch, rows: Tensor) -> Tensor:
    rows.grad = None
    supervised_contrast(contrast, temperature=0.1, classes=3).backward()
    assert rows.grad is not None
    return rows.grad


def test_gradient_flows_to_a_row_as_anchor_and_as_key() -> None:
    rows = unit(torch.randn(6, 4, dtype=torch.float64)).requires_grad_(True)
    labels = torch.tensor([0, 1, 0, 1, 0, 2])
    both = gradient(ContrastBatch(rows, labels, rows, labels, torch.arange(6)), rows)
    as_anchor = gradient(ContrastBatch(rows, labels, rows.detach(), labels, torch.arange(6)), rows)
    as_key = gradient(ContrastBatch(rows.detach(), labels, rows, labels, torch.arange(6)), rows)
    torch.testing.assert_close(both, as_anchor + as_key)
    assert as_key.abs().sum() > 0 and as_anchor.abs().sum() > 0
