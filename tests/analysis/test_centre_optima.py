"""PaCo's optimum: reproduced by minimising its own loss; the decomposition of the loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.analysis.centre_optima import CentreOptimum, LossParts
from ltray.methods.centres import parametric_contrast
from ltray.parts.contrast import ContrastBatch

POSITIVES, OTHERS, CLASSES = 4, 3, 3


def minimised(alpha: float, beta: float) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Minimise PaCo's loss of one anchor over its similarities and the scores of the centres.

    The keys are the unit vectors of the axes and the temperature is small, so that the anchor has free similarities.
    """
    width = POSITIVES + OTHERS
    keys = torch.cat([torch.zeros(1, width), torch.eye(width)]).double()  # the first is the anchor's own row
    key_labels = torch.tensor([0, *[0] * POSITIVES, *[1] * OTHERS])
    anchor = torch.zeros(1, width, dtype=torch.float64, requires_grad=True)
    scores = torch.zeros(1, CLASSES, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([anchor, scores], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        batch = ContrastBatch(anchor, torch.tensor([0]), keys, key_labels, torch.tensor([0]))
        loss = parametric_contrast(batch, scores, alpha=alpha, beta=beta, temperature=1.0)
        loss.backward()
        return loss

    optimizer.step(closure)
    similarities = (anchor @ keys[1:].T).detach()
    both = torch.cat([scores.detach(), similarities], dim=1).softmax(dim=1)[0]
    return both[:CLASSES], both[CLASSES:], float(closure().detach())


@pytest.mark.parametrize(("alpha", "beta"), [(0.05, 1.0), (0.5, 1.0), (1.0, 1.0), (0.2, 0.5)])
def test_minimum_of_the_loss_has_the_probabilities_of_the_formula(alpha: float, beta: float) -> None:
    centres, samples, loss = minimised(alpha, beta)
    optimum = CentreOptimum.of(torch.tensor(POSITIVES), alpha=alpha, beta=beta)
    assert centres[0] == pytest.approx(float(optimum.centre), abs=1e-3)
    assert samples[:POSITIVES].tolist() == pytest.approx([float(optimum.sample)] * POSITIVES, abs=1e-3)
    assert samples[POSITIVES:].max() < 1e-3 and centres[1:].max() < 1e-3
    assert loss == pytest.approx(float(optimum.loss), abs=2e-3)
    assert float(optimum.loss) <= loss


def test_published_forms() -> None:
    optimum = CentreOptimum.of(torch.tensor([0.0, 8.192]), alpha=0.05)
    assert optimum.centre[1] == pytest.approx(1 / (1 + 0.05 * 8.192)) and float(optimum.centre[1]) == pytest.approx(
        0.71, abs=0.005
    )
    assert optimum.sample[1] == pytest.approx(0.05 / (1 + 0.05 * 8.192))
    assert optimum.centre[0] == 1.0 and optimum.loss[0] == 0.0
    assert CentreOptimum.of(torch.tensor(3), alpha=1.0).centre == pytest.approx(1 / 4)  # supervised contrast


@given(st.integers(0, 10_000), st.floats(0, 10), st.floats(1e-3, 10))
def test_probabilities_sum_to_one(positives: int, alpha: float, beta: float) -> None:
    optimum = CentreOptimum.of(torch.tensor(positives, dtype=torch.float64), alpha=alpha, beta=beta)
    assert float(optimum.centre + positives * optimum.sample) == pytest.approx(1.0)
    assert optimum.loss >= -1e-12


@given(st.integers(0, 10_000), st.floats(0.01, 2.0), st.floats(0.1, 2.0))
@settings(max_examples=25, deadline=None)
def test_parts_sum_to_the_loss(seed: int, alpha: float, beta: float) -> None:
    torch.manual_seed(seed)
    keys, labels = torch.nn.functional.normalize(torch.randn(12, 5).double(), dim=1), torch.randint(3, (12,))
    anchors, own = keys[:4], torch.arange(4)
    scores = torch.randn(4, 3).double()
    batch = ContrastBatch(anchors, labels[:4], keys, labels, own)
    loss = parametric_contrast(batch, scores, alpha=alpha, beta=beta, temperature=0.5, divided=False)
    samples = (anchors @ keys.T / 0.5).scatter(1, own[:, None], -torch.inf)
    parts = LossParts.of(scores, samples, labels[:4], batch.positives(), alpha=alpha, beta=beta)
    assert float((parts.centres + parts.samples + parts.extra).mean()) == pytest.approx(float(loss))


def test_extra_term_is_smallest_at_the_optimum() -> None:
    count, alpha = 4, 0.3
    positive = torch.ones(1, count, dtype=torch.bool)
    shares, values = [], []
    for shift in torch.linspace(-4, 4, 801):
        parts = LossParts.of(
            torch.tensor([[0.0, -1.0]]), torch.zeros(1, count) + shift, torch.tensor([0]), positive, alpha=alpha
        )
        shares.append(float(parts.share))
        values.append(float(parts.extra))
    best = shares[values.index(min(values))]
    assert best == pytest.approx(float(CentreOptimum.of(torch.tensor(count), alpha=alpha).centre), abs=2e-3)
