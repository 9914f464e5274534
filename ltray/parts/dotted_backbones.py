"""Backbones of other packages, by their dotted path: `mypackage.nets:tiny`."""

from collections.abc import Callable, Iterable, Mapping

from torch import nn

from ltray.errors import UsageError, shown
from ltray.imported import imported
from ltray.network import Backbone
from ltray.parts.published import InputSettings, Published
from ltray.parts.weight_layouts import Rename


def check(name: str) -> None:
    """Import the class or function at a dotted path.

    Raises:
        UsageError: See `ltray.imported.imported`.
    """
    _builder(name)


def new(name: str, image_size: int | None) -> Backbone:
    """Build a backbone; `image_size` is not passed to it.

    Raises:
        UsageError: See `check`; or the result is not a `Backbone`.
    """
    built = _builder(name)()
    sizes = [getattr(built, size, None) for size in ("width", "stride")]
    if not isinstance(built, Backbone) or not all(isinstance(size, int) for size in sizes):
        raise UsageError(
            f"`backbone` {name!r} must return a ltray.network.Backbone with integers `width` and `stride`, but "
            f"returned {shown(built)}."
        )
    return built


def weights_in_name(name: str) -> str:
    """Return "": a dotted path contains no weights."""
    return ""


def default_input(name: str) -> InputSettings | None:
    """Return None: the input is not known."""
    return None


def published(name: str) -> Mapping[str, Published]:
    """Return {}: no published weights are known."""
    return {}


def imagenet(name: str) -> str:
    """Raise an error, because no ImageNet weights are known.

    Raises:
        UsageError: Always.
    """
    raise UsageError(
        f"`weights` 'imagenet' is not known for {name!r}, a backbone of another package; set `weights` to a file."
    )


def renames(body: nn.Module) -> Iterable[Rename]:
    """Return no translation."""
    return ()


def _builder(name: str) -> Callable[[], Backbone]:
    builder: Callable[[], Backbone] = imported(name, callable, "a class or function that returns a Backbone")
    return builder
