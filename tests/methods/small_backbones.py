"""Small backbones that a run names by their dotted path."""

from pathlib import Path
from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer

from ltray.parts.resnet32 import ResNet32
from ltray.parts.timm_backbones import TimmBackbone


def small_transformer() -> TimmBackbone:
    body = VisionTransformer(img_size=8, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=0)
    body.pretrained_cfg = {"fixed_input_size": True, "architecture": "small"}
    return TimmBackbone(body)


class SmallResNet(ResNet32):
    """ResNet-32 with four channels."""

    def __init__(self) -> None:
        super().__init__(4)


NETWORKS = {"small_transformer": small_transformer, "SmallResNet": SmallResNet}


def saved_in(folder: Path) -> dict[str, dict[str, Any]]:
    """Save random weights of each backbone, and return the settings of a network with them, by its name."""
    torch.manual_seed(3)
    found = {}
    for name, build in NETWORKS.items():
        file = folder / f"{name}.pt"
        torch.save(build().loadable.state_dict(), file)
        found[name] = {"backbone": f"{__name__}:{name}", "weights": str(file)}
    return found
