"""Information about pretrained weights in commands and reports: name, digest, data, and the effect on a result."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from ltray.data.dataset import ImageData
from ltray.data.definition import DatasetDefinition
from ltray.engine.train_step import set_training_mode, trained_parameters
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.network_config import WEIGHTS, RunNetwork
from ltray.printable import printable

IMAGENET_LISTS = ("ImageNet_LT_train.txt",)
"""Names of the official lists from which the data sets of ltray with images of ImageNet-LT are made."""
DATA_PATH = "bilinear"  # interpolation of stored images and views
COLUMNS = {"weights_name": "name", "weights_sha256": "sha256", "weights_pretrained_on": "pretrained_on"}
"""Columns of a result table, each with its entry of the record."""


def described(record: Mapping[str, str]) -> str:
    """Return a record of weights as text: "timm/… (SHA-256 0676ba61…), pretrained on …"; "" for no record."""
    if not record:
        return ""
    return f"{record['name']} (SHA-256 {record['sha256'][:12]}…), pretrained on: {record['pretrained_on']}"


def seen_before(settings: Mapping[str, Any], record: Mapping[str, str]) -> str:
    """Return the note for a result whose weights were or may have been trained on its images; "" if none is needed.

    The profile of the data set does not matter: it selects hyperparameters, for a user's own images too.

    Args:
        settings: Flat settings of the run.
        record: Record of the weights.
    """
    if not _has_images_of_imagenet_lt(settings) or not record or record["imagenet_1k_labels"] == "no":
        return ""
    if record["imagenet_1k_labels"] == "yes":
        return (
            "The weights were trained with ImageNet-1k's labels: on every image of ImageNet-LT, and on many more "
            "images of its few-shot classes. Do not compare this result with those of networks trained on ImageNet-LT "
            "alone."
        )
    return (
        "The data on which the weights were pretrained are not known. If ImageNet-1k's labels were used, this result "
        "must not be compared with those of networks trained on ImageNet-LT alone."
    )


def _has_images_of_imagenet_lt(settings: Mapping[str, Any]) -> bool:
    """Return whether a data set is made from an official list, whose path depends on the user."""
    lists = (str(settings.get(f"dataset.{name}", "")) for name in ("train_list", "reference_list"))
    return any(PurePath(path).name in IMAGENET_LISTS for path in lists)


def features_line(experiment: Experiment, data: ImageData) -> str:
    """Return what a command prints of the features that the first stage trains on; "" where it trains on images.

    Args:
        experiment: Its first method builds the network; the weights are read.
        data: Its data set.

    Raises:
        UsageError: The file of its weights is not here, or does not fit.
    """
    if not any(knobs.feature_passes and knobs.has_effect("feature_passes") for knobs in experiment.knobs[:1]):
        return ""
    stage = experiment.stages(data.tail)[0]
    if stage.source != "features":
        return ""
    passes = stage.feature_passes
    what = "of the images without augmentation" if passes == 1 else f"of {passes} augmented passes"
    files = data.feature_files(stage)
    if not files:
        return f"features: {what}, computed once for this run and not cached"
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    there = sum(file.is_file() for file in files)
    done = "read from" if there == len(files) else "computed once and cached in"
    return f"features: {what}, {done} {printable(files[0])}{more}"


def announced(experiment: Experiment, left_over: str, tail: LongTail) -> list[str]:
    """Return the lines that a command prints before the training: pretrained weights, and trained parameters.

    Args:
        experiment: An experiment with any network.
        left_over: The parts of the file of weights that do not belong to the backbone, as text, or "".
        tail: Class counts of its training set.

    Raises:
        UsageError: The file of its weights does not exist.
    """
    record = experiment.weights_record()
    lines = [f"weights: {described(record)}"] if record else []
    if left_over:
        lines.append(f"not loaded from their file: {left_over}")
    images = experiment.network.origin().input if record and not experiment.start else None
    if images:
        lines.append(_images(experiment.dataset))
        if images.interpolation not in ("", DATA_PATH):
            lines.append(f"they were trained on {images.interpolation} images; images are resized {DATA_PATH}ly here")
    lines += _trained(experiment, tail)
    note = seen_before(experiment.settings(), record)
    return [*lines, note] if note else lines


def _trained(experiment: Experiment, tail: LongTail) -> list[str]:
    """Return a line for each stage: the number of its trained parameters, and their share of all its parameters."""
    lines = []
    for number, stage in enumerate(experiment.stages(tail, load=False), start=1):
        set_training_mode(stage)
        trained, every = trained_parameters(stage)
        trained = trained if stage.recipe.epochs else 0
        part = experiment.network.train if number == 1 else ""
        lines.append(
            f"{f'train: {part}; ' if part else f'stage {number}: '}{trained:,} of {every:,} parameters are trained "
            f"({trained / every:.1%})"
        )
    return lines


def _images(dataset: DatasetDefinition) -> str:
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (dataset.mean, dataset.std))
    return f"images as they expect: {dataset.image_size} pixels, mean {mean}, standard deviation {std}"


def records(experiments: Iterable[Experiment]) -> list[dict[str, str]]:
    """Return the records of the pretrained weights of some experiments for `env.json`, each network's once.

    Raises:
        UsageError: A file of weights does not exist.
    """
    networks = {(e.network.backbone, e.network.weights): e for e in experiments}
    found = [(backbone, weights, e.weights_record()) for (backbone, weights), e in networks.items()]
    return [{"backbone": backbone, "weights": weights, **record} for backbone, weights, record in found if record]


def recorded(environment: Mapping[str, Any] | None, network: RunNetwork) -> Mapping[str, Any]:
    """Return the record of a network's weights in the content of `env.json`, {} if there is none."""
    known = (environment or {}).get(WEIGHTS, [])
    own = (network.backbone, network.weights)
    return next((one for one in known if (one["backbone"], one["weights"]) == own), {})


def columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a result row for a record of weights; {} for no record."""
    return {column: record[entry] for column, entry in COLUMNS.items()} if record else {}
