"""Class activation maps: the closed form, Grad-CAM, and transformers."""

import pytest
import torch
from torch import nn

from ltray.errors import UsageError
from ltray.evaluation.activation_maps import EXACT, GRADIENT, _of_average, class_maps, overlay
from ltray.methods.ride.experts import ExpertClassifier
from ltray.network import Backbone, Network
from ltray.parts.heads import CosineClassifier, UnitRowsClassifier
from ltray.recipe import Recipe
from ltray.stage import Stage


class _Small(Backbone):
    width, stride = 12, 2

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 12, 3, 2, 1)

    def feature_map(self, images):
        return torch.tanh(self.layer(images))


class _Last(_Small):
    averages = False

    def forward(self, images):
        return self.feature_map(images)[:, :, -1, -1]


def stage_of(classifier: nn.Module, backbone: Backbone | None = None) -> Stage:
    stage = Stage(Recipe())
    stage.network = Network(backbone or _Small(), classifier)
    return stage


IMAGES = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 3, 1, 2, 3])


@pytest.mark.parametrize("classifier", [nn.Linear(12, 4), CosineClassifier(12, 4), UnitRowsClassifier(12, 4)])
def test_mean_of_the_exact_map_is_the_score(classifier):
    torch.manual_seed(0)
    stage = stage_of(classifier)
    maps, how = class_maps(stage, IMAGES, CLASSES)
    scores = stage.logits(IMAGES)[torch.arange(5), CLASSES]
    bias = classifier.bias[CLASSES] if isinstance(classifier, nn.Linear) else 0
    assert how == EXACT and maps.shape == (5, 4, 4)
    assert maps.mean(dim=(1, 2)).numpy() == pytest.approx((scores - bias).detach().numpy(), abs=1e-4)


def test_exact_map_is_grad_cam_up_to_its_scale_and_sign():
    stage = stage_of(nn.Linear(12, 4))
    exact, _ = class_maps(stage, IMAGES, CLASSES)
    gradient = _of_average(stage.network, IMAGES.clone(), CLASSES)
    assert gradient.numpy() == pytest.approx(torch.relu(exact).numpy() / 16, abs=1e-6)  # 4 x 4 cells


def test_other_classifiers_have_grad_cam():
    stage = stage_of(ExpertClassifier(2, 6, 4, scale=16.0))
    maps, how = class_maps(stage, IMAGES, CLASSES)
    assert how == GRADIENT and maps.shape == (5, 4, 4) and bool((maps >= 0).all()) and bool(maps.any())
    assert not IMAGES.requires_grad


def test_scores_that_do_not_come_from_the_average_have_no_map():
    with pytest.raises(UsageError, match="neither on the average of a feature map nor"):
        class_maps(stage_of(nn.Linear(12, 4), _Last()), IMAGES, CLASSES)


def test_transformer_has_grad_cam_of_its_tokens():
    from timm.models.vision_transformer import VisionTransformer

    from ltray.parts.timm_backbones import TimmBackbone

    torch.manual_seed(0)
    body = VisionTransformer(img_size=32, patch_size=8, embed_dim=24, depth=3, num_heads=2, num_classes=0)
    body.pretrained_cfg = {"architecture": "small", "fixed_input_size": True}
    stage = stage_of(nn.Linear(24, 4), TimmBackbone(body))
    images = torch.randn(2, 3, 32, 32)
    maps, how = class_maps(stage, images, CLASSES[:2])
    assert how == GRADIENT and maps.shape == (2, 4, 4) and bool((maps >= 0).all()) and bool(maps.any())
    assert not body.blocks[-2]._forward_hooks


def test_overlay_is_an_image():
    found = overlay(torch.randint(0, 255, (8, 8, 3)).numpy(), torch.randn(4, 4))
    assert found.shape == (8, 8, 3) and found.min() >= 0 and found.max() <= 1
