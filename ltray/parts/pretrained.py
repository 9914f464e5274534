"""ImageNet weights for a backbone, and the partial freezing that goes with them."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ltray.errors import UsageError, chosen
from ltray.files import check_regular, reading
from ltray.network import Backbone
from ltray.parts.torchvision_backbones import TORCHVISION, ResNet
from ltray.printable import printable
from ltray.run_settings import IMAGENET

_REMEDY = "save a model's state_dict() with torch.save, or set weights=random"


def has_published_weights(name: str) -> bool:
    """Return whether torchvision has ImageNet weights for a backbone."""
    from torchvision import models

    return name in TORCHVISION and name in models.list_models()


def check_weights(name: str, weights: str) -> None:
    """Check the name and the weights without reading or downloading anything.

    Args:
        name: Name of the backbone.
        weights: "imagenet" or a file.

    Raises:
        UsageError: There are no such weights for this backbone.
    """
    if name not in TORCHVISION:
        raise UsageError(f"`weights` is for torchvision's backbones, but the backbone is {name!r}.")
    if weights == IMAGENET and not has_published_weights(name):
        raise UsageError(f"torchvision has no ImageNet weights for {name!r}; name a file instead.")


def load_weights(backbone: Backbone, name: str, weights: str) -> None:
    """Load weights into a torchvision backbone.

    Args:
        backbone: A backbone as `new_backbone` builds it; changed in place.
        name: Its name, "resnet152".
        weights: "imagenet" for torchvision's (downloaded once; the first published ones,
            as the papers use), or a file with a state dictionary in torchvision's names, its
            classifier ignored.

    Raises:
        UsageError: There are no such weights, or they do not fit.
    """
    check_weights(name, weights)
    body = backbone.body
    assert isinstance(body, nn.Module)
    body.load_state_dict(_fitting(body, name, weights))


def check_weights_file(backbone: Backbone, name: str, weights: str) -> None:
    """Read a file of weights and compare it with a backbone, whose parameters may be on the "meta" device.

    Raises:
        UsageError: It cannot be read, or does not fit.
    """
    check_weights(name, weights)
    body = backbone.body
    assert isinstance(body, nn.Module)
    _fitting(body, name, weights)


def _fitting(body: nn.Module, name: str, weights: str) -> Mapping[str, Tensor]:
    """Return the state dictionary of some weights, its classifier left out, that fits a backbone."""
    state = _published(name) if weights == IMAGENET else _from_file(Path(weights))
    state = {key: value for key, value in state.items() if key.split(".")[0] not in ("fc", "heads")}
    wanted = body.state_dict()
    wrong = [key for key in wanted if key not in state or state[key].shape != wanted[key].shape]
    unknown = [key for key in state if key not in wanted]
    if wrong or unknown:
        raise UsageError(
            f"`weights` {weights!r} must fit {name}, but {len(wrong)} tensors are missing or have another shape "
            f"({', '.join(wrong[:3])}) and {len(unknown)} are unknown ({', '.join(unknown[:3])})."
        )
    return state


def freeze(backbone: Backbone, what: str) -> None:
    """Freeze a part of a residual network for the complete run.

    Args:
        backbone: Changed in place.
        what: A key of `FROZEN`.

    Raises:
        UsageError: An unknown part, or a backbone without blocks.
    """
    chosen(what, FROZEN, "a part of a network to freeze (`frozen`)")(backbone)


def _early_convolutions(backbone: Backbone) -> None:
    if not isinstance(backbone, ResNet):
        raise UsageError("`frozen` is 'early_convolutions', which is for torchvision's residual networks only.")
    last = set(backbone.body.layer4[-1].modules())
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and module not in last:
            module.requires_grad_(False)
            module.never_trained = True  # type: ignore[assignment]  # read by the engine


FROZEN: Mapping[str, Callable[[Backbone], None]] = {
    "nothing": lambda backbone: None,
    "early_convolutions": _early_convolutions,
}
"""Functions that freeze a part of a backbone, by name.

* `early_convolutions`: every convolution except those of the last block; BatchNorm's scales and shifts still train.
  Source: PaCo's official code for a pretrained ResNet-152 on Places-LT.
"""


def _published(name: str) -> Mapping[str, Tensor]:
    from torchvision import models

    try:
        state: Mapping[str, Tensor] = models.get_model_weights(name).IMAGENET1K_V1.get_state_dict(check_hash=True)
    except (OSError, RuntimeError) as error:  # no connection, or a download that was cut
        raise UsageError(
            f"torchvision's ImageNet weights for {name!r} cannot be downloaded: {error}. Set `weights` to a file "
            "with them, or to random."
        ) from error
    return state


def _from_file(path: Path) -> Mapping[str, Tensor]:
    if not path.exists():
        raise UsageError(f"`weights` must be {IMAGENET!r} or a file, but there is no file {str(path)!r}.")
    check_regular(path)
    with reading(path, "not weights that torch.save wrote", remedy=_REMEDY):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:  # its message advises to run the file's code
            raise UsageError(
                f"{printable(path)}: holds no weights that torch.save wrote, or code, which is never run; {_REMEDY}."
            ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    tensors = isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())
    if not tensors or not all(isinstance(key, str) for key in state):
        raise UsageError(f"`weights` {str(path)!r} must hold a state dictionary of tensors; {_REMEDY}.")
    return {key.removeprefix("module."): value for key, value in state.items()}
