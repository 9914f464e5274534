"""Thresholds, priors and routes of a division compared with DLSA's code."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ltray.methods.dlsa.division import (
    OPEN,
    DivisionTree,
    Level,
    SquashedCosine,
    TwoTermClassifier,
    cluster_prior,
    division_threshold,
)
from ltray.methods.dlsa.flow_mixture import FlowMixture
from ltray.parts.flows import AutoregressiveFlow

CASES = ["small", "k100", "half"]


@dataclass
class GivenDensity:
    """Likelihood and cluster of the golden file."""

    log_likelihood: Tensor
    cluster: Tensor


class GivenFilter(nn.Module):
    """Reads likelihood and cluster from the first two columns of the features."""

    def __init__(self, clusters: int, column: int) -> None:
        super().__init__()
        self.column = column
        self.register_buffer("means", torch.zeros(clusters, 4))

    def forward(self, features: Tensor) -> GivenDensity:
        """Take column `column` as likelihood, column 0 as cluster."""
        return GivenDensity(features[:, self.column], features[:, 0].long())


def _tree(clusters, classes, images, depth=3):
    levels = []
    for index in range(depth):
        aided = TwoTermClassifier(4, classes, prior=True)
        levels.append(Level(GivenFilter(clusters, index + 1), aided, classes=classes))
    return DivisionTree(levels, TwoTermClassifier(4, classes, prior=False), images=images).double()


def _features(z, case, split):
    columns = [z[f"{case}/cluster_{split}"], *[z[f"{case}/d{d}_llh_{split}"] for d in (1, 2, 3)]]
    return torch.from_numpy(np.stack([column.astype(np.float64) for column in columns], axis=1))


@pytest.mark.parametrize("case", CASES)
def test_three_divisions_equal_the_authors_code(golden, case):
    z = golden("dlsa_split")
    clusters, classes = int(z[f"{case}/num_cluster"]), int(z[f"{case}/num_class"])
    train, labels = _features(z, case, "train"), torch.from_numpy(z[f"{case}/y_train"])
    tree = _tree(clusters, classes, len(labels))
    for depth in range(3):
        tree.divide(depth, train, labels, proportion=float(z[f"{case}/proportion"]))
        name = f"{case}/d{depth + 1}"
        assert tree.level(depth).threshold.item() == float(z[f"{name}_threshold"])
        np.testing.assert_array_equal(tree.settled == depth, z[f"{name}_aided_train"])
        np.testing.assert_array_equal(tree.settled == OPEN, z[f"{name}_next_train"])
        np.testing.assert_allclose(tree.level(depth).prior, z[f"{case}/prior"], atol=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_routes_of_test_images_equal_the_authors_code(golden, case):
    z = golden("dlsa_split")
    clusters, classes = int(z[f"{case}/num_cluster"]), int(z[f"{case}/num_class"])
    train, labels = _features(z, case, "train"), torch.from_numpy(z[f"{case}/y_train"])
    tree = _tree(clusters, classes, len(labels))
    for depth in range(3):
        tree.divide(depth, train, labels, proportion=float(z[f"{case}/proportion"]))
    test = _features(z, case, "test")
    expected = tree.regular(test)
    for depth in reversed(range(3)):
        level = tree.level(depth)
        aided = level.aided(test, level.prior[test[:, 0].long()])
        kept = torch.from_numpy(z[f"{case}/d{depth + 1}_aided_test"])
        expected = torch.where(kept[:, None], aided, expected)
    assert torch.equal(tree(test), expected)
    np.testing.assert_array_equal(
        tree(test).argmax(1)[z[f"{case}/d3_next_test"]], tree.regular(test).argmax(1)[z[f"{case}/d3_next_test"]]
    )


def test_unreached_level_keeps_no_images():
    tree = _tree(2, 3, 10)
    features = torch.randn(6, 4, dtype=torch.float64).abs()
    features[:, 0] = 0.0
    assert torch.equal(tree(features), tree.regular(features))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200, unique=True), st.floats(0.05, 0.95))
def test_threshold_keeps_the_requested_fraction(values, proportion):
    likelihood = torch.tensor(values, dtype=torch.float64)
    kept = int((likelihood >= division_threshold(likelihood, proportion)).sum())
    assert abs(kept - proportion * len(values)) < 1.0 + 1e-9


def test_prior_of_an_empty_cluster_is_zero():
    prior = cluster_prior(torch.tensor([0, 0, 2]), torch.tensor([1, 0, 1]), shape=(3, 2))
    assert prior.tolist() == [[0.5, 0.5], [0.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("case", ["tiny", "k100"])
def test_two_term_classifiers_equal_the_authors_code(golden, case):
    z = golden("dlsa_cac")
    x, prior = torch.from_numpy(z[f"{case}/x"]), torch.from_numpy(z[f"{case}/prior"])
    width, classes = x.shape[1], prior.shape[1]

    def filled(classifier, first, second):
        for module, (weight, bias) in ((classifier.first, first), (classifier.second, second)):
            module.weight = nn.Parameter(torch.from_numpy(z[f"{case}/{weight}"]))
            if bias:
                module.bias = nn.Parameter(torch.from_numpy(z[f"{case}/{bias}"]))
        return classifier

    with torch.no_grad():
        aided = filled(TwoTermClassifier(width, classes, prior=True), ("Wx", "bx"), ("Wzp", "bzp"))
        np.testing.assert_allclose(aided(x, prior), z[f"{case}/logits_xzp"], atol=1e-8)
        rest = filled(TwoTermClassifier(width, classes, prior=False), ("W2x", "b2x"), ("W2z", "b2z"))
        np.testing.assert_allclose(rest(x), z[f"{case}/logits_xz"], atol=1e-8)
        cosine = TwoTermClassifier(width, classes, prior=True, cosine=True)
        filled(cosine, ("cos_Wx", None), ("cos_Wzp", None))
        np.testing.assert_allclose(cosine(x, prior), z[f"{case}/logits_cosine"], atol=1e-8)


@pytest.mark.parametrize("case", ["k3", "k10", "k100"])
def test_squashed_cosine_equals_the_authors_code(golden, case):
    z = golden("classic_losses")
    classifier = SquashedCosine(7, z[f"{case}/Wcos"].shape[1])
    classifier.weight = nn.Parameter(torch.from_numpy(z[f"{case}/Wcos"]).T)
    with torch.no_grad():
        np.testing.assert_allclose(classifier(torch.from_numpy(z[f"{case}/feat"])), z[f"{case}/cosnorm16"], atol=1e-8)


def test_measurement_does_not_depend_on_the_chunk_size(monkeypatch):
    torch.manual_seed(0)
    mixture = FlowMixture(AutoregressiveFlow(4), width=4, clusters=5).double().eval()
    level = Level(mixture, TwoTermClassifier(4, 3, prior=True), classes=3).double().eval()
    features = torch.randn(50, 4, dtype=torch.float64)
    complete = level.measure(features)
    monkeypatch.setattr("ltray.methods.dlsa.division.ROWS", 7)
    for one, other in zip(complete, level.measure(features), strict=True):
        assert torch.allclose(one, other)
