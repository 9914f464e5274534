"""The table of backbones: ResNet-32 for 32-pixel images, torchvision's for larger ones."""

from collections.abc import Callable
from functools import partial

from ltray.errors import UsageError, did_you_mean
from ltray.network import Backbone
from ltray.parts.resnet32 import ResNet32
from ltray.parts.torchvision_backbones import TORCHVISION

BACKBONES: dict[str, Callable[[], Backbone]] = {"resnet32": ResNet32} | {
    name: partial(kind, new_body) for name, (kind, new_body) in TORCHVISION.items()
}


def new_backbone(name: str) -> Backbone:
    """Build an untrained backbone by name.

    Raises:
        UsageError: No backbone has this name.
    """
    if name not in BACKBONES:
        raise UsageError(f"`backbone` must be a known name, but got {name!r}.{did_you_mean(name, BACKBONES)}")
    return BACKBONES[name]()
