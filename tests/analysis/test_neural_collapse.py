"""Neural collapse: exact values at constructed features."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.analysis.neural_collapse import Collapse, class_means, self_duality
from ltray.analysis.simplex import regular_simplex

LABELS = torch.tensor([0] * 20 + [1] * 5 + [2] * 2 + [3])


def test_collapsed_features_have_the_ideal_values() -> None:
    simplex = regular_simplex(4)
    collapse = Collapse.of(3.0 * simplex[LABELS] + 7.0, LABELS, 0.1 * simplex - 2.0)
    assert collapse.duality is not None and collapse.weight_cosine is not None
    for values, ideal in ((collapse.within, 0.0), (collapse.norm, 1.0), (collapse.angle, 0.0), (collapse.duality, 1.0)):
        assert values.tolist() == pytest.approx([ideal] * 4, abs=1e-6)
    assert collapse.weight_cosine.tolist() == pytest.approx([-1 / 3] * 4)
    assert self_duality(0.1 * simplex - 2.0, 3.0 * simplex + 7.0) == pytest.approx(0.0, abs=1e-6)
    assert self_duality(-simplex, simplex) == pytest.approx(2.0)


def test_within_is_the_trace_of_papyan() -> None:
    torch.manual_seed(0)
    labels = torch.arange(5).repeat(8)
    features = torch.randn(40, 7).double() + 2 * torch.randn(5, 7).double()[labels]
    means = class_means(features, labels)
    centred = means - means.mean(dim=0)
    between = centred.T @ centred / 5
    deviations = features - means[labels]
    expected = torch.trace(deviations.T @ deviations / 40 @ torch.linalg.pinv(between, rtol=1e-9)) / 5
    assert float(Collapse.of(features, labels).within.mean()) == pytest.approx(float(expected))


def test_within_of_one_class_is_in_units_of_the_distance_between_two() -> None:
    features = torch.tensor([[-1.0, 0.5], [-1.0, -0.5], [1.2, 0.0], [0.8, 0.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1])
    # Σ_B† is 1 along the first axis and 0 across it: 0.2² / 2 classes.
    assert Collapse.of(features, labels).within.tolist() == pytest.approx([0.0, 0.02])


def test_classes_that_collapse_together_are_detected() -> None:
    weight = torch.tensor([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 1.0], [0, 0, 1.0]])  # minority collapse of two classes
    together = Collapse.of(weight[LABELS], LABELS, weight).weight_cosine
    assert together is not None and together[2] > together[0] and together[3] == pytest.approx(float(together[2]))


@given(st.integers(0, 10_000), st.permutations(range(4)), st.floats(0.1, 10.0))
@settings(max_examples=25, deadline=None)
def test_values_do_not_depend_on_order_position_rotation_and_scale(seed: int, order: list[int], scale: float) -> None:
    torch.manual_seed(seed)
    features, weight = torch.randn(len(LABELS), 6).double(), torch.randn(4, 6).double()
    rotation = torch.linalg.qr(torch.randn(6, 6).double()).Q
    rows, places = torch.randperm(len(LABELS)), torch.tensor(order)
    names = places.argsort()  # the new label of each class
    first = Collapse.of(features, LABELS, weight)
    second = Collapse.of((scale * features @ rotation + 3.0)[rows], names[LABELS][rows], (weight @ rotation)[places])
    for name in ("within", "norm", "angle", "duality", "weight_cosine"):
        torch.testing.assert_close(getattr(second, name), getattr(first, name)[places], rtol=1e-6, atol=1e-8)
