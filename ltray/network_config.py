"""Which network a run trains: backbone, the weights it starts from, what stays frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from ltray.arguments import check_place
from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError, did_you_mean
from ltray.long_tail import LongTail
from ltray.network import Network
from ltray.parts.backbones import check_backbone, new_backbone
from ltray.parts.heads import new_classifier
from ltray.parts.pretrained import (
    FROZEN,
    check_weights,
    check_weights_file,
    freeze,
    has_published_weights,
    load_weights,
)
from ltray.parts.torchvision_backbones import IMAGE_SIZES
from ltray.run_settings import IMAGENET, RANDOM
from ltray.stage import Method

NETWORK_SETTINGS = ("backbone", "weights", "frozen")
SMALL_VIEW = 64  # pixels; up to it ResNet-32 is the default
PAPERS: Mapping[str, tuple[str, str]] = {"places_lt": ("resnet152", IMAGENET)}
"""Backbone and weights that the papers use on a data set above `SMALL_VIEW` instead of an untrained ResNet-50."""


@dataclass(frozen=True)
class RunNetwork:
    """The network that the first method of a run builds; all fields are "" where none builds one.

    Attributes:
        backbone: A name of `BACKBONES`, or a dotted path.
        weights: "random", "imagenet" (torchvision's first published ones), or a file.
        frozen: "nothing", or "early_convolutions" (PaCo on Places-LT).
    """

    backbone: str = ""
    weights: str = ""
    frozen: str = ""

    @classmethod
    def resolve(cls, given: Mapping[str, Any], dataset: DatasetDefinition, methods: Sequence[Method]) -> Self:
        """Return what is given, completed by the papers' choice for the data set.

        Args:
            given: Any of `NETWORK_SETTINGS`.
            dataset: The data set.
            methods: The run's methods, in order.

        Raises:
            UsageError: An unknown name, or settings that cannot work together.
        """
        builders = [method for method in methods if method.builds]
        if not builders:
            for name, value in given.items():
                if value != "":
                    raise UsageError(
                        f"`{name}` has no effect: `{methods[0].name}` continues from a given network, but got "
                        f"{value!r}."
                    )
            return cls()
        large = dataset.image_size > SMALL_VIEW
        usual, pretrained = PAPERS.get(dataset.profile, ("resnet50", RANDOM)) if large else ("resnet32", RANDOM)
        backbone = str(given.get("backbone", usual))
        check_backbone(backbone)
        weights = str(given.get("weights", pretrained if has_published_weights(backbone) else RANDOM))
        frozen = builders[0].frozen.get(dataset.profile, "nothing") if weights != RANDOM else "nothing"
        found = cls(backbone, weights, str(given.get("frozen", frozen)))
        found._check(dataset)
        return found

    def _check(self, dataset: DatasetDefinition) -> None:
        size = IMAGE_SIZES.get(self.backbone, dataset.image_size)
        if dataset.image_size != size:
            raise UsageError(
                f"`backbone` {self.backbone!r} needs images of {size} pixels, but `dataset.image_size` is "
                f"{dataset.image_size}."
            )
        if self.weights != RANDOM:
            check_weights(self.backbone, self.weights)
        if self.frozen not in FROZEN:
            raise UsageError(
                f"`frozen` must be one of {list(FROZEN)}, but got {self.frozen!r}.{did_you_mean(self.frozen, FROZEN)}"
            )
        if self.frozen != "nothing" and self.weights == RANDOM:
            raise UsageError(f"`frozen` is {self.frozen!r}, which would freeze random weights: also set `weights`.")

    def new(self, kind: str, tail: LongTail, *, load: bool) -> Network:
        """Build the network.

        Args:
            kind: Of its classifier, "linear" or "cosine".
            tail: For the number of classes.
            load: Whether to read the weights; not where a checkpoint is to be loaded.
        """
        backbone = new_backbone(self.backbone)
        if load and self.weights != RANDOM:
            load_weights(backbone, self.backbone, self.weights)
        freeze(backbone, self.frozen)
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=tail.classes))

    def check_file(self) -> None:
        """Read a file of weights before anything is started.

        Raises:
            UsageError: `weights` names a file that is not there, cannot be read, or does not fit the backbone.
        """
        if self.weights not in ("", RANDOM, IMAGENET):
            check_place("weights", self.weights)
            if not Path(self.weights).exists():
                raise UsageError(
                    f"`weights` must be {IMAGENET!r}, {RANDOM!r} or a file, but there is no {self.weights!r}."
                )
            with torch.device("meta"):
                backbone = new_backbone(self.backbone)
            check_weights_file(backbone, self.backbone, self.weights)

    def settings(self) -> dict[str, str]:
        """Return the flat settings; `resolve` of them gives an equal one."""
        return {name: getattr(self, name) for name in NETWORK_SETTINGS}
