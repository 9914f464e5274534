"""Focal loss compared with LDAM-DRW's code and a loop, and the stage that uses it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ltray.long_tail import LongTail
from ltray.methods.focal import METHOD, FocalKnobs, focal_loss
from ltray.parts.margin_losses import class_balanced_weights
from ltray.stage import Batch

GAMMAS = [0.0, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("case", ["k3", "k10", "k100"])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_loss_equals_the_authors_code(golden, case, gamma):
    z = golden("classic_losses")
    scores = torch.from_numpy(z[f"{case}/z"]).requires_grad_()
    labels = torch.from_numpy(z[f"{case}/y"])
    loss = focal_loss(scores, labels, gamma=gamma)
    loss.backward()
    assert loss.item() == pytest.approx(float(z[f"{case}/focal_g{gamma}"]), abs=1e-8)
    np.testing.assert_allclose(scores.grad, z[f"{case}/focal_g{gamma}_grad"], atol=1e-8)


@pytest.mark.parametrize("case", ["k3", "k10", "k100"])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_weighted_probability_equals_the_authors_code(golden, case, gamma):
    z = golden("classic_losses")
    weight = class_balanced_weights(LongTail(tuple(z[f"{case}/counts"].tolist())), 0.9999)
    scores, labels = torch.from_numpy(z[f"{case}/z"]), torch.from_numpy(z[f"{case}/y"])
    loss = focal_loss(scores, labels, gamma=gamma, weight=weight, probability="weighted")
    assert loss.item() == pytest.approx(float(z[f"{case}/focal_cb_g{gamma}"]), abs=1e-8)


@given(st.integers(0, 2**31), st.floats(0.0, 5.0))
def test_loss_equals_a_loop(seed, gamma):
    random = torch.Generator().manual_seed(seed)
    scores = 4.0 * torch.randn(5, 3, generator=random, dtype=torch.float64)
    labels, weight = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    expected = 0.0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        p = math.exp(row[label]) / sum(math.exp(value) for value in row)
        expected -= weight[label].item() * (1.0 - p) ** gamma * math.log(p)
    assert focal_loss(scores, labels, gamma=gamma, weight=weight).item() == pytest.approx(expected / 5)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_extreme_score_has_a_finite_gradient(gamma):
    scores = torch.tensor([[200.0, -200.0]], requires_grad=True)
    focal_loss(scores, torch.tensor([0]), gamma=gamma).backward()
    assert torch.isfinite(scores.grad).all()


def test_stage_computes_the_loss_of_its_knobs(new_context):
    context = new_context([40, 9, 2])
    (stage,) = METHOD.stages(FocalKnobs(gamma=2.0, beta=0.99), context)
    batch = Batch({"image": torch.randn(5, 3, 8, 8)}, torch.tensor([0, 0, 1, 2, 2]), torch.arange(5))
    terms = stage(batch)
    expected = focal_loss(
        stage.network(batch["image"]),
        batch.labels,
        gamma=2.0,
        weight=class_balanced_weights(context.tail, 0.99),
    )
    assert terms.keys() == {"classification"}
    assert torch.allclose(terms["classification"], expected)


def test_gamma_zero_without_weights_is_cross_entropy(new_context):
    (stage,) = METHOD.stages(FocalKnobs(gamma=0.0), new_context([4, 2]))
    batch = Batch({"image": torch.randn(4, 3, 8, 8)}, torch.tensor([0, 0, 1, 0]), torch.arange(4))
    assert torch.allclose(stage(batch)["classification"], F.cross_entropy(stage.network(batch["image"]), batch.labels))
