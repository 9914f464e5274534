"""The training command that suits a converted data set: method, image size and weights, by simple rules.

The rules and their reasons are in docs/data-sets.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ltray.data.definition import DatasetDefinition
from ltray.data.encoding import SMALL
from ltray.long_tail import LongTail
from ltray.network_config import is_transformer
from ltray.parts.pretrained import origin_of
from ltray.parts.weights_at_hand import WeightsAtHand, find_weights
from ltray.program import called
from ltray.results.paths import shell_word
from ltray.space.suited_methods import BALANCED

CONTRASTIVE = 1_000  # training images from which the contrastive method is proposed, with a GPU
WITH_WEIGHTS = 128  # pixels: a third of the computation at 224 pixels
WITHOUT_GPU = 64  # pixels of a network that is trained from random weights without a GPU
LARGEST = 400_000_000  # bytes of the largest file of weights, with a GPU
# Where LIFT trains the classifier alone, its features are computed once for all trials.
PASSES = ("lift.feature_passes=4",)
FOLDS = 5
ENOUGH = 200  # validation images: the standard error of an accuracy is then at most 3.5 points
FEW = 2_000  # images up to which they are trained on FOLDS + 1 times
SPACE, PRETRAINED_SPACE = "which-method", "which-method-pretrained"


@dataclass(frozen=True)
class NextCommand:
    """A training command for a data set.

    Attributes:
        methods: Names of methods, in order.
        settings: Settings of the run, `key=value`.
        reasons: The reasons, one phrase for each choice.
        space: The search space in which methods are compared for such data.
        of_search: Settings of the search in addition to `settings`.
    """

    methods: tuple[str, ...]
    settings: tuple[str, ...]
    reasons: tuple[str, ...]
    space: str
    of_search: tuple[str, ...] = ()

    def words(self, file: Path) -> list[str]:
        """Return the arguments of `ltray train`.

        Args:
            file: The data-set file.
        """
        return ["--methods", *self.methods, *self.settings, "--dataset", str(file)]

    def line(self, file: Path) -> str:
        """Return the command for a shell."""
        return " ".join([called("train"), *map(shell_word, self.words(file))])

    def comparison(self, file: Path) -> str:
        """Return the command that compares methods and settings on the data, for a shell."""
        return " ".join(
            [called("tune"), self.space, *map(shell_word, (f"dataset={file}", *self.settings, *self.of_search))]
        )


def next_command(
    dataset: DatasetDefinition, tail: LongTail, folder: Path, *, validation: int | None = None
) -> NextCommand:
    """Return the training command for a data set on this machine.

    Args:
        dataset: The definition in its data-set file.
        tail: The counts of its training set.
        folder: The folder in which weights are searched in addition to the caches and packages.
        validation: Number of validation images that are taken from the training images; None: none are.
    """
    gpu = torch.cuda.is_available()
    return proposed(dataset, tail, best_weights(find_weights(folder), gpu=gpu), gpu=gpu, validation=validation)


def best_weights(found: Sequence[WeightsAtHand], *, gpu: bool) -> WeightsAtHand | None:
    """Return the weights to use: the largest up to `LARGEST` with a GPU, the smallest without; None if none are usable.

    Args:
        found: The weights, the smallest file first.
        gpu: Whether there is a GPU.
    """
    ordered = [one for one in reversed(found) if one.size <= LARGEST] if gpu else found
    return next((one for one in ordered if one.fit), None)


def proposed(
    dataset: DatasetDefinition,
    tail: LongTail,
    weights: WeightsAtHand | None,
    *,
    gpu: bool,
    validation: int | None = None,
) -> NextCommand:
    """Return the training command by the rules; see `next_command`.

    Args:
        dataset: The definition in its data-set file.
        tail: The counts of its training set.
        weights: The weights to use; None: none were found.
        gpu: Whether there is a GPU.
        validation: See `next_command`.
    """
    methods, why = _methods(tail, pretrained=weights is not None, gpu=gpu)
    network, side, reason = _with(weights, gpu=gpu) if weights else _without_weights(dataset, gpu=gpu)
    if (side > SMALL) != (dataset.image_size > SMALL):  # needs another conversion
        network = (*network, f"dataset.store={dataset.name}")
    space = PRETRAINED_SPACE if weights else SPACE
    fixed = weights is not None and not is_transformer(weights.backbone)
    folds, few = _folds(tail, validation)
    reasons = (why, reason, *([few] if folds else []))
    of_search = (*(PASSES if fixed else ()), *(("trial.seeds=1",) if folds and weights else ()))
    return NextCommand(methods, (*network, *folds), reasons, space, of_search)


def _folds(tail: LongTail, validation: int | None) -> tuple[tuple[str, ...], str]:
    """Return the setting of a cross-validation if the validation images are too few, and the reason."""
    images = tail.total + (validation or 0)
    if not validation or validation >= ENOUGH or images > FEW or max(tail.counts) < FOLDS:
        return (), ""
    error = 50 / math.sqrt(validation)
    return (f"dataset.folds={FOLDS}",), (
        f"{validation} validation images have a standard error of up to {error:.1f} points: {FOLDS}-fold "
        f"cross-validation of all {images:,} images"
    )


def _methods(tail: LongTail, *, pretrained: bool, gpu: bool) -> tuple[tuple[str, ...], str]:
    """Return the methods, and the reason."""
    factor = f"imbalance factor {tail.imbalance_factor:.3g}"
    if tail.imbalance_factor < BALANCED:
        return ("linear_probe" if pretrained else "cross_entropy",), f"{factor}: nothing to correct"
    if pretrained:
        return ("linear_probe", "post_hoc_adjustment"), f"{factor}: scores are adjusted by the class prior"
    if gpu and tail.total >= CONTRASTIVE:
        return ("bcl",), f"{factor}, {tail.total:,} images and a GPU: contrastive method"
    reason = f"fewer than {CONTRASTIVE:,} images" if gpu else "no GPU"
    return ("balanced_softmax",), f"{factor}, {reason}: one view of each image"


def _with(weights: WeightsAtHand, *, gpu: bool) -> tuple[tuple[str, ...], int, str]:
    """Return the settings of a network with pretrained weights, the side of its images, and the reason."""
    network = [f"backbone={weights.backbone}", *([f"weights={weights.weights}"] if weights.weights else [])]
    images = origin_of(weights.backbone, str(weights.file)).input
    side = images.image_size if images and (gpu or images.only_size) else WITH_WEIGHTS
    if not images or side != images.image_size:
        network.append(f"dataset.image_size={side}")
    size = f"{weights.size / 1e6:.0f} MB"
    return (
        tuple(network),
        side,
        f"pretrained weights found in {weights.source} ({size}): their features are not trained",
    )


def _without_weights(dataset: DatasetDefinition, *, gpu: bool) -> tuple[tuple[str, ...], int, str]:
    """Return the settings of a network with random weights, the side of its images, and the reason."""
    why = "no pretrained weights found on this machine (docs/backbones.md): the network starts from random weights"
    if gpu or dataset.image_size <= WITHOUT_GPU:
        return (), dataset.image_size, why
    return (f"dataset.image_size={WITHOUT_GPU}",), WITHOUT_GPU, f"{why}, and without a GPU images are small"
