"""Classifiers and projectors."""

import numpy as np
import pytest
import torch
from torch import nn

from ltray.errors import UsageError
from ltray.network import Network
from ltray.parts.heads import CosineClassifier, new_classifier, projector
from ltray.parts.resnet32 import ResNet32


def test_cosine_classifier_equals_the_official_code(golden) -> None:
    data = golden("layers")
    for scale, expected in ((30.0, "normed/out_s30"), (1.0, "normed/out_s1")):
        width, classes = data["normed/weight"].shape
        classifier = CosineClassifier(width, classes, scale=scale).double()
        classifier.weight.data.copy_(torch.tensor(data["normed/weight"]).T)
        rows = torch.tensor(data["normed/x"], requires_grad=True)
        scores = classifier(rows)
        np.testing.assert_allclose(scores.detach().numpy(), data[expected], rtol=1e-9, atol=1e-11)
    classifier.scale = 30.0
    rows.grad = None
    (torch.tensor(data["normed/coef"]) * classifier(rows)).sum().backward()
    np.testing.assert_allclose(rows.grad.numpy(), data["normed/grad_x_s30"], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(classifier.weight.grad.numpy().T, data["normed/grad_weight_s30"], rtol=1e-7, atol=1e-10)


def test_rows_of_a_new_cosine_classifier_have_unit_length() -> None:
    norms = CosineClassifier(8, 5).weight.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(5))


def test_network_applies_the_classifier_after_the_backbone() -> None:
    network = Network(ResNet32(), new_classifier("linear", width=64, classes=7)).eval()
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(network(images), network.classifier(network.backbone(images)))


def test_classifiers_by_name() -> None:
    linear = new_classifier("linear", width=4, classes=3)
    assert isinstance(linear, nn.Linear) and linear.bias is not None
    cosine = new_classifier("cosine", width=4, classes=3)
    assert isinstance(cosine, CosineClassifier) and cosine.scale == 30.0
    with pytest.raises(UsageError, match="'square' is not a classifier. Known: `cosine`, `l2`, `layer_norm`, `linear`"):
        new_classifier("square", width=4, classes=3)


def test_projector_has_batch_norm_between_two_linear_layers() -> None:
    layers = projector(4, 6, 3)
    assert [type(layer) for layer in layers] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert layers(torch.randn(5, 4)).shape == (5, 3)


@pytest.mark.parametrize("case", ["cosine_s25", "cosine_s30", "l2", "layernorm", "linear"])
def test_every_classifier_equals_lifts(golden, case: str) -> None:
    data = golden("lift_heads")
    classes, width = data["weight"].shape
    kind = {"layernorm": "layer_norm"}.get(case, case.partition("_")[0])
    classifier = new_classifier(kind, width=width, classes=classes).double()
    classifier.weight.data.copy_(torch.tensor(data["weight"]))
    if kind == "linear":
        classifier.bias.data.copy_(torch.tensor(data["bias"]))
    if kind == "cosine":
        classifier.scale = float(case.partition("_s")[2])
    rows = torch.tensor(data["x"], requires_grad=True)
    scores = classifier(rows)
    np.testing.assert_allclose(scores.detach().numpy(), data[f"{case}/out"], rtol=1e-9, atol=1e-11)
    (torch.tensor(data["coef"]) * scores).sum().backward()
    np.testing.assert_allclose(rows.grad.numpy(), data[f"{case}/grad_x"], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(classifier.weight.grad.numpy(), data[f"{case}/grad_weight"], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", ["cosine", "l2", "layer_norm"])
def test_rows_of_new_classifiers_have_unit_length(kind: str) -> None:
    norms = new_classifier(kind, width=8, classes=5).weight.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(5))
