"""The families of backbones: a prefix of a name, and what builds the networks behind it and knows their weights."""

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
    """Backbones of one origin, and the weights that are published for them."""

    def check(self, name: str) -> None:
        """Check that a backbone can be built; a `UsageError` says why not."""
        ...

    def new(self, name: str, image_size: int | None) -> Backbone:
        """Build a backbone with random weights for images of a size; None: its usual."""
        ...

    def stated_weights(self, name: str) -> str:
        """Return the weights that a backbone's name states, "" if none."""
        ...

    def default_input(self, name: str) -> InputSettings | None:
        """Return the images that a file of weights expects that says nothing of them; None where nothing is known."""
        ...

    def published(self, name: str) -> Mapping[str, Published]:
        """Return the published weights of a backbone, by name."""
        ...

    def imagenet(self, name: str) -> str:
        """Return the name of the weights that `imagenet` means; "" or a `UsageError` if there are none."""
        ...

    def renames(self, body: nn.Module) -> Iterable[Rename]:
        """Return translations of the names in official files."""
        ...


FAMILIES: Mapping[str, Family] = {
    timm_backbones.PREFIX: timm_backbones,
    openclip_backbones.PREFIX: openclip_backbones,
    "": own_backbones,
}
"""The families by the prefix of their names; those of other packages are named by a dotted path."""


def family_of(name: str) -> Family:
    """Return the family of a backbone, by the prefix of its name or because it is a dotted path."""
    prefix = next(prefix for prefix in FAMILIES if name.startswith(prefix))
    return FAMILIES[prefix] if prefix or not is_dotted_path(name) else dotted_backbones


def check_backbone(name: str) -> None:
    """Check that a backbone can be built.

    Args:
        name: A key of `BACKBONES`, `timm/NAME`, `openclip/NAME`, or the dotted path of another package's:
            "mypackage.nets:tiny".

    Raises:
        UsageError: No backbone has this name, its library is missing, or see `ltray.imported.imported`.
    """
    family_of(name).check(name)


def new_backbone(name: str, image_size: int | None = None) -> Backbone:
    """Build an untrained backbone.

    Args:
        name: See `check_backbone`; a dotted path names a class or function without arguments that gives a `Backbone`.
        image_size: Side of its images in pixels, for networks that are built for one size; None: their usual.

    Raises:
        UsageError: See `check_backbone`; or what was built is not a `Backbone`.
    """
    return family_of(name).new(name, image_size)
