"""Backbones of timm and OpenCLIP: their outputs, refused settings, and data about their weights."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.parts.backbones import FAMILIES, check_backbone, family_of, new_backbone
from ltray.parts.fine_tuning import tune
from ltray.parts.pretrained import load_weights
from ltray.parts.published import pretrained_on
from ltray.testing import contract

CONVOLUTIONAL = ["test_efficientnet", "test_resnet", "test_byobnet", "test_nfnet"]
OTHERS = ["test_convnext", "test_mambaout", "test_vit", "test_vit3", "mobilenetv3_small_050"]


def evaluated(name: str, size: int) -> tuple[torch.nn.Module, Tensor]:
    torch.manual_seed(0)
    return new_backbone(name, size).eval(), torch.randn(2, 3, size, size)


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *OTHERS])
def test_features_equal_those_of_timm_before_its_classifier(name: str) -> None:
    backbone, images = evaluated(f"timm/{name}", 64)
    own = timm.create_model(name, num_classes=7, **({"img_size": 64} if "vit" in name else {})).eval()
    own.load_state_dict(backbone.loadable.state_dict(), strict=False)  # all parameters except those of the classifier
    with torch.no_grad():
        expected = own.forward_head(own.forward_features(images), pre_logits=True)
        features = backbone(images)
        assert features.shape == (2, backbone.width)
        torch.testing.assert_close(features, expected)
        cells = 64 // backbone.stride
        assert backbone.feature_map(images).shape[2:] == (cells, cells)


@pytest.mark.parametrize(("name", "averages"), [(n, True) for n in CONVOLUTIONAL] + [(n, False) for n in OTHERS])
def test_backbone_declares_whether_its_feature_is_the_average_of_its_map(name: str, averages: bool) -> None:
    backbone, images = evaluated(f"timm/{name}", 64)
    with torch.no_grad():
        features, mean = backbone(images), backbone.feature_map(images).mean(dim=(2, 3))
    same = features.shape == mean.shape and torch.allclose(features, mean, atol=1e-5)
    assert backbone.averages == averages == same


def test_building_draws_the_same_random_numbers_as_timm() -> None:
    torch.manual_seed(3)
    timm.create_model("test_resnet", num_classes=0)
    expected = torch.rand(1)
    torch.manual_seed(3)
    new_backbone("timm/test_resnet")
    assert torch.equal(torch.rand(1), expected)


def test_transformer_is_built_for_the_image_size() -> None:
    backbone, images = evaluated("timm/test_vit", 48)
    assert backbone(images).shape == (2, 64) and not backbone.any_size
    assert backbone.feature_map(images).shape == (2, 64, 3, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/convnext_tinny", "which timm does not have. Did you mean `timm/convnext_tiny`"),
        ("timm/", "which timm does not have"),
        ("timm/hf_hub:somebody/net", "which timm does not have"),
        ("timm/tf_efficientnet_lite0.in21k", "no weights 'in21k' of tf_efficientnet_lite0. Did you mean .*lite0.in1k`"),
        ("openclip/ViT-B-61", "which OpenCLIP does not have. Did you mean `ViT-B-16"),
        ("openclip/ViT-B-16/laion2b", "no weights 'laion2b' of ViT-B-16"),
        ("openclip/hf-hub:somebody/net", "which OpenCLIP does not have"),
        ("time/convnext_tiny", "which is not known"),
    ],
)
def test_unknown_name_of_a_library_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_backbone(name)
    with pytest.raises(UsageError, match=message):
        new_backbone(name)


def test_without_open_clip_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UsageError, match="needs the package open_clip_torch, .* with its extra `openclip`"):
        contract.small_experiment({"methods": ["cross_entropy"], "backbone": "openclip/ViT-B-16"})


@pytest.fixture
def tiny_clip(tmp_path: Path) -> Iterator[str]:
    """The name of a small CLIP model that is registered temporarily in open_clip."""
    import open_clip
    from open_clip import factory

    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
    }
    (tmp_path / "tiny-ltray.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "tiny-ltray.json")
    yield "openclip/tiny-ltray"
    factory._MODEL_CONFIG_PATHS.remove(tmp_path / "tiny-ltray.json")
    factory._rescan_model_configs()


def test_feature_of_an_image_tower_is_the_token_before_the_projection(tiny_clip: str) -> None:
    import open_clip

    torch.manual_seed(0)
    images = torch.randn(2, 3, 32, 32)
    own = open_clip.create_model("tiny-ltray", load_weights=False).eval()
    backbone = new_backbone(tiny_clip).eval()
    backbone.loadable.load_state_dict({k: v for k, v in own.visual.state_dict().items() if k != "proj"})
    with torch.no_grad():
        features, feature_map = backbone(images), backbone.feature_map(images)
        torch.testing.assert_close(features @ own.visual.proj, own.encode_image(images))
    assert features.shape == (2, backbone.width) == (2, 64)
    assert feature_map.shape == (2, 64, 4, 4) and backbone.stride == 8


def test_image_tower_is_built_for_the_image_size(tiny_clip: str) -> None:
    assert new_backbone(tiny_clip, 48).feature_map(torch.zeros(1, 3, 48, 48)).shape == (1, 64, 6, 6)


@pytest.mark.parametrize(
    ("tag", "data", "labels"),
    [
        ("in1k", "ImageNet-1k (with its labels)", True),
        ("augreg_in21k_ft_in1k", "ImageNet-21k, then ImageNet-1k (with its labels)", True),
        ("augreg_in21k", "ImageNet-21k", False),
        ("dino", "ImageNet-1k images without labels (dino)", False),
        ("fcmae_ft_in1k", "ImageNet-1k (with its labels)", True),
        ("laion2b_s34b_b88k", "LAION-2B image-text pairs", False),
        ("openai", "OpenAI's 400 million image-text pairs", False),
        ("something", "not stated", None),
    ],
)
def test_pretraining_data_are_parsed_from_the_name(tag: str, data: str, labels: bool | None) -> None:
    assert pretrained_on(tag) == (data, labels)


def test_every_published_weight_declares_its_images_and_file() -> None:
    for name in (
        "resnet50",
        "vit_b_16",
        "timm/tf_efficientnet_lite0",
        "timm/vit_base_patch16_224",
        "openclip/ViT-B-16",
    ):
        known = family_of(name).published(name)
        assert known
        for tag, one in known.items():
            assert tag in one.name and one.file and one.at
            assert len(one.input.mean) == len(one.input.std) == 3 and one.input.image_size >= 32
    assert list(FAMILIES) == ["timm/", "openclip/", ""]


@pytest.mark.parametrize("method", ["ride", "dscl"])
def test_methods_that_need_convolutional_internals_refuse_a_transformer(method: str) -> None:
    zero = {"dscl.zero_start": False} if method == "dscl" else {}
    settings = {"methods": [method], "backbone": "timm/test_vit", "dataset.image_size": 32} | zero
    with pytest.raises(UsageError, match="need a residual network|distillation of patches"):
        contract.small_experiment(settings).planned_epochs(LongTail((20, 10)))


def test_zero_start_is_refused_for_other_backbones() -> None:
    settings = {"methods": ["dscl"], "backbone": "timm/test_efficientnet", "dscl.zero_start": True}
    with pytest.raises(UsageError, match="`zero_start` is for ResNet-32 and torchvision's"):
        contract.small_experiment(settings).planned_epochs(LongTail((20, 10)))


def test_frozen_backbone_remains_in_evaluation_mode() -> None:
    from ltray.engine.train_step import set_training_mode

    (stage,) = contract.small_experiment({"methods": ["cross_entropy"], "backbone": "timm/test_efficientnet"}).stages(
        LongTail((3, 2))
    )
    tune(stage.network.backbone, "head", classes=2)
    set_training_mode(stage)
    assert not any(module.training for module in stage.network.backbone.modules())
    assert not any(parameter.requires_grad for parameter in stage.network.backbone.parameters())
    assert stage.network.classifier.training and stage.network.classifier.weight.requires_grad


TEN = LongTail((40, 30, 20, 16, 12, 10, 9, 8, 7, 6))
BUILDERS = sorted(name for name, method in METHODS.items() if method.builds and not method.distils)


@pytest.mark.parametrize("backbone", ["timm/test_efficientnet", "timm/test_vit"])
@pytest.mark.parametrize("method", BUILDERS)
def test_every_method_builds_on_a_timm_network_or_is_refused(method: str, backbone: str) -> None:
    settings = {"methods": [method], "backbone": backbone, "dataset.image_size": 32}
    experiment = contract.small_experiment(settings)
    refused = {"ride"} | ({"dscl"} if "vit" in backbone else set())
    if method in refused:
        with pytest.raises(UsageError, match="need a residual network|distillation of patches"):
            experiment.stages(TEN)
    else:
        stages = experiment.stages(TEN)
        assert stages[0].network.backbone.width == (64 if "vit" in backbone else 256)


def test_image_tower_is_loaded_from_a_file_of_the_complete_model(tiny_clip: str, tmp_path: Path) -> None:
    import open_clip

    torch.manual_seed(1)
    own = open_clip.create_model("tiny-ltray", load_weights=False)
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in own.state_dict().items()}}, tmp_path / "clip.pt"
    )
    torch.manual_seed(2)
    backbone = new_backbone(tiny_clip)
    found = load_weights(backbone, tiny_clip, str(tmp_path / "clip.pt"))
    for name, value in backbone.loadable.state_dict().items():
        assert torch.equal(value, own.visual.state_dict()[name]), name
    assert "token_embedding (1 tensor)" in found.left_over_parts() and "proj (1 tensor)" in found.left_over_parts()
