"""The families of backbones: the prefix of their names, and the module that builds them and lists their weights."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from torch import nn

from ltray.imported import is_dotted_path
from ltray.network import Backbone
from ltray.parts import dotted_backbones, openclip_backbones, own_backbones, timm_backbones
from ltray.parts.own_backbones import BACKBONES
from ltray.parts.published import InputSettings, Published
from ltray.parts.weight_layouts import Rename

__all__ = ["BACKBONES", "FAMILIES", "Family", "check_backbone", "family_of", "new_backbone"]


class Family(Protocol):
    """Backbones of one library, and the weights that are published for them."""

    def check(self, name: str) -> None:
        """Raise a `UsageError` with the reason if a backbone cannot be built."""
        ...

    def new(self, name: str, image_size: int | None) -> Backbone:
        """Build a backbone with random weights for images of a size in pixels; None: its usual size."""
        ...

    def weights_in_name(self, name: str) -> str:
        """Return the weights that a backbone's name contains, "" if none."""
        ...

    def default_input(self, name: str) -> InputSettings | None:
        """Return the input that weights expect if their file does not describe it; None if it is not known."""
        ...

    def published(self, name: str) -> Mapping[str, Published]:
        """Return the published weights of a backbone, by name."""
        ...

    def imagenet(self, name: str) -> str:
        """Return the name of the weights that `imagenet` means; "" or a `UsageError` if there are none."""
        ...

    def renames(self, body: nn.Module) -> Iterable[Rename]:
        """Return functions that translate the tensors' names in official files to the backbone's names."""
        ...


FAMILIES: Mapping[str, Family] = {
    timm_backbones.PREFIX: timm_backbones,
    openclip_backbones.PREFIX: openclip_backbones,
    "": own_backbones,
}
"""The families by the prefix of their names; a backbone of another package has a dotted path as its name."""


def family_of(name: str) -> Family:
    """Return the family of a backbone, by the prefix of its name or because it is a dotted path."""
    prefix = next(prefix for prefix in FAMILIES if name.startswith(prefix))
    return FAMILIES[prefix] if prefix or not is_dotted_path(name) else dotted_backbones


def check_backbone(name: str) -> None:
    """Check that a backbone can be built.

    Args:
        name: A key of `BACKBONES`, `timm/NAME`, `openclip/NAME`, or the dotted path of a backbone of another package:
            "mypackage.nets:tiny".

    Raises:
        UsageError: No backbone has this name, its library is not installed, or the dotted path cannot be imported;
            see `ltray.imported.imported`.
    """
    family_of(name).check(name)


def new_backbone(name: str, image_size: int | None = None) -> Backbone:
    """Build an untrained backbone.

    Args:
        name: See `check_backbone`; a dotted path is that of a class or function without arguments that returns a
            `Backbone`.
        image_size: Side of the images in pixels, for networks that are built for one size; None: their usual size.

    Raises:
        UsageError: See `check_backbone`; or the result is not a `Backbone`.
    """
    return family_of(name).new(name, image_size)
