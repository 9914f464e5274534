"""The class-balanced loss: softmax, sigmoid and focal forms, and initialization at the prior."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.methods.class_balanced import METHOD, ClassBalancedKnobs, one_versus_all
from ltray.parts.margin_losses import class_balanced_weights, weighted_cross_entropy
from ltray.stage import Batch, BuildContext


@given(st.integers(0, 2**31), st.floats(0.0, 3.0))
def test_one_versus_all_equals_a_double_loop(seed, gamma):
    random = torch.Generator().manual_seed(seed)
    scores = 3.0 * torch.randn(4, 3, generator=random, dtype=torch.float64)
    labels, weight = torch.tensor([2, 0, 0, 1]), torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    expected = 0.0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        for k, value in enumerate(row):
            sigmoid = 1.0 / (1.0 + math.exp(-value))
            p = sigmoid if k == label else 1.0 - sigmoid
            expected -= weight[label].item() * (1.0 - p) ** gamma * math.log(p)
    assert one_versus_all(scores, labels, weight, gamma=gamma).item() == pytest.approx(expected / 4)


def test_extreme_scores_have_finite_gradients():
    scores = torch.tensor([[150.0, -150.0], [-150.0, 150.0]], requires_grad=True)
    one_versus_all(scores, torch.tensor([0, 0]), torch.ones(2), gamma=0.5).backward()
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "focal"])
def test_stage_computes_the_loss_of_its_knobs(new_context, loss):
    context = new_context([500, 20, 3])
    knobs = ClassBalancedKnobs(loss=loss, gamma=2.0, beta=0.999)
    (stage,) = METHOD.stages(knobs, context)
    batch = Batch({"image": torch.randn(6, 3, 8, 8)}, torch.tensor([0, 0, 0, 1, 1, 2]), torch.arange(6))
    value = stage(batch)["classification"]
    scores, weight = stage.network(batch["image"]), class_balanced_weights(context.tail, 0.999)
    if loss == "softmax":
        expected = weighted_cross_entropy(scores, batch.labels, weight)
    else:
        expected = one_versus_all(scores, batch.labels, weight, gamma=2.0 if loss == "focal" else 0.0)
    assert torch.allclose(value, expected)


@pytest.mark.parametrize("loss", ["sigmoid", "focal"])
def test_sigmoid_losses_start_at_the_prior(new_context, loss):
    (stage,) = METHOD.stages(ClassBalancedKnobs(loss=loss), new_context([9, 5, 4, 2, 1]))
    assert torch.sigmoid(stage.network.classifier.bias).tolist() == pytest.approx([0.2] * 5)


def test_sigmoid_losses_refuse_a_classifier_without_bias(new_context):
    context = new_context([9, 5])
    cosine = BuildContext(context.tail, lambda kind: context.new_network("cosine"))
    with pytest.raises(UsageError, match="bias"):
        METHOD.stages(ClassBalancedKnobs(loss="sigmoid"), cosine)
