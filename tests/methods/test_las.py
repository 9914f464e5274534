"""Label-aware smoothing of the stage compared with MiSLAS's code."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ltray.long_tail import LongTail
from ltray.lr_schedule import learning_rate
from ltray.methods.las import METHOD, LASKnobs, label_aware_loss, smoothing_by_class
from ltray.stage import Batch

CASES = ["k5", "k100"]
SMOOTHINGS = [
    ("concave", 0.3, 0.0),
    ("concave", 0.4, 0.1),
    ("linear", 0.3, 0.0),
    ("convex", 0.3, 0.0),
    ("exponential", 0.4, 0.1),
]


def _name(case, shape, head, tail):
    return f"{case}/las_exp_{head}_{tail}_p3.0" if shape == "exponential" else f"{case}/las_{shape}_{head}_{tail}"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("shape", "head", "tail"), SMOOTHINGS)
def test_smoothing_and_loss_equal_the_authors_code(golden, case, shape, head, tail):
    z, name = golden("two_stage"), _name(case, shape, head, tail)
    amount = smoothing_by_class(
        LongTail(tuple(z[f"{case}/counts"].tolist())), head=head, rare=tail, shape=shape, power=3.0
    )
    np.testing.assert_allclose(amount, z[f"{name}_eps"], atol=1e-8)
    scores = torch.from_numpy(z[f"{case}/x"] @ z[f"{case}/W"].T + z[f"{case}/b"]).requires_grad_()
    loss = label_aware_loss(scores, torch.from_numpy(z[f"{case}/y"]), amount)
    loss.backward()
    assert loss.item() == pytest.approx(float(z[name]), abs=1e-8)
    np.testing.assert_allclose(scores.grad, z[f"{name}_grad"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_stage_equals_mislas(golden, new_context, case):
    z = golden("two_stage")
    context = new_context(z[f"{case}/counts"].tolist(), width=z[f"{case}/x"].shape[1], follow="linear")
    (stage,) = METHOD.stages(LASKnobs(head_smoothing=0.3, tail_smoothing=0.0, features="cached"), context)
    stage.double()
    linear, scale = context.start.classifier, stage.network.classifier.scale
    for parameter, name in ((linear.weight, "W"), (linear.bias, "b"), (scale.weight, "scales")):
        parameter.data = torch.from_numpy(z[f"{case}/{name}"])
    labels = torch.from_numpy(z[f"{case}/y"])
    loss = stage(Batch({"features": torch.from_numpy(z[f"{case}/x"])}, labels, torch.arange(len(labels))))
    loss["classification"].backward()
    assert loss["classification"].item() == pytest.approx(float(z[f"{case}/mislas_loss"]), abs=1e-8)
    for parameter, name in ((linear.weight, "W"), (linear.bias, "b"), (scale.weight, "scales")):
        np.testing.assert_allclose(parameter.grad, z[f"{case}/mislas_grad_{name}"], atol=1e-8)


def test_learning_rates_equal_those_of_mislas(golden, new_context):
    z = golden("decoupled/schedules")["mislas_stage2/lr"]
    knobs = LASKnobs.defaults("imagenet_lt")
    (stage,) = METHOD.stages(knobs, new_context([50, 5], follow="linear"))
    factors, classifier = stage.parameter_groups()
    rates = [learning_rate(knobs, epoch=epoch) for epoch in range(10)]
    np.testing.assert_allclose(rates, z[:, 1], atol=1e-12)
    np.testing.assert_allclose([rate * classifier["lr_scale"] for rate in rates], z[:, 0], atol=1e-12)
    assert "lr_scale" not in factors


@given(
    st.lists(st.integers(1, 2000), min_size=2, max_size=20),
    st.sampled_from(["concave", "linear", "convex", "exponential"]),
    st.floats(0.0, 0.5),
    st.floats(0.0, 0.5),
)
def test_smoothing_increases_with_the_class_frequency(counts, shape, low, more):
    tail = LongTail(tuple(counts))
    amount = smoothing_by_class(tail, head=low + more, rare=low, shape=shape)
    ordered = amount.numpy()[np.argsort(counts, kind="stable")]
    assert ordered[0] == pytest.approx(low, abs=1e-12)
    assert (np.diff(ordered) >= -1e-12).all()
    if max(counts) > min(counts):
        assert ordered[-1] == pytest.approx(low + more, abs=1e-12)


@given(st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_loss_equals_cross_entropy_with_a_soft_target(seed, amount):
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, 4, generator=random, dtype=torch.float64)
    labels, expected = [2, 0, 3], 0.0
    for row, label in zip(scores.tolist(), labels, strict=True):
        complete = sum(math.exp(value) for value in row)
        for k, value in enumerate(row):
            target = amount / 4 + (1.0 - amount if k == label else 0.0)
            expected -= target * math.log(math.exp(value) / complete) / 3
    got = label_aware_loss(scores, torch.tensor(labels), torch.full((4,), amount, dtype=torch.float64))
    assert got.item() == pytest.approx(expected)


def test_backbone_has_no_gradient_but_its_batch_norm_is_updated(new_context):
    context = new_context([20, 4], follow="linear")
    (stage,) = METHOD.stages(LASKnobs(), context)
    stage.eval().requires_grad_(False)
    for module in stage.trained():
        module.train().requires_grad_(True)
    before = context.start.backbone.norm.running_mean.clone()
    batch = Batch({"image": torch.randn(6, 3, 8, 8)}, torch.tensor([0, 0, 0, 1, 1, 1]), torch.arange(6))
    stage(batch)["classification"].backward()
    assert all(parameter.grad is None for parameter in context.start.backbone.parameters())
    assert not torch.equal(context.start.backbone.norm.running_mean, before)
    assert not any(module.training for module in context.start.backbone.modules())
    assert isinstance(context.start.classifier, nn.Linear)
