"""DSCL's targets and its ratio of gradients, against its own loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.analysis.decoupled_optima import PositiveGradients, initial_ratio, supervised_alpha
from ltray.methods.dscl.losses import decoupled_loss, decoupled_targets, sums_with_batch
from ltray.parts.contrast import ContrastBatch


def loss_of(anchor: torch.Tensor, positives: int, alpha: float) -> torch.Tensor:
    """Return DSCL's loss of one anchor whose keys are the unit vectors of the axes: its similarities are free.

    Args:
        anchor: Similarities over τ (1, M); the first key is the own one.
        positives: Other positives, after the own key.
        alpha: α.
    """
    count = anchor.shape[1]
    keys = torch.cat([torch.zeros(1, count), torch.eye(count)]).double()  # the first is the anchor's own row
    labels = torch.tensor([0, 0, *[0] * positives, *[1] * (count - 1 - positives)])
    batch = ContrastBatch(anchor, torch.tensor([0]), keys, labels, torch.tensor([0]))
    return decoupled_loss(sums_with_batch(batch, keys[1:2], temperature=1.0, classes=2), alpha)


def gradient_by_key(logits: torch.Tensor, positives: int, alpha: float) -> torch.Tensor:
    """Return DSCL's gradient in the direction of each key (M,); see `loss_of`."""
    anchor = logits.double()[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(anchor, positives, alpha), anchor)
    return gradient[0]


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0.02, 0.9))
@settings(max_examples=25, deadline=None)
def test_ratio_is_that_of_autograd(seed: int, positives: int, alpha: float) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(9)
    gradient = gradient_by_key(logits, positives, alpha)
    probabilities = logits.double().softmax(dim=0)
    positive = (torch.arange(9) <= positives)[None]
    targets = decoupled_targets(positive, torch.tensor([0]), alpha)
    found = PositiveGradients.of(probabilities[None], targets, positive, torch.tensor([0]))
    expected = gradient[0].abs() / gradient[1 : 1 + positives].abs().sum()
    assert float(found.ratio) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("positives", [1, 3, 20])
def test_initial_ratio(positives: int) -> None:
    for alpha in (0.3, float(supervised_alpha(torch.tensor(positives)))):
        gradient = gradient_by_key(torch.zeros(200), positives, alpha)
        found = float(initial_ratio(torch.tensor(alpha).double(), torch.tensor(positives), 200))
        ratio = float(gradient[0].abs() / gradient[1 : 1 + positives].abs().sum())
        assert ratio == pytest.approx(found, rel=1e-6)
    large = initial_ratio(torch.tensor(0.3).double(), torch.tensor(positives), 10**9)
    assert float(large) == pytest.approx(0.3 / 0.7)  # for every class
    supervised = initial_ratio(supervised_alpha(torch.tensor(positives)), torch.tensor(positives), 10**9)
    assert float(supervised) == pytest.approx(1 / positives)  # by class


@pytest.mark.parametrize(("positives", "alpha"), [(1, 0.1), (4, 0.1), (4, 0.5), (7, 1 / 8)])
def test_own_key_converges_to_alpha(positives: int, alpha: float) -> None:
    anchor = torch.zeros(1, 12, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([anchor], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(anchor, positives, alpha)
        loss.backward()
        return loss

    optimizer.step(closure)
    probabilities = anchor.detach()[0].softmax(dim=0)
    assert float(probabilities[0]) == pytest.approx(alpha, abs=1e-3)
    assert probabilities[1 : 1 + positives].tolist() == pytest.approx([(1 - alpha) / positives] * positives, abs=1e-3)


def test_supervised_target_of_an_anchor_without_others_is_one() -> None:
    assert supervised_alpha(torch.tensor([0, 1, 3])).tolist() == [1.0, 0.5, 0.25]
    positive = torch.tensor([[False, True]])
    targets = decoupled_targets(positive, torch.tensor([1]), None)
    alone = PositiveGradients.of(torch.tensor([[0.6, 0.4]]), targets, positive, torch.tensor([1]))
    assert float(alone.own) == pytest.approx(0.6) and torch.isinf(alone.ratio).all()
