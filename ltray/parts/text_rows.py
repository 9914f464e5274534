"""Rows of a classifier from the names of the classes, by the text tower of a CLIP model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.parts import openclip_backbones
from ltray.parts.pretrained import file_of, is_file
from ltray.parts.weight_files import read_tensors
from ltray.parts.weight_layouts import Fit, fit
from ltray.printable import printable

PROMPT = "a photo of a {}."
AT_ONCE = 256  # texts


def has_text_tower(backbone: str) -> bool:
    """Return whether a backbone is the image tower of a CLIP model, whose weights can include a text tower."""
    return backbone.startswith(openclip_backbones.PREFIX)


@dataclass(frozen=True)
class ClipTextRows:
    """The text tower in the weights of a CLIP model; see `ltray.stage.TextRows`.

    Attributes:
        backbone: A name of OpenCLIP.
        weights: Its weights, of the complete model.
    """

    backbone: str
    weights: str

    def __call__(self, class_names: Sequence[str]) -> Tensor:
        """Return the rows; see `text_rows`."""
        return text_rows(self.backbone, self.weights, class_names)

    def check(self, class_names: Sequence[str]) -> None:
        """Check everything that `text_rows` raises an error for; published weights are complete and are not read.

        Raises:
            UsageError: See `text_rows`.
        """
        check_names(class_names)
        with torch.device("meta"):
            model = openclip_backbones.new_model(self.backbone, None)
        _projection(model.visual, self.backbone)
        if is_file(self.weights):
            _fitting(model, self.backbone, self.weights)


@torch.no_grad()
def text_rows(backbone: str, weights: str, class_names: Sequence[str]) -> Tensor:
    """Return the text features of "a photo of a NAME." in the space of the image tower's features, of unit length.

    Source: the semantic-aware start of Shi et al., Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts,
    ICML 2024 (arXiv:2309.10019).

    Args:
        backbone: A name of OpenCLIP.
        weights: Its weights, of the complete model.
        class_names: Names in label order (K); underscores are read as blanks.

    Returns:
        (K, d), float32.

    Raises:
        UsageError: The classes have numbers for names, the weights contain no text tower, or the image tower's
            projection is not linear.
    """
    check_names(class_names)
    model = openclip_backbones.new_model(backbone, None)
    model.load_state_dict(dict(_fitting(model, backbone, weights).state), strict=False)
    model.eval()
    texts = [PROMPT.format(name.replace("_", " ")) for name in class_names]
    words = openclip_backbones.tokens(backbone, texts, model.context_length)
    features = torch.cat([model.encode_text(part) for part in torch.split(words, AT_ONCE)])
    return towards_images(features.float(), _projection(model.visual, backbone))


def check_names(class_names: Sequence[str]) -> None:
    """Refuse names that mean nothing to a text tower.

    Raises:
        UsageError: Every name is a number.
    """
    if all(name.strip().lstrip("-").isdigit() for name in class_names):
        raise UsageError(
            f"`classifier_start` is text, but the classes have numbers for names ({printable(class_names[0])!r}): "
            "state their names, such as with `dataset.class_names`, or use class_mean."
        )


def towards_images(features: Tensor, projection: Tensor | None) -> Tensor:
    """Return text features in the space before the image tower's projection, of unit length (K, d).

    Args:
        features: (K, e), of any length.
        projection: The image tower's (d, e); None if it has none and d = e.
    """
    unit = F.normalize(features, dim=1)
    return unit if projection is None else F.normalize(unit @ projection.T, dim=1)


def _fitting(model: nn.Module, backbone: str, weights: str) -> Fit:
    """Compare the weights with the text tower of a model; its parameters may be on the "meta" device."""
    found = fit(read_tensors(file_of(backbone, weights)), model)
    missing = [name for name in found.missing if _of_text(name)]
    if missing:
        raise UsageError(
            f"`classifier_start` is text, but `weights` {printable(weights)!r} contains no text tower that fits "
            f"{backbone} (missing: {', '.join(missing[:3])}): give the file of the complete CLIP model, or use "
            "class_mean."
        )
    return found


def _of_text(name: str) -> bool:
    """Return whether a parameter is needed for text: all but the image tower's and the scale of the contrast."""
    return not name.startswith(("visual.", "logit_")) or name in ("visual.proj", "visual.head.proj.weight")


def _projection(tower: Any, backbone: str) -> Tensor | None:
    """Return the matrix (d, e) by which the image tower's features become comparable with text; None for none."""
    if isinstance(proj := getattr(tower, "proj", None), Tensor):
        return proj.detach().float()
    head = getattr(tower, "head", None)  # of a network of timm's
    if isinstance(linear := getattr(head, "proj", None), nn.Linear):
        return linear.weight.detach().T.float()
    if hasattr(tower, "attnpool"):  # a ResNet, whose pooling is the projection
        return None
    raise UsageError(
        f"`classifier_start` is text, but the image tower of {backbone} has no linear projection: use class_mean."
    )
