"""The backbones by name: ResNet-32 for 32-pixel images, torchvision's for larger ones."""

from collections.abc import Callable
from functools import partial

from ltray.errors import UsageError, shown
from ltray.imported import imported, is_dotted_path, nearest_or_dotted_path
from ltray.network import Backbone
from ltray.parts.resnet32 import ResNet32
from ltray.parts.torchvision_backbones import TORCHVISION

BACKBONES: dict[str, Callable[[], Backbone]] = {"resnet32": ResNet32} | {
    name: partial(kind, new_body) for name, (kind, new_body) in TORCHVISION.items()
}


def check_backbone(name: str) -> None:
    """Check that a backbone can be built.

    Args:
        name: A key of `BACKBONES`, or the dotted path of one in another package: "mypackage.nets:tiny".

    Raises:
        UsageError: No backbone has this name, or see `ltray.imported.imported`.
    """
    _builder(name)


def new_backbone(name: str) -> Backbone:
    """Build an untrained backbone.

    Args:
        name: A key of `BACKBONES`, or the dotted path of a class or function without arguments that gives a `Backbone`.

    Raises:
        UsageError: See `check_backbone`; or what was built is not a `Backbone`.
    """
    built = _builder(name)()
    sizes = [getattr(built, size, None) for size in ("width", "stride")]
    if not isinstance(built, Backbone) or not all(isinstance(size, int) for size in sizes):
        raise UsageError(
            f"`backbone` {name!r} must give a ltray.network.Backbone with integers `width` and `stride`, but gave "
            f"{shown(built)}."
        )
    return built


def _builder(name: str) -> Callable[[], Backbone]:
    if is_dotted_path(name):
        builder: Callable[[], Backbone] = imported(name, callable, "a class or function that gives a Backbone")
        return builder
    if name not in BACKBONES:
        hint = nearest_or_dotted_path(name, BACKBONES, "A backbone")
        raise UsageError(f"`backbone` is {shown(name)}, which is not known.{hint}")
    return BACKBONES[name]
