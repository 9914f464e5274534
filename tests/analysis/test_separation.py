"""The separation experiment at features of which the result is known."""

import pytest
import torch

from ltray.analysis.separation import (
    LabelledFeatures,
    balancing_reliability,
    class_accuracy,
    linear_predictions,
    separated_accuracy,
    sides,
)

TAIL = torch.tensor([False, True])
COUNTS = torch.tensor([900, 100])


def indistinguishable(counts: list[int]) -> LabelledFeatures:
    """A head and a tail class with the same features."""
    labels = torch.arange(2).repeat_interleave(torch.tensor(counts))
    return LabelledFeatures(torch.ones(len(labels), 2), labels)


def test_perfect_separation_distinguishes_classes_with_the_same_features() -> None:
    train, test = indistinguishable([900, 100]), indistinguishable([50, 50])
    one = linear_predictions(train, test.features, classes=2, seed=0, steps=200)
    assert class_accuracy(one == test.labels, test.labels, 2).tolist() == [1.0, 0.0]
    assert separated_accuracy(train, test, TAIL, 1.0, seed=0, steps=200).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("reliability", "tail_accuracy"), [(0.8, 0.0), (0.96, 0.96)])
def test_separation_gains_only_above_the_balancing_reliability(reliability: float, tail_accuracy: float) -> None:
    assert balancing_reliability(COUNTS, TAIL) == pytest.approx(0.9)
    train, test = indistinguishable([900, 100]), indistinguishable([500, 500])
    found = separated_accuracy(train, test, TAIL, reliability, seed=1, steps=400)
    assert float(found[1]) == pytest.approx(tail_accuracy, abs=0.03)


def test_oracle_is_right_with_its_probability() -> None:
    labels = torch.arange(2).repeat(5000)
    for reliability in (0.0, 0.5, 0.7, 1.0):
        found = sides(labels, TAIL, reliability, seed=0)
        assert float((found == TAIL[labels]).float().mean()) == pytest.approx(reliability, abs=0.02)
    assert torch.equal(sides(labels, TAIL, 0.7, seed=0), sides(labels, TAIL, 0.7, seed=0))


def test_side_without_images_and_class_without_test_images() -> None:
    train = indistinguishable([5, 0])
    found = separated_accuracy(train, indistinguishable([3, 0]), TAIL, 1.0, seed=0, steps=5)
    assert found[0] == 1.0 and torch.isnan(found[1])
    assert separated_accuracy(train, indistinguishable([0, 3]), TAIL, 1.0, seed=0, steps=5)[1] == 0.0


def test_linear_classifier_learns_separable_classes() -> None:
    torch.manual_seed(0)
    labels = torch.arange(3).repeat(60)
    features = LabelledFeatures(100.0 + torch.eye(3)[labels] + 0.1 * torch.randn(180, 3), labels)
    assert torch.equal(linear_predictions(features, features.features, classes=3, seed=0, steps=300), labels)
