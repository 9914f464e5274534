"""OpenCLIP's image towers, `openclip/ARCHITECTURE` or `openclip/ARCHITECTURE/WEIGHTS`, without their projection.

open_clip is an extra; it is imported when a tower is built.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltray.errors import UsageError, did_you_mean, shown
from ltray.network import Backbone
from ltray.parts.published import InputSettings, Published, of_hub, pretrained_on
from ltray.parts.weight_layouts import Rename

PREFIX = "openclip/"
HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and standard deviation of OpenAI's weights, which open_clip uses if a configuration contains none."""


class ImageTower(Backbone):
    """The image tower of a CLIP model, for images of one size.

    A transformer's feature is its pooled token before the projection into the common space of images and texts, as in
    fine-tuning (LIFT); a ResNet's feature is the output of its attention pooling.

    Args:
        tower: `visual` of the model.
    """

    body: Any
    any_size = False
    averages = False

    def __init__(self, tower: nn.Module) -> None:
        super().__init__()
        self.body = tower
        if getattr(tower, "proj", None) is not None:
            self.body.proj = None
            self.body.output_dim = self.body.ln_post.normalized_shape[0]
        elif hasattr(tower, "trunk"):  # a network of timm with a head of open_clip
            self.body.head = nn.Identity()
            self.body.output_dim = int(self.body.trunk.num_features)
        self.width = int(self.body.output_dim)
        size, grid = self.body.image_size, getattr(tower, "grid_size", None)
        side = size if isinstance(size, int) else size[0]
        self.stride = side // grid[0] if grid else 32
        self.is_transformer = grid is not None and hasattr(tower, "ln_post")

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, S, S) to the patches' last tokens (B, d, S/stride, S/stride).

        Raises:
            UsageError: The tower is not a vision transformer of open_clip.
        """
        if not self.is_transformer:
            raise UsageError("Only OpenCLIP's vision transformers have a feature map.")
        found = self.body.forward_intermediates(images, indices=1, normalize_intermediates=True)
        last: Tensor = found["image_intermediates"][-1]
        return last

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, S, S) to features (B, d)."""
        features: Tensor = self.body(images)
        return features


def check(name: str) -> None:
    """Check that OpenCLIP has a tower, and the weights if the name contains them.

    Raises:
        UsageError: It does not have them, or open_clip is not installed.
    """
    library, (architecture, tag) = _library(name), _parts(name)
    known = [model for model in library.list_models() if "/" not in model]
    if architecture not in known:
        near = did_you_mean(architecture, known)
        raise UsageError(f"`backbone` is {shown(name)}, which OpenCLIP does not have.{near if 'mean' in near else ''}")
    if tag and tag not in published(name):
        raise UsageError(
            f"`backbone` is {shown(name)}, but OpenCLIP has no weights {tag!r} of {architecture}."
            f"{did_you_mean(tag, published(name))}"
        )


def new(name: str, image_size: int | None) -> ImageTower:
    """Build a tower with random weights.

    Args:
        name: See `check`.
        image_size: Side of its images in pixels; None: that of the architecture.

    Raises:
        UsageError: OpenCLIP does not have it.
    """
    return ImageTower(new_model(name, image_size).visual)


def new_model(name: str, image_size: int | None) -> Any:
    """Build a complete CLIP model, image and text tower, with random weights; see `new`."""
    check(name)
    library, (architecture, tag) = _library(name), _parts(name)
    from open_clip.pretrained import get_pretrained_cfg

    config = get_pretrained_cfg(architecture, tag) if tag else {}
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns that no weights are loaded
    try:
        return library.create_model(
            architecture,
            load_weights=False,
            device=torch.get_default_device(),
            force_image_size=image_size,
            force_quick_gelu=bool(config.get("quick_gelu", False)),
        )
    finally:
        logging.disable(before)


def tokens(name: str, texts: Sequence[str], length: int) -> Tensor:
    """Return the tokens of texts (N, length), int64, as a model's tokenizer makes them.

    Args:
        name: Of a tower.
        texts: The texts.
        length: Tokens of each, the rest of which is padding.
    """
    found: Tensor = _library(name).get_tokenizer(_parts(name)[0])(list(texts), context_length=length)
    return found


def weights_in_name(name: str) -> str:
    """Return the weights that a name contains, "" if none."""
    return _parts(name)[1]


def default_input(name: str) -> InputSettings | None:
    """Return the images that the weights in the name expect, or the architecture's, with OpenAI's mean and std."""
    tag = _parts(name)[1]
    return published(name)[tag].input if tag else _input(name, {})


def published(name: str) -> Mapping[str, Published]:
    """Return the weights that OpenCLIP publishes for a tower, by name."""
    _library(name)
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    architecture, _ = _parts(name)
    tags = list_pretrained_tags_by_model(architecture)
    return {tag: _published(name, architecture, tag, get_pretrained_cfg(architecture, tag)) for tag in tags}


def imagenet(name: str) -> str:
    """Return the name of the first weights that were trained with ImageNet-1k's labels, "" if there are none."""
    return next((tag for tag, one in published(name).items() if one.imagenet_labels), "")


def renames(body: nn.Module) -> Iterable[Rename]:
    """Return no translation: OpenCLIP's files contain OpenCLIP's names."""
    return ()


def _published(name: str, architecture: str, tag: str, config: Mapping[str, Any]) -> Published:
    from open_clip.pretrained import download_pretrained

    data, labels = pretrained_on(tag)
    full, images = f"{PREFIX}{architecture}/{tag}", _input(name, config)
    repository, _, file = str(config.get("hf_hub", "")).rpartition("/")
    if repository:
        return of_hub(full, data, labels, images, repository=repository, files=(file,) if file else HUB_FILES)
    address = str(config.get("url", ""))
    return Published(
        full,
        data,
        labels,
        images,
        file=address.rpartition("/")[2],
        at=address,
        keeps=Path("~/.cache/clip").expanduser(),
        fetch=lambda: Path(download_pretrained(dict(config))),
    )


def _input(name: str, config: Mapping[str, Any]) -> InputSettings:
    size = _library(name).get_model_config(_parts(name)[0])["vision_cfg"]["image_size"]
    mean, std = (tuple(config.get(key) or usual) for key, usual in zip(("mean", "std"), OPENAI, strict=True))
    side = size if isinstance(size, int) else size[0]
    return InputSettings(mean, std, side, str(config.get("interpolation", "bicubic")), only_size=True)


def _library(name: str) -> Any:
    try:
        import open_clip
    except ModuleNotFoundError as error:
        if error.name != "open_clip":
            raise
        raise UsageError(
            f"`backbone` {name!r} needs the package open_clip_torch, which is not installed: install ltray with its "
            "extra `openclip` (`pip install 'ltray[openclip]'`)."
        ) from error
    return open_clip


def _parts(name: str) -> tuple[str, str]:
    architecture, _, tag = name.removeprefix(PREFIX).partition("/")
    return architecture, tag
