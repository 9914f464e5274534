"""timm's networks, `timm/NAME`, without their classifiers.

timm is imported when a network is built: it takes a second, and most runs do not use it.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ltray.errors import UsageError, did_you_mean, shown
from ltray.files import reason
from ltray.network import Backbone
from ltray.parts.published import (
    InputSettings,
    Published,
    digest_in,
    from_address,
    hub_cache,
    of_hub,
    pretrained_on,
)
from ltray.parts.weight_layouts import Rename, State

PREFIX = "timm/"
HUB_FILES = ("model.safetensors", "pytorch_model.bin")


class TimmBackbone(Backbone):
    """One of timm's networks; its feature is the input of timm's classifier.

    Args:
        body: The network, built without a classifier.
    """

    body: Any

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.width = int(getattr(body, "head_hidden_size", 0) or self.body.num_features)
        info = getattr(body, "feature_info", None)
        self.stride = int(info[-1]["reduction"]) if info else 32
        self.any_size = not self.body.pretrained_cfg.get("fixed_input_size", False)
        self.averages = self.any_size and _averages(self.body)

    def feature_map(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to the last feature map, or the patches' tokens, (B, d, h, w).

        Raises:
            UsageError: The network has no feature map.
        """
        found = self.body.forward_features(images)
        if not isinstance(found, Tensor):
            raise UsageError(f"`backbone` {self.body.pretrained_cfg['architecture']!r} has no single feature map.")
        if found.dim() == 4:
            return found.permute(0, 3, 1, 2) if getattr(self.body, "output_fmt", "NCHW") == "NHWC" else found
        patches = found[:, getattr(self.body, "num_prefix_tokens", 1 if hasattr(self.body, "cls_token") else 0) :]
        rows = int(patches.shape[1] ** 0.5)
        if rows * rows != patches.shape[1]:
            raise UsageError(f"`backbone` {self.body.pretrained_cfg['architecture']!r} has no square feature map.")
        return patches.transpose(1, 2).reshape(len(patches), -1, rows, rows)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W) to features (B, d)."""
        features: Tensor = self.body(images)
        return features


def _averages(body: Any) -> bool:
    """Return whether the network's feature is the average of its feature map; draws no random numbers."""
    if next(body.parameters()).is_meta or getattr(body, "output_fmt", "NCHW") == "NHWC":
        return False
    trained = body.training
    body.eval()
    try:
        with torch.no_grad():
            some = torch.linspace(-1.0, 2.0, 9 * body.num_features).view(1, -1, 3, 3)
            return torch.allclose(body.forward_head(some, pre_logits=True), some.mean(dim=(2, 3)), atol=1e-5)
    except (RuntimeError, TypeError, AttributeError, ValueError):
        return False  # the input of its head is tokens, or the head has further layers
    finally:
        body.train(trained)


def check(name: str) -> None:
    """Check that timm has a network, and the weights if the name contains them.

    Args:
        name: `timm/ARCHITECTURE` or `timm/ARCHITECTURE.WEIGHTS`, as timm writes them.

    Raises:
        UsageError: It does not have them.
    """
    from timm.models import is_model, list_models

    architecture, tag = _parts(name)
    if not is_model(architecture):
        near = did_you_mean(name, [PREFIX + known for known in list_models()])
        raise UsageError(f"`backbone` is {shown(name)}, which timm does not have.{near if 'mean' in near else ''}")
    if tag and tag not in published(name):
        known = [f"{PREFIX}{architecture}.{one}" for one in published(name)]
        hint = did_you_mean(name, known)
        raise UsageError(f"`backbone` is {shown(name)}, but timm has no weights {tag!r} of {architecture}.{hint}")


def new(name: str, image_size: int | None) -> TimmBackbone:
    """Build a network with random weights.

    Args:
        name: See `check`.
        image_size: Side of its images in pixels, for networks that are built for one size; None: their usual size.

    Raises:
        UsageError: timm does not have it, or it cannot be built for this size.
    """
    import timm

    check(name)
    architecture, _ = _parts(name)
    usual = timm.models.get_pretrained_cfg(architecture)
    sized = {}
    if image_size and usual and usual.fixed_input_size and image_size != usual.input_size[1]:
        sized = {"img_size": image_size}
    try:
        return TimmBackbone(timm.create_model(architecture, pretrained=False, num_classes=0, **sized))
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        if not sized:
            raise
        raise UsageError(
            f"`backbone` {name!r} needs images of {usual.input_size[1]} pixels, but `dataset.image_size` is "
            f"{image_size} ({reason(error)})."
        ) from error


def weights_in_name(name: str) -> str:
    """Return the weights that a name contains, "" if none: "in1k" for `timm/tf_efficientnet_lite0.in1k`."""
    return _parts(name)[1]


def default_input(name: str) -> InputSettings | None:
    """Return the images that the weights of a network expect: the weights in its name, else timm's default."""
    known = published(name)
    return known[_parts(name)[1] or next(iter(known))].input if known else None


def published(name: str) -> Mapping[str, Published]:
    """Return the weights that timm publishes for a network, by tag, its default first."""
    from timm.models import get_pretrained_cfg, list_pretrained

    architecture, _ = _parts(name)
    first = get_pretrained_cfg(architecture)
    tags = [one.partition(".")[2] for one in list_pretrained(f"{architecture}.*")]
    default = first.tag if first and first.tag in tags else ""
    ordered = dict.fromkeys([*([default] if default else []), *tags])
    return {tag: _published(architecture, tag) for tag in ordered if tag}


def imagenet(name: str) -> str:
    """Return the tag of a network's first weights that were trained with ImageNet-1k's labels, "" if none."""
    return next((tag for tag, one in published(name).items() if one.imagenet_labels), "")


def renames(body: nn.Module) -> Iterable[Rename]:
    """Return timm's translation of a network's official checkpoints, if there is one."""
    import importlib

    translate = getattr(importlib.import_module(type(body).__module__), "checkpoint_filter_fn", None)

    def by_timm(found: State, module: nn.Module) -> State:
        try:
            return translate(dict(found), module) if translate else {}
        except (KeyError, RuntimeError, TypeError, AttributeError, ValueError, NotImplementedError, IndexError):
            return {}  # a layout that timm does not translate

    return (by_timm,)


def _published(architecture: str, tag: str) -> Published:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(f"{architecture}.{tag}")
    data, labels = pretrained_on(tag)
    images = InputSettings(
        tuple(config.mean),
        tuple(config.std),
        int(config.input_size[1]),
        interpolation=str(config.interpolation or ""),
        only_size=bool(config.fixed_input_size),
    )
    name = f"{PREFIX}{architecture}.{tag}"
    if repository := config.hf_hub_id:
        return of_hub(name, data, labels, images, repository=repository, files=HUB_FILES)
    address = str(config.url or "")
    digest = digest_in(address)
    return Published(
        name,
        data,
        labels,
        images,
        file=address.rpartition("/")[2],
        at=address,
        keeps=hub_cache(),
        fetch=partial(from_address, address, digest),
        digest=digest,
    )


def _parts(name: str) -> tuple[str, str]:
    architecture, _, tag = name.removeprefix(PREFIX).partition(".")
    return architecture, tag
