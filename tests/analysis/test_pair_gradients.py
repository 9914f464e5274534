"""The gradient by pair: equal to autograd; ranks of difficulty."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.analysis.pair_gradients import mean_by_rank, pair_gradient_norms, share_of_hardest
from ltray.methods.rescom.losses import class_balanced_contrast


def example(seed: int, keys: int = 9) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    anchors, others = torch.randn(4, 6, dtype=torch.float64), torch.randn(keys, 6, dtype=torch.float64)
    return F.normalize(anchors, dim=1), F.normalize(others, dim=1), torch.rand(4, keys) < 0.4


def norms_of(cosines: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    probabilities = (cosines / temperature).softmax(dim=1)
    return pair_gradient_norms(probabilities, targets, cosines, temperature=temperature)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 0.2, 1.0]))
@settings(max_examples=25, deadline=None)
def test_norms_are_those_of_autograd_for_the_loss_of_rescom(seed: int, temperature: float) -> None:
    anchors, keys, positive = example(seed)
    positive[:, 0] = True
    for index, anchor in enumerate(anchors):
        free = keys.clone().requires_grad_()
        cosines = (anchor @ F.normalize(free, dim=1).T)[None]
        mask = positive[index][None]
        loss = class_balanced_contrast(cosines, mask, torch.ones(1, dtype=torch.float64), temperature=temperature)
        (gradient,) = torch.autograd.grad(loss, free)
        norms = norms_of(cosines.detach(), mask / mask.sum(), temperature)
        torch.testing.assert_close(norms[0], gradient.norm(dim=1), rtol=1e-4, atol=1e-6)  # 1e-9 of the code


def test_parts_of_the_keys_are_the_gradient_at_the_anchor() -> None:
    anchors, keys, positive = example(1)
    positive[:, 0] = True
    targets = positive / positive.sum(dim=1, keepdim=True)
    free = anchors.clone().requires_grad_()
    cosines = F.normalize(free, dim=1) @ keys.T
    (-(targets * (cosines / 0.3).log_softmax(dim=1)).sum()).backward()
    shares = ((cosines / 0.3).softmax(dim=1) - targets).detach() / 0.3
    parts = shares[:, :, None] * (keys[None] - cosines.detach()[:, :, None] * anchors[:, None])
    assert free.grad is not None
    torch.testing.assert_close(parts.sum(dim=1), free.grad)
    torch.testing.assert_close(parts.norm(dim=2), norms_of(cosines.detach(), targets, 0.3))


def test_easy_pairs_have_no_gradient() -> None:
    cosines = torch.tensor([[1.0, 0.2, -1.0, -torch.inf]], dtype=torch.float64)
    targets = torch.tensor([[0.5, 0.5, 0.0, 0.0]], dtype=torch.float64)
    norms = norms_of(cosines, targets, 0.1)[0]
    assert norms[[0, 2, 3]].tolist() == [0.0, 0.0, 0.0] and norms[1] > 1.0


def test_ranks_begin_with_the_hardest() -> None:
    cosines = torch.tensor([[0.9, 0.1, 0.5, -0.5], [0.3, 0.2, 0.8, 0.7]])
    norms = torch.tensor([[1.0, 2.0, 4.0, 8.0], [16.0, 32.0, 64.0, 128.0]])
    chosen = torch.tensor([[True, True, True, False], [False, False, False, True]])
    positives = mean_by_rank(norms, cosines, chosen, hardest_first="least_similar", ranks=9)
    assert positives.tolist() == [(2.0 + 128.0) / 2, 4.0, 1.0]
    negatives = mean_by_rank(norms, cosines, ~chosen, hardest_first="most_similar", ranks=2)
    assert negatives.tolist() == [(8.0 + 64.0) / 2, 16.0]
    assert share_of_hardest(positives, 1) == pytest.approx(65 / 70)
    assert not len(mean_by_rank(norms, cosines, chosen & False, hardest_first="least_similar", ranks=3))


@given(st.integers(0, 1000), st.permutations(range(9)))
@settings(max_examples=20, deadline=None)
def test_order_of_the_keys_does_not_matter(seed: int, order: list[int]) -> None:
    anchors, keys, chosen = example(seed)
    chosen[:, 0] = True
    cosines = anchors @ keys.T
    targets = chosen / chosen.sum(dim=1, keepdim=True)
    norms = norms_of(cosines, targets, 0.2)
    moved = norms_of(cosines[:, order], targets[:, order], 0.2)
    torch.testing.assert_close(moved, norms[:, order])
    ranked = [
        mean_by_rank(n, c, p, hardest_first="least_similar", ranks=5)
        for n, c, p in ((norms, cosines, chosen), (moved, cosines[:, order], chosen[:, order]))
    ]
    torch.testing.assert_close(ranked[0], ranked[1])
