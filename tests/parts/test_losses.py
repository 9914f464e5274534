"""Cross-entropy with priors and class weights."""

import math

import pytest
import torch

from ltray.distributed import rank
from ltray.long_tail import LongTail
from ltray.parts.losses import adjusted_cross_entropy, effective_number_weights, log_prior

TAIL = LongTail((50, 10, 2))
SCORES = torch.tensor([[0.3, -1.0, 2.0], [1.5, 0.2, -0.7], [0.0, 0.1, 0.2], [4.0, -2.0, 1.0]], dtype=torch.float64)
LABELS = torch.tensor([2, 0, 1, 2])


def test_adjusted_cross_entropy_equals_the_explicit_sum() -> None:
    adjustment = 0.7 * log_prior(TAIL)
    expected = 0.0
    for scores, label in zip(SCORES.tolist(), LABELS.tolist(), strict=True):
        adjusted = [score + 0.7 * math.log(count / 62) for score, count in zip(scores, TAIL.counts, strict=True)]
        expected += math.log(sum(math.exp(value) for value in adjusted)) - adjusted[label]
    assert adjusted_cross_entropy(SCORES, LABELS, adjustment).item() == pytest.approx(expected / 4, rel=1e-12)


def test_log_prior_adds_epsilon_to_the_frequency() -> None:
    expected = torch.tensor([math.log(count / 62 + 0.01) for count in TAIL.counts], dtype=torch.float64)
    torch.testing.assert_close(log_prior(TAIL, epsilon=0.01), expected)


def test_effective_number_weights_are_normalised_by_their_mean() -> None:
    effective = [(1 - 0.9**count) / 0.1 for count in TAIL.counts]
    expected = torch.tensor([sum(effective) / 3 / value for value in effective], dtype=torch.float64)
    torch.testing.assert_close(effective_number_weights(TAIL, 0.9), expected)
    assert effective_number_weights(TAIL, 0.0).tolist() == [1.0, 1.0, 1.0]


def test_effective_number_weights_are_accurate_for_beta_close_to_one() -> None:
    # 1 − β^n = n·(1 − β) up to 1e-5 here; float32 would be off by per cents.
    weights = effective_number_weights(LongTail((5, 10)), 0.999999)
    assert (weights[0] / weights[1]).item() == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_scores_are_summed_in_float32(dtype: torch.dtype) -> None:
    scores = SCORES.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = adjusted_cross_entropy(scores, LABELS, log_prior(TAIL))
    assert loss.dtype == torch.float32
    expected = adjusted_cross_entropy(scores.double(), LABELS, log_prior(TAIL))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def weighted_loss_of_a_worker() -> tuple[torch.Tensor, torch.Tensor]:
    mine = slice(2 * rank(), 2 * rank() + 2)
    scores = SCORES[mine].clone().requires_grad_()
    loss = adjusted_cross_entropy(scores, LABELS[mine], log_prior(TAIL), weight=torch.tensor([0.2, 1.0, 5.0]))
    loss.backward()
    return loss.detach(), scores.grad


def test_weighted_mean_over_two_workers_equals_one_process(two_workers) -> None:
    scores = SCORES.clone().requires_grad_()
    loss = adjusted_cross_entropy(scores, LABELS, log_prior(TAIL), weight=torch.tensor([0.2, 1.0, 5.0]))
    loss.backward()
    shares = two_workers.run(weighted_loss_of_a_worker)
    torch.testing.assert_close(sum(share[0] for share in shares) / 2, loss.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.cat([share[1] for share in shares]) / 2, scores.grad, rtol=1e-12, atol=1e-15)
