"""Backbones of other packages, named by their dotted path: `mypackage.nets:tiny`."""

from collections.abc import Callable, Iterable, Mapping

from torch import nn

from ltray.errors import UsageError, shown
from ltray.imported import imported
from ltray.network import Backbone
from ltray.parts.published import InputSettings, Published
from ltray.parts.weight_layouts import Rename


def check(name: str) -> None:
    """Import what a dotted path names.

    Raises:
        UsageError: See `ltray.imported.imported`.
    """
    _builder(name)


def new(name: str, image_size: int | None) -> Backbone:
    """Build a backbone; it is not told the size of its images.

    Raises:
        UsageError: See `check`; or what was built is not a `Backbone`.
    """
    built = _builder(name)()
    sizes = [getattr(built, size, None) for size in ("width", "stride")]
    if not isinstance(built, Backbone) or not all(isinstance(size, int) for size in sizes):
        raise UsageError(
            f"`backbone` {name!r} must give a ltray.network.Backbone with integers `width` and `stride`, but gave "
            f"{shown(built)}."
        )
    return built


def stated_weights(name: str) -> str:
    """Return "": a dotted path states no weights."""
    return ""


def default_input(name: str) -> InputSettings | None:
    """Return None: nothing is known."""
    return None


def published(name: str) -> Mapping[str, Published]:
    """Return {}: nothing is known."""
    return {}


def imagenet(name: str) -> str:
    """Raise.

    Raises:
        UsageError: Always.
    """
    raise UsageError(f"`weights` 'imagenet' is not known for {name!r}, a backbone of another package: name a file.")


def renames(body: nn.Module) -> Iterable[Rename]:
    """Return no translation."""
    return ()


def _builder(name: str) -> Callable[[], Backbone]:
    builder: Callable[[], Backbone] = imported(name, callable, "a class or function that gives a Backbone")
    return builder
