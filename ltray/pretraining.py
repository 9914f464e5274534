"""What commands and reports say of pretrained weights: their name, digest and data, and what that does to a result."""

from collections.abc import Iterable, Mapping
from typing import Any

from ltray.data.definition import DatasetDefinition
from ltray.engine.train_step import set_training_mode, trained_parameters
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.network_config import WEIGHTS, RunNetwork

IMAGENET_PROFILE = "imagenet_lt"
DATA_PATH = "bilinear"  # interpolation of stored images and views
COLUMNS = {"weights_name": "name", "weights_sha256": "sha256", "weights_pretrained_on": "pretrained_on"}
"""Columns of a result table, by the entry of the record that they hold."""


def described(record: Mapping[str, str]) -> str:
    """Return what a record of weights says, as text: "timm/… (SHA-256 0676ba61…), pretrained on …"; "" of none."""
    if not record:
        return ""
    return f"{record['name']} (SHA-256 {record['sha256'][:12]}…), pretrained on: {record['pretrained_on']}"


def seen_before(profile: str, record: Mapping[str, str]) -> str:
    """Return what has to stand beside a result whose weights saw its images, or may have seen them; "" otherwise.

    Args:
        profile: Of the data set.
        record: Of the weights.
    """
    if profile != IMAGENET_PROFILE or not record or record["imagenet_1k_labels"] == "no":
        return ""
    if record["imagenet_1k_labels"] == "yes":
        return (
            "The weights have seen ImageNet-1k's labels, and with them every image of ImageNet-LT and many more of its "
            "few-shot classes: do not compare this result with those of networks trained on ImageNet-LT alone."
        )
    return (
        "Nothing states what the weights were pretrained on. If they saw ImageNet-1k's labels, this result must not be "
        "compared with those of networks trained on ImageNet-LT alone."
    )


def announced(experiment: Experiment, left_over: str, tail: LongTail) -> list[str]:
    """Return what a command prints of an experiment's pretrained weights before it trains, a line each.

    Args:
        experiment: With any network.
        left_over: What the file of its weights holds besides the backbone, as text, or "".
        tail: Class counts of its training set.

    Raises:
        UsageError: The file of its weights is not here.
    """
    record = experiment.network.record()
    if not record:
        return []
    lines = [f"weights: {described(record)}"]
    if left_over:
        lines.append(f"not loaded from their file: {left_over}")
    images = experiment.network.origin().input
    if images:
        lines.append(_images(experiment.dataset))
        if images.interpolation not in ("", DATA_PATH):
            lines.append(f"they were trained on {images.interpolation} images; images are resized {DATA_PATH}ly here")
    lines.append(_trained(experiment, tail))
    note = seen_before(experiment.dataset.profile, record)
    return [*lines, note] if note else lines


def _trained(experiment: Experiment, tail: LongTail) -> str:
    """Return how many parameters the first stage trains, and their share of all that it has."""
    stage = experiment.stages(tail, load=False)[0]
    set_training_mode(stage)
    trained, every = trained_parameters(stage)
    return f"train: {experiment.network.train}; {trained:,} of {every:,} parameters are trained ({trained / every:.1%})"


def _images(dataset: DatasetDefinition) -> str:
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (dataset.mean, dataset.std))
    return f"images as they expect: {dataset.image_size} pixels, mean {mean}, standard deviation {std}"


def records(experiments: Iterable[Experiment]) -> list[dict[str, str]]:
    """Return what `env.json` holds of the pretrained weights of some experiments, each network's once.

    Raises:
        UsageError: A file of weights is not here.
    """
    networks = {(e.network.backbone, e.network.weights): e.network for e in experiments}
    found = [(backbone, weights, network.record()) for (backbone, weights), network in networks.items()]
    return [{"backbone": backbone, "weights": weights, **record} for backbone, weights, record in found if record]


def recorded(environment: Mapping[str, Any] | None, network: RunNetwork) -> Mapping[str, Any]:
    """Return the record of a network's weights in the content of `env.json`, {} where it has none."""
    known = (environment or {}).get(WEIGHTS, [])
    own = (network.backbone, network.weights)
    return next((one for one in known if (one["backbone"], one["weights"]) == own), {})


def columns(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a result row for a record of weights; {} of none."""
    return {column: record[entry] for column, entry in COLUMNS.items()} if record else {}
