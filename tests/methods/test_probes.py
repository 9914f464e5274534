"""Linear probe and nearest class mean: frozen features, their means, what is trained."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ltray.errors import UsageError
from ltray.methods import linear_probe, nearest_class_mean
from ltray.methods.linear_probe import LinearProbeKnobs
from ltray.methods.nearest_class_mean import NearestClassMeanKnobs
from ltray.parts.fine_tuning import Trained
from ltray.parts.mean_features import class_means
from ltray.stage import Batch


def test_class_means_equal_the_authors_code(golden):
    z = golden("lift_heads")
    features, labels = (torch.from_numpy(z[f"class_mean/{name}"]) for name in ("features", "labels"))
    expected = z["class_mean/weight"]
    np.testing.assert_allclose(class_means(features, labels, classes=len(expected)), expected, rtol=1e-9, atol=1e-12)


def test_a_class_without_images_is_named():
    with pytest.raises(UsageError, match="class 1 has none"):
        class_means(torch.randn(4, 3), torch.tensor([0, 2, 2, 0]), classes=3)


@pytest.mark.parametrize("method", [linear_probe.METHOD, nearest_class_mean.METHOD], ids=lambda method: method.name)
def test_parts_of_the_backbone_to_train_are_refused(new_context, method):
    context = new_context([9, 3])

    def network(kind, parameters):
        built = context.new_network(kind)
        built.backbone.tuned = Trained(frozenset(parameters))
        return built

    method.stages(method.knobs(), replace(context, new_network=lambda kind: network(kind, ())))
    with pytest.raises(UsageError, match="set `train` to head"):
        method.stages(method.knobs(), replace(context, new_network=lambda kind: network(kind, ["norm.weight"])))


class Plain:
    """Training images without augmentation; their features are the images."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def features(self, network):
        """Return the features of all images."""
        return network(self.images)


def test_nearest_class_mean_has_the_smallest_angle(new_context):
    images, labels = torch.randn(30, 5), torch.arange(30) % 3
    (stage,) = nearest_class_mean.METHOD.stages(NearestClassMeanKnobs(), new_context([10, 10, 10], width=5))
    stage.prepare(Plain(images, labels))
    assert list(stage.trained()) == []
    means = torch.stack([images[labels == k].mean(0) for k in range(3)])
    angles = torch.acos(F.cosine_similarity(images[:, None], means[None], dim=2))
    assert torch.equal(stage.logits(images).argmax(1), angles.argmin(1))


def test_a_linear_probe_trains_the_classifier_on_features(new_context):
    (stage,) = linear_probe.METHOD.stages(LinearProbeKnobs(), new_context([9, 3, 2]))
    assert stage.source == "features" and stage.feature_network() is stage.network.backbone
    assert list(stage.trained()) == [stage.network.classifier]
    features, labels = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    loss = stage(Batch({"features": features}, labels, torch.arange(4)))["classification"]
    assert torch.equal(loss, F.cross_entropy(stage.network.classifier(features), labels))
