"""The network of a run: backbone, initial weights, and the trained part."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import torch

from ltray.arguments import check_place
from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError, did_you_mean, shown
from ltray.long_tail import LongTail
from ltray.network import Network
from ltray.network_input import adopted
from ltray.parts.backbones import check_backbone, family_of, new_backbone
from ltray.parts.blocks import transformer_blocks
from ltray.parts.fine_tuning import ALL, HEAD, SHARES, TRAIN, TRANSFORMERS_ONLY, tune
from ltray.parts.heads import new_classifier
from ltray.parts.pretrained import (
    Origin,
    check_weights,
    file_of,
    fitting,
    has_imagenet_weights,
    is_file,
    load_weights,
    origin_of,
    published,
    weights_digest,
)
from ltray.parts.text_rows import ClipTextRows, has_text_tower
from ltray.parts.torchvision_backbones import IMAGE_SIZES
from ltray.run_settings import IMAGENET, RANDOM
from ltray.stage import Method, TextRows

WEIGHTS = "weights"  # in a checkpoint's context, `env.json` and `evaluation.json`: `RunNetwork.record`
NETWORK_SETTINGS = ("backbone", "weights", "train", "bottleneck")
SMALL_VIEW = 64  # pixels; up to this size ResNet-32 is the default
PAPERS: Mapping[str, tuple[str, str]] = {"places_lt": ("resnet152", IMAGENET)}
"""Backbone and weights that the papers use on a data set above `SMALL_VIEW` instead of an untrained ResNet-50."""


@dataclass(frozen=True)
class RunNetwork:
    """The network that the first method of a run builds; all fields are "" if no method builds one.

    Attributes:
        backbone: A name of `BACKBONES`, "timm/…", "openclip/…", or a dotted path.
        weights: "random", "imagenet" (the library's; torchvision's first published ones), the library's name of
            weights, or a file.
        train: A key of `ltray.parts.fine_tuning.TRAIN`.
        bottleneck: Width, rank or number of the modules that `train` inserts into each block; 0: determined by the
            number of classes.
    """

    backbone: str = ""
    weights: str = ""
    train: str = ""
    bottleneck: int = 0

    @classmethod
    def resolve(cls, given: Mapping[str, Any], dataset: DatasetDefinition, methods: Sequence[Method]) -> Self:
        """Return the given settings, completed with the papers' choice for the data set.

        Args:
            given: Any of `NETWORK_SETTINGS`.
            dataset: The data set.
            methods: The run's methods, in order.

        Raises:
            UsageError: A name is unknown, or settings cannot be combined.
        """
        builders = [method for method in methods if method.builds]
        if not builders:
            for name, value in given.items():
                if value not in ("", 0):
                    raise UsageError(
                        f"`{name}` has no effect: `{methods[0].name}` continues from a given network, but got "
                        f"{value!r}."
                    )
            return cls()
        large = dataset.image_size > SMALL_VIEW
        usual, pretrained = PAPERS.get(dataset.profile, ("resnet50", RANDOM)) if large else ("resnet32", RANDOM)
        backbone = str(given.get("backbone", usual))
        check_backbone(backbone)
        if "weights" in given:
            weights = str(given["weights"])
        else:
            explicit = family_of(backbone).weights_in_name(backbone)
            weights = explicit or (pretrained if pretrained != RANDOM and has_imagenet_weights(backbone) else RANDOM)
        usual_part = _usual_part(builders[0], dataset, backbone) if weights != RANDOM else ALL
        found = cls(backbone, weights, str(given.get("train", usual_part)), int(given.get("bottleneck", 0)))
        found._check()
        return found

    def suited(self, dataset: DatasetDefinition, explicit: Collection[str]) -> DatasetDefinition:
        """Return the data set with the images that the weights expect: their mean, standard deviation and size.

        Args:
            dataset: The data set.
            explicit: Names of its fields that are set in the settings and therefore kept. If `name` is one of them, the
                settings are those of a run and were adapted at its start.

        Raises:
            UsageError: A value that is set differs from the value that the weights expect, or the network does not
                accept the size of the images.
        """
        if "name" not in explicit and self.weights not in ("", RANDOM):
            origin = self.origin()
            if origin.input:
                dataset = adopted(dataset, origin.input, explicit, weights=origin.name)
        size = IMAGE_SIZES.get(self.backbone, dataset.image_size)
        if dataset.image_size != size:
            raise UsageError(
                f"`backbone` {self.backbone!r} needs images of {size} pixels, but `dataset.image_size` is "
                f"{dataset.image_size}."
            )
        return dataset

    def _check(self) -> None:
        if self.weights != RANDOM:
            check_weights(self.backbone, self.weights)
        if self.train not in TRAIN:
            raise UsageError(
                f"`train` must be one of {list(TRAIN)}, but got {shown(self.train)}.{did_you_mean(self.train, TRAIN)}"
            )
        if self.train != ALL and self.weights == RANDOM:
            raise UsageError(f"`train` is {self.train!r}, which would freeze random weights: also set `weights`.")
        if self.bottleneck and self.train not in SHARES:
            raise UsageError(
                f"`bottleneck` has no effect: it needs train={' or train='.join(SHARES)}, but `train` is "
                f"{self.train!r}."
            )

    def new(self, kind: str, tail: LongTail, *, load: bool, image_size: int | None = None) -> Network:
        """Build the network.

        Args:
            kind: Kind of its classifier, "linear" or "cosine".
            tail: The class counts, for the number of classes.
            load: Whether to read the weights; False if a checkpoint will be loaded.
            image_size: Side of its images in pixels, for backbones that are built for one size.
        """
        backbone = new_backbone(self.backbone, image_size)
        if load and self.weights != RANDOM:
            load_weights(backbone, self.backbone, self.weights)
        tune(backbone, self.train, classes=tail.classes, size=self.bottleneck)
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=tail.classes))

    def text_rows(self) -> TextRows | None:
        """Return the text tower of the weights; None where they have none."""
        if self.weights == RANDOM or not has_text_tower(self.backbone):
            return None
        return ClipTextRows(self.backbone, self.weights)

    def check_file(self, image_size: int | None = None) -> str:
        """Read the weights before the start of a run; download published weights that are not in the cache.

        Args:
            image_size: Side of the images in pixels, for backbones that are built for one size.

        Returns:
            The parts of a file that are not loaded because they do not belong to the backbone, as text; "" if there are
            none.

        Raises:
            UsageError: The file of `weights` does not exist, cannot be read, or does not fit the backbone; or published
                weights cannot be downloaded.
        """
        if self.weights in ("", RANDOM):
            return ""
        if self.downloads_weights:
            file_of(self.backbone, self.weights)
            return ""
        check_place("weights", self.weights)
        file_of(self.backbone, self.weights)
        with torch.device("meta"):
            backbone = new_backbone(self.backbone, image_size)
        return fitting(backbone, self.backbone, self.weights).left_over_parts()

    @property
    def downloads_weights(self) -> bool:
        """Whether the weights are published by a library and are downloaded if they are missing."""
        return self.weights not in ("", RANDOM) and not is_file(self.weights)

    @property
    def weights_are_here(self) -> bool:
        """Whether the run needs no download of weights."""
        if self.downloads_weights:
            return published(self.backbone, self.weights).is_here
        return self.weights in ("", RANDOM) or Path(self.weights).is_file()

    def origin(self) -> Origin:
        """Return the origin of the weights.

        Raises:
            UsageError: See `ltray.parts.pretrained.origin_of`.
        """
        return origin_of(self.backbone, self.weights)

    def record(self) -> dict[str, str]:
        """Return the record of pretrained weights for results; {} for random weights.

        Raises:
            UsageError: Their file does not exist.
        """
        if self.weights in ("", RANDOM):
            return {}
        origin = self.origin()
        labels = {True: "yes", False: "no", None: "not stated"}[origin.imagenet_labels]
        return {
            "name": origin.name,
            "sha256": weights_digest(file_of(self.backbone, self.weights)),
            "pretrained_on": origin.pretrained_on,
            "imagenet_1k_labels": labels,
            "interpolation": origin.input.interpolation if origin.input else "",
        }

    def settings(self) -> dict[str, Any]:
        """Return the flat settings; `resolve` of them gives an equal one."""
        return {name: getattr(self, name) for name in NETWORK_SETTINGS}


def _usual_part(method: Method, dataset: DatasetDefinition, backbone: str) -> str:
    """Return what a paper trains of pretrained weights; the classifier alone where that is for transformers only."""
    part = method.train.get(dataset.profile, ALL)
    return HEAD if part in TRANSFORMERS_ONLY and not is_transformer(backbone) else part


@cache
def is_transformer(backbone: str) -> bool:
    """Return whether a backbone has the blocks of a transformer, into which adapters and prompts are put."""
    with torch.device("meta"):
        return bool(transformer_blocks(new_backbone(backbone)))
