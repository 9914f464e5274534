"""ResNet-32 compared with the authors' code, torchvision's networks compared with torchvision."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision import models

from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.parts.backbones import BACKBONES, new_backbone
from ltray.parts.resnet32 import BasicBlock, ResNet32
from ltray.testing.contract import small_experiment
from tests.other_package import other_package

__all__ = ["other_package"]
CLOSE = dict(rtol=1e-9, atol=1e-11)
GRADIENT = dict(rtol=1e-7, atol=1e-10)


def close(actual: torch.Tensor, expected: np.ndarray, **tolerance: float) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, **tolerance)


@pytest.fixture
def official(golden):
    """ResNet-32 with the golden file's weights, in float64, and the file."""
    data = golden("resnet32")
    backbone = ResNet32().double()
    state = {name[2:]: torch.tensor(value).double() for name, value in data.items() if name.startswith("w/")}
    missing, unexpected = backbone.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    return backbone, data


def test_resnet32_evaluates_like_the_official_code(official) -> None:
    backbone, data = official
    backbone.eval()
    close(backbone(torch.tensor(data["io/x"]).double()), data["io/eval_features"], **CLOSE)
    close(backbone.float()(torch.tensor(data["io/x"])), data["io/eval_features_f32"], rtol=1e-4, atol=1e-5)


def test_resnet32_trains_like_the_official_code(official) -> None:
    backbone, data = official
    backbone.train()
    images = torch.tensor(data["io/x"]).double().requires_grad_()
    features = backbone(images)
    close(features, data["io/train_features"], **CLOSE)
    (torch.tensor(data["io/coef"]) * features).sum().backward()
    close(images.grad, data["io/grad_x"], **GRADIENT)
    close(backbone.conv1.weight.grad, data["io/grad_conv1"], **GRADIENT)
    gradients = {name: parameter.grad for name, parameter in backbone.named_parameters()}
    for name, norm in zip(data["io/grad_names"], data["io/grad_norms"], strict=True):
        close(gradients.pop(str(name)).norm(), norm, **GRADIENT)
    assert not gradients
    state = backbone.state_dict()
    running = {name[14:]: value for name, value in data.items() if name.startswith("train_running/")}
    assert running
    for name, value in running.items():
        close(state[name], value, **GRADIENT)


def test_resnet32_has_the_published_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in ResNet32().parameters()) == 463_504


def test_wide_resnet32_has_four_times_the_channels() -> None:
    with torch.device("meta"):
        wide = new_backbone("resnet32_w64")
    assert wide.width == 256
    assert sum(parameter.numel() for parameter in wide.parameters()) == 7_383_616


def test_shortcut_and_block_equal_the_official_code(golden) -> None:
    data = golden("layers")
    for width in (16, 32):
        shortcut = BasicBlock(width, 2 * width, 2).shortcut
        close(shortcut(torch.tensor(data[f"shortcut/x{width}"])), data[f"shortcut/y{2 * width}"], rtol=0, atol=0)
    block = BasicBlock(16, 32, 2).double()
    block.conv1.weight.data.copy_(torch.tensor(data["block/w1"]))
    block.conv2.weight.data.copy_(torch.tensor(data["block/w2"]))
    close(block(torch.tensor(data["block/x"])), data["block/y_train"], **CLOSE)


PARAMETERS = {
    "resnet50": 23_508_032,
    "resnet101": 42_500_160,
    "resnet152": 58_143_808,
    "resnext50_32x4d": 22_979_904,
    "resnext101_32x4d": 42_128_704,
    "vit_b_16": 85_798_656,
}


def test_every_torchvision_backbone_is_tested() -> None:
    assert set(BACKBONES) == set(PARAMETERS) | {"resnet32", "resnet32_w64"}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_counts_of_torchvision_backbones(name: str) -> None:
    with torch.device("meta"):
        backbone = new_backbone(name)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["resnet50", "resnext50_32x4d"])
def test_features_equal_those_of_torchvision(name: str) -> None:
    backbone = new_backbone(name).eval()
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), backbone.body(images))
        assert backbone.feature_map(images).shape == (2, backbone.width, 64 // backbone.stride, 96 // backbone.stride)


def test_feature_of_the_vision_transformer_is_its_class_token() -> None:
    torch.manual_seed(0)
    backbone = new_backbone("vit_b_16").eval()
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        features = backbone(images)
        torch.testing.assert_close(features, backbone.body(images))
        feature_map = backbone.feature_map(images)
    assert features.shape == (1, backbone.width)
    assert feature_map.shape == (1, backbone.width, 224 // backbone.stride, 224 // backbone.stride)


def test_kernels_are_initialized_as_published() -> None:
    # Conv weights of ResNet-32: kaiming_normal over the fan-in, variance 2 / (9 · inputs).
    torch.manual_seed(0)
    weight = ResNet32().layer3[1].conv1.weight
    assert weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.05)


def test_unknown_backbone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean `resnet50`"):
        new_backbone("resnet5O")


def test_models_of_the_table_exist_in_torchvision_except_one() -> None:
    missing = set(PARAMETERS) - set(models.list_models())
    assert missing == {"resnext101_32x4d"}


def test_feature_is_the_average_of_the_feature_map() -> None:
    backbone, images = ResNet32().eval(), torch.randn(2, 3, 32, 32)
    pooled = F.adaptive_avg_pool2d(backbone.feature_map(images), 1).flatten(1)
    torch.testing.assert_close(backbone(images), pooled)


@pytest.mark.parametrize("name", ["tiny", "Tiny"])
def test_backbone_of_another_package_is_built_by_its_dotted_path(other_package: str, name: str) -> None:
    network = small_experiment({"methods": ["cross_entropy"], "backbone": f"{other_package}.nets:{name}"})
    built = network.network.new("linear", LongTail((3, 2, 1)), load=True)
    assert built(torch.zeros(5, 3, 8, 8)).shape == (5, 3)
    assert network.settings()["backbone"] == f"{other_package}.nets:{name}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("otherpackage.nets:Unfinished", "must return a ltray.network.Backbone with integers `width` and `stride`"),
        ("otherpackage.nets:nn", "is the module `torch.nn`, but must be a class or function"),
        ("otherpackage.nets:tinny", "Did you mean `tiny`"),
        ("otherpackage.nets.tiny", "A backbone of another package is given by its dotted path"),
        ("resnet23", "is 'resnet23', which is not known. Did you mean `resnet32`"),
        ("builtins:dict", "must return a ltray.network.Backbone .*but returned {}"),
    ],
)
def test_invalid_backbone_is_refused(other_package: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        new_backbone(name)
    if "must return" not in message:  # detected before the backbone is built
        with pytest.raises(UsageError, match=message):
            small_experiment({"methods": ["cross_entropy"], "backbone": name})
