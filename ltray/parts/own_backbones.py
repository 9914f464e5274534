"""The backbones without a prefix in their names: ResNet-32 for 32-pixel images, torchvision's for larger images."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from torch import nn

from ltray.errors import UsageError, shown
from ltray.imported import nearest_or_dotted_path
from ltray.network import Backbone
from ltray.parts.published import InputSettings, Published, digest_in, from_address, hub_cache
from ltray.parts.resnet32 import ResNet32
from ltray.parts.torchvision_backbones import IMAGE_SIZES, TORCHVISION
from ltray.parts.weight_layouts import Rename
from ltray.run_settings import IMAGENET

FIRST_PUBLISHED = "IMAGENET1K_V1"  # the papers' weights
PREFIXES = ("timm/…", "openclip/…")
BACKBONES: Mapping[str, Callable[[], Backbone]] = {
    "resnet32": ResNet32,
    "resnet32_w64": partial(ResNet32, 64),
    **{name: partial(kind, new_body) for name, (kind, new_body) in TORCHVISION.items()},
}


def check(name: str) -> None:
    """Check that a name is in the table.

    Raises:
        UsageError: It is not in the table.
    """
    if name not in BACKBONES:
        hint = nearest_or_dotted_path(name, [*BACKBONES, *PREFIXES], "A backbone")
        raise UsageError(f"`backbone` is {shown(name)}, which is not known.{hint}")


def new(name: str, image_size: int | None) -> Backbone:
    """Build a backbone with random weights; `image_size` has no effect.

    Raises:
        UsageError: See `check`.
    """
    check(name)
    return BACKBONES[name]()


def weights_in_name(name: str) -> str:
    """Return "": the names of the table contain no weights."""
    return ""


def default_input(name: str) -> InputSettings | None:
    """Return None: files of weights do not describe their input, so that the data set's statistics are used."""
    return None


def published(name: str) -> Mapping[str, Published]:
    """Return the weights that torchvision publishes for a backbone, by name."""
    from torchvision import models

    if name not in TORCHVISION or name not in models.list_models():
        return {}
    found = {one.name: _published(name, one) for one in models.get_model_weights(name)}
    size = IMAGE_SIZES.get(name)
    return {key: one for key, one in found.items() if size in (None, one.input.image_size)}


def imagenet(name: str) -> str:
    """Return the name of the weights that `imagenet` means.

    Raises:
        UsageError: There are none.
    """
    if name not in TORCHVISION:
        raise UsageError(
            f"`weights` {IMAGENET!r} is for torchvision's backbones and timm's, but the backbone is {name!r}."
        )
    if not published(name):
        raise UsageError(f"torchvision has no ImageNet weights for {name!r}; set `weights` to a file.")
    return FIRST_PUBLISHED


def renames(body: nn.Module) -> Iterable[Rename]:
    """Return no translation: official files have torchvision's names."""
    return ()


def _published(name: str, weights: Any) -> Published:
    images = weights.transforms()
    swag = "SWAG" in weights.name
    return Published(
        name=f"torchvision/{name}.{weights.name}",
        pretrained_on=("Instagram images with hashtags, then " if swag else "") + "ImageNet-1k (with its labels)",
        imagenet_labels=True,
        input=InputSettings(
            tuple(images.mean),
            tuple(images.std),
            images.crop_size[0],
            interpolation=images.interpolation.value,
            only_size=name in IMAGE_SIZES,
        ),
        file=weights.url.rpartition("/")[2],
        at=weights.url,
        keeps=hub_cache(),
        fetch=partial(from_address, weights.url, digest_in(weights.url)),
        digest=digest_in(weights.url),
    )
