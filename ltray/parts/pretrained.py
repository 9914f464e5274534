"""The initial weights of a backbone and their origin."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ltray.errors import UsageError, did_you_mean
from ltray.files import digest_of, read_json, reading
from ltray.network import Backbone
from ltray.parts.backbones import family_of
from ltray.parts.published import InputSettings, Published
from ltray.parts.weight_files import read_tensors
from ltray.parts.weight_layouts import Fit, fit
from ltray.printable import printable
from ltray.run_settings import IMAGENET

CONFIGURATIONS = ("config.json", "open_clip_config.json")
"""Files next to a file of weights that describe the images it expects, as timm and OpenCLIP write them."""


@dataclass(frozen=True)
class Origin:
    """The origin of some weights.

    Attributes:
        name: Their exact name; of a file that no library is known to publish, the file's.
        pretrained_on: Data, as text; "not stated" where nothing is known.
        imagenet_labels: Whether labels of ImageNet-1k were seen; None where nothing states it.
        input: The images that they expect; None where nothing is known.
    """

    name: str
    pretrained_on: str = "not stated"
    imagenet_labels: bool | None = None
    input: InputSettings | None = None


def is_file(weights: str) -> bool:
    """Return whether a value of `weights` is a file; `RunSettings` has made it an absolute path."""
    return "/" in weights or Path(weights).exists()


def has_imagenet_weights(name: str) -> bool:
    """Return whether a library has ImageNet weights for a backbone."""
    try:
        return bool(family_of(name).imagenet(name))
    except UsageError:
        return False


def check_weights(name: str, weights: str) -> None:
    """Check the name and the weights without reading or downloading anything.

    Args:
        name: Name of the backbone.
        weights: "imagenet", the library's name of weights, or a file.

    Raises:
        UsageError: There are no such weights for this backbone.
    """
    if not is_file(weights):
        published(name, weights)


def published(name: str, weights: str) -> Published:
    """Return the published weights for a value of `weights`.

    Raises:
        UsageError: There are no such published weights.
    """
    family = family_of(name)
    known = family.published(name)
    found = family.imagenet(name) if weights == IMAGENET else weights
    if not found:
        raise UsageError(
            f"`weights` is {weights!r}, but no weights of {name!r} were trained with ImageNet-1k's "
            f"labels.{_listed(known)}"
        )
    if found not in known:
        raise UsageError(
            f"`weights` must be {IMAGENET!r}, 'random', a file or a name of weights of {name!r}, but there is no "
            f"{weights!r}.{did_you_mean(weights, known)}"
        )
    return known[found]


def _listed(known: Mapping[str, Published]) -> str:
    return f" Known: {', '.join(f'`{tag}`' for tag in known)}." if known else " Set `weights` to a file."


def origin_of(name: str, weights: str) -> Origin:
    """Return the origin of some weights, without downloading them.

    A file is identified by its digest, if the library publishes it, or described by a `config.json` next to it; for any
    other file, the images are those that the library's weights expect.

    Raises:
        UsageError: There are no such weights, or the configuration next to a file cannot be read.
    """
    if not is_file(weights):
        one = published(name, weights)
        return Origin(one.name, one.pretrained_on, one.imagenet_labels, one.input)
    path = Path(weights)
    family = family_of(name)
    known, tag = family.published(name), family.weights_in_name(name)
    digest = weights_digest(path) if path.is_file() else ""
    for one in known.values():
        if one.digest and digest.startswith(one.digest):
            return Origin(one.name, one.pretrained_on, one.imagenet_labels, one.input)
    images = _config_next_to(path) or family.default_input(name)
    if tag:
        return Origin(f"{path.name} as {known[tag].name}", known[tag].pretrained_on, known[tag].imagenet_labels, images)
    return Origin(path.name, input=images)


def _config_next_to(path: Path) -> InputSettings | None:
    """Return the images that a configuration next to a file of weights describes; None if there is none."""
    for name in CONFIGURATIONS:
        place = path.parent / name
        content = read_json(place) if place.is_file() else None
        if not isinstance(content, dict):
            continue
        with reading(place, "does not describe the images of its weights in the format of timm or OpenCLIP"):
            if isinstance(own := content.get("pretrained_cfg"), dict):
                return _stated(own, int(own["input_size"][-1]), fixed=bool(own.get("fixed_input_size", False)))
            if isinstance(own := content.get("preprocess_cfg"), dict):
                return _stated(own, int(content["model_cfg"]["vision_cfg"]["image_size"]), fixed=True)
    return None


def _stated(content: Mapping[str, Any], size: int, *, fixed: bool) -> InputSettings:
    mean, std = (tuple(float(value) for value in content[key]) for key in ("mean", "std"))
    return InputSettings(mean, std, size, interpolation=str(content.get("interpolation", "")), only_size=fixed)


def file_of(name: str, weights: str) -> Path:
    """Return the file of some weights; published weights are downloaded if they are not in the cache.

    Raises:
        UsageError: There is no such file, or it cannot be downloaded.
    """
    if not is_file(weights):
        return published(name, weights).local()
    if not Path(weights).exists():
        raise UsageError(f"`weights` must be {IMAGENET!r}, 'random' or a file, but there is no file {weights!r}.")
    return Path(weights)


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file of weights; read once for each state of the file.

    Raises:
        UsageError: It cannot be read.
    """
    with reading(path):
        about = path.stat()
        return _digest(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, changed: int) -> str:
    return digest_of(path)


def load_weights(backbone: Backbone, name: str, weights: str) -> Fit:
    """Load weights into a backbone.

    Args:
        backbone: A backbone as `new_backbone` builds it; changed in place.
        name: Its name, "resnet152".
        weights: "imagenet" or the library's name of weights (downloaded once), or a file: a state dictionary with the
            names of the library, or a training script's checkpoint that contains one.

    Returns:
        The content of the file, including the classifier and other parts that are not loaded.

    Raises:
        UsageError: There are no such weights, or they do not fit.
    """
    check_weights(name, weights)
    found = fitting(backbone, name, weights)
    backbone.loadable.load_state_dict(dict(found.state))
    return found


def fitting(backbone: Backbone, name: str, weights: str) -> Fit:
    """Compare weights with a backbone; its parameters may be on the "meta" device.

    Raises:
        UsageError: They cannot be read, or do not fit.
    """
    path, module = file_of(name, weights), backbone.loadable
    found = fit(read_tensors(path), module, tuple(family_of(name).renames(module)))
    if found.is_complete and found.equals:
        names = ", ".join(f"`{one.removesuffix('.')}`" for one in [found.prefix, *found.equals])
        raise UsageError(
            f"`weights` {printable(weights)!r} contains several networks that fit {name} ({names}): write a file with "
            "one of them."
        )
    if not found.is_complete:
        raise UsageError(
            f"`weights` {printable(weights)!r} must fit {name}, but {len(found.missing)} tensors are missing or have "
            f"another shape ({', '.join(found.missing[:3])}) and {len(found.unknown)} are unknown "
            f"({', '.join(found.unknown[:3])})."
        )
    return found
