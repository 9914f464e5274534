"""Weights from a file, and partial freezing."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from ltray.errors import UsageError
from ltray.parts.backbones import new_backbone
from ltray.parts.fine_tuning import tune
from ltray.parts.pretrained import load_weights


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """The state of a torchvision ResNet-50, classifier included."""
    torch.manual_seed(0)
    return models.resnet50().state_dict()


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "of a training script"])
def test_file_with_torchvision_names_is_loaded_without_classifier(
    tmp_path: Path, published: dict[str, torch.Tensor], wrapped: bool
) -> None:
    content = {"state_dict": {f"module.{name}": value for name, value in published.items()}} if wrapped else published
    torch.save(content, tmp_path / "weights.pt")
    backbone = new_backbone("resnet50")
    load_weights(backbone, "resnet50", str(tmp_path / "weights.pt"))
    for name, value in backbone.body.state_dict().items():
        assert torch.equal(value, published[name])


def test_weights_that_do_not_fit_are_refused(tmp_path: Path, published: dict[str, torch.Tensor]) -> None:
    file = tmp_path / "weights.pt"
    torch.save(
        {name: value for name, value in published.items() if name != "conv1.weight"} | {"x": torch.ones(1)}, file
    )
    with pytest.raises(UsageError, match=r"1 tensors are missing .*\(conv1.weight\) and 1 are unknown \(x\)"):
        load_weights(new_backbone("resnet50"), "resnet50", str(file))
    torch.save([1, 2], file)
    with pytest.raises(UsageError, match="must contain a state dictionary"):
        load_weights(new_backbone("resnet50"), "resnet50", str(file))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        load_weights(new_backbone("resnet50"), "resnet50", str(tmp_path / "none.pt"))
    with pytest.raises(UsageError, match="no ImageNet weights for 'resnext101_32x4d'"):
        load_weights(new_backbone("resnext101_32x4d"), "resnext101_32x4d", "imagenet")
    with pytest.raises(UsageError, match="for torchvision's backbones"):
        load_weights(new_backbone("resnet32"), "resnet32", "imagenet")


def test_norms_and_last_block_remain_trainable() -> None:
    backbone = new_backbone("resnet50")
    tune(backbone, "norms_and_last_block", classes=10)
    trained = backbone.tuned.parameters
    convolutions = {name for name, module in backbone.named_modules() if isinstance(module, nn.Conv2d)}
    last = {f"body.layer4.2.conv{index}.weight" for index in (1, 2, 3)}
    assert {name for name in trained if name.removesuffix(".weight") in convolutions} == last
    norms = [name for name, module in backbone.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(f"{name}.weight" in trained and f"{name}.bias" in trained for name in norms)


def test_train_all_freezes_nothing_and_an_unknown_part_is_refused() -> None:
    backbone = new_backbone("resnet32")
    tune(backbone, "all", classes=10)
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    with pytest.raises(UsageError, match="Did you mean `head`"):
        tune(backbone, "heads", classes=10)


class Code:
    """An object whose unpickling calls a function that makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_code_in_a_weights_file_is_refused_and_not_executed(tmp_path: Path) -> None:
    torch.save({"conv1.weight": Code(tmp_path / "run")}, tmp_path / "weights.pt")
    with pytest.raises(
        UsageError, match="weights.pt: contains no weights that torch.save wrote, or contains code, which is never"
    ):
        load_weights(new_backbone("resnet50"), "resnet50", str(tmp_path / "weights.pt"))
    assert not (tmp_path / "run").exists()
