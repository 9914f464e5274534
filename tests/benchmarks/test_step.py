"""The benchmark of training steps compares steps that compute the same numbers."""

import argparse
import math

import pytest
import torch

from benchmarks import dense_losses, step
from benchmarks.plain_steps import PLAIN

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", PLAIN)
def test_both_sides_have_equal_losses_and_updates(name: str) -> None:
    assert step.check_agreement(name, 6, CPU) < 1e-6


def test_different_losses_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    right = dense_losses.parametric_contrast
    monkeypatch.setattr(dense_losses, "parametric_contrast", lambda *a, **k: 1.01 * right(*a, **k))
    with pytest.raises(ArithmeticError, match="paco: ltray's loss is"):
        step.check_agreement("paco", 6, CPU, steps=1)


def test_ratio_is_the_time_of_the_plain_loop_over_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clock readings of 6 seconds for the plain step and 2 for ours give a ratio of 3."""
    monkeypatch.setattr(step, "seconds", lambda work, steps, device: 6.0 if work.__self__.__class__ is plain else 2.0)
    plain = step.PlainSide
    monkeypatch.setattr(plain, "step", lambda self: 0.0)
    monkeypatch.setattr(step.OurSide, "step", lambda self: {})
    options = argparse.Namespace(batch_size=2, rounds=3, steps=1, precision=["bfloat16", "float32"])
    found = step.compared("paco", options, CPU)
    assert found.keys() == {"plain", "bfloat16", "float32"}
    mean, ratio = found["bfloat16"]
    assert mean == 2.0 and math.isclose(ratio.mean, 3.0) and math.isclose(ratio.high, 3.0) and ratio.count == 3
