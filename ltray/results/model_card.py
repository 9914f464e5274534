"""The model card: training data, accuracy with intervals, and limits of a model, as Markdown."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ltray.engine.evaluation import Evaluation
from ltray.long_tail import FEW_BELOW, LongTail
from ltray.metrics import COUNTED
from ltray.network_config import WEIGHTS
from ltray.results.predictions import TrainedModel

FEW_IMAGES = 20  # evaluated images below which the accuracy of a class is uncertain
SHOWN_CLASSES = 5
INTRODUCTION = """
An image classifier for {classes} classes, trained with ltray {version} on
long-tailed data: a few classes have most of the training images.
"""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that a card reports.

    Attributes:
        counts: Images of each class.
        images: "test images" or "validation images".
        selected: Whether epochs or settings were chosen on the same images.
    """

    counts: Evaluation
    images: str
    selected: bool

    @classmethod
    def of(cls, trained: TrainedModel, recorded: Mapping[str, Any] | None) -> "Evaluated":
        """Return the run's own evaluation on test images; without one, an evaluation on validation images.

        Args:
            trained: The model.
            recorded: The content of its `evaluation.json`, or None.
        """
        if recorded and "correct" in recorded:
            counts = [torch.tensor(recorded[name]) for name in ("correct", "seen", "predicted")]
            return cls(Evaluation(*counts), "test images", recorded.get("protocol") == "paper")
        found = trained.on_selection()
        images = f"{'validation' if found.split == 'val' else 'test'} images"
        folds = trained.experiment.dataset.folds
        return cls(found.evaluation, f"images, {folds}-fold cross-validation" if folds else images, True)


def model_card(trained: TrainedModel, metadata: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> str:
    """Return a model card.

    Args:
        trained: The model; its data set must be on this machine.
        metadata: The result of `ltray.export.describe`.
        recorded: The content of `evaluation.json`, or None.
    """
    tail, found = trained.data.tail, Evaluated.of(trained, recorded)
    names = metadata["class_names"]
    sections = (
        _front_matter(metadata, found, tail),
        f"# {' + '.join(metadata['methods'])} on {metadata['data_set']}",
        INTRODUCTION.strip().format(classes=len(names), version=metadata["ltray"]),
        _use(metadata),
        _training(trained, metadata, tail),
        _results(found, tail),
        _classes(found.counts, tail, names),
        _limits(found, tail, metadata),
    )
    return "\n\n".join(sections) + "\n"


def _front_matter(metadata: Mapping[str, Any], found: Evaluated, tail: LongTail) -> str:
    """Return the card's header; every JSON value is a YAML value."""
    task = {"type": "image-classification", "name": "image classification"}
    metrics = [
        {"type": key, "name": f"{COUNTED[key].title} ({found.images})", "value": round(value, 6)}
        for key, value in _values(found, tail)
    ]
    data = {"type": metadata["data_set"], "name": metadata["data_set"]}
    fields = {
        "library_name": "ltray",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "long-tailed", "ltray", *metadata["methods"]],
        "model-index": [
            {"name": metadata["data_set"], "results": [{"task": task, "dataset": data, "metrics": metrics}]}
        ],
    }
    return "\n".join(
        ["---", *(f"{key}: {json.dumps(value, ensure_ascii=True)}" for key, value in fields.items()), "---"]
    )


def _use(metadata: Mapping[str, Any]) -> str:
    form = metadata["input"]
    return (
        "## Use\n\n"
        "```\npip install onnxruntime numpy pillow\npython predict.py model.onnx IMAGE...\n```\n\n"
        f"`model.onnx` takes uint8 RGB images {_shape(form)}, normalises them, and "
        "returns `logits` and `probabilities`. `model.safetensors` has the weights for PyTorch, `config.json` the "
        "class names, `preprocessor_config.json` the image size and the normalisation."
    )


def _shape(form: Mapping[str, Any]) -> str:
    side = form["image_size"]
    if "five_crops" not in form:
        return f"(B, 3, {side}, {side})"
    shorter = side + form["five_crops"]
    return (
        f"(B, 3, H, W) whose shorter side has {shorter} pixels, cuts five crops of {side} pixels (the figures below "
        "are those of single images)"
    )


def _training(trained: TrainedModel, metadata: Mapping[str, Any], tail: LongTail) -> str:
    experiment, dataset = trained.experiment, trained.experiment.dataset
    network = experiment.network
    parameters = sum(p.numel() for p in trained.stage.network.parameters())
    protocol = {
        "honest": "honest (epochs and settings were selected on validation images; test images were not used)",
        "paper": "paper (epochs were selected on the test images, as in the papers' tables)",
    }.get(dataset.protocol, dataset.protocol)
    if dataset.folds:
        protocol = (
            f"{dataset.folds}-fold cross-validation: epochs and settings were selected by the scores that each image "
            "got from a model that was not trained on it; this model was trained on all images; test images were not "
            "used"
        )
    rows = [
        ("Data", f"{dataset.name}: {tail.total:,} training images of {tail.classes} classes"),
        (
            "Images per class",
            f"{max(tail.counts):,} to {min(tail.counts):,} (imbalance factor {tail.imbalance_factor:.4g})",
        ),
        ("Method", " + ".join(metadata["methods"])),
        ("Network", f"{network.backbone}, {parameters:,} parameters"),
        ("Initial weights", _weights(trained)),
        ("Protocol", protocol),
        ("Seed", str(experiment.seed)),
        ("Checkpoint", f"epoch {trained.checkpoint.position.total_epochs}, SHA-256 {metadata['checkpoint_sha256']}"),
    ]
    return "## Training\n\n" + _table(("", ""), rows)


def _weights(trained: TrainedModel) -> str:
    record = trained.checkpoint.context.get(WEIGHTS)
    if not isinstance(record, Mapping):
        return "random"
    return ", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in record.items() if value)


def _values(found: Evaluated, tail: LongTail) -> list[tuple[str, float]]:
    """Return key and value of every metric that the evaluation has."""
    metrics = found.counts.metrics(tail, "at")
    return [(key, metrics[f"at/{key}"]) for key in COUNTED if f"at/{key}" in metrics]


def _results(found: Evaluated, tail: LongTail) -> str:
    rows = []
    for key, value in _values(found, tail):
        low, high = found.counts.interval(key, tail)
        rows.append((COUNTED[key].title, f"{100 * value:.1f} %", f"{100 * low:.1f} to {100 * high:.1f} %"))
    count = int(found.counts.seen.sum())
    selected = ", on which the epoch was also selected: expect less on new images" if found.selected else ""
    return (
        f"## Results\n\nOn {count:,} {found.images}{selected}. The intervals result from the finite number of "
        "images; training again with another seed adds variation that they do not include.\n\n"
    ) + _table(("metric", "value", "95 % interval"), rows)


def _classes(counts: Evaluation, tail: LongTail, names: Sequence[str]) -> str:
    """Return the classes with the lowest accuracy."""
    accuracy, seen = counts.per_class().tolist(), counts.seen.tolist()
    order = sorted((label for label in range(len(names)) if seen[label]), key=lambda label: accuracy[label])
    rows = [
        (_cell(names[label]), f"{tail.counts[label]:,}", str(seen[label]), f"{100 * accuracy[label]:.1f} %")
        for label in order[:SHOWN_CLASSES]
    ]
    return "## Classes with the lowest accuracy\n\n" + _table(
        ("class", "training images", "evaluated images", "accuracy"), rows
    )


def _limits(found: Evaluated, tail: LongTail, metadata: Mapping[str, Any]) -> str:
    seen = found.counts.seen.tolist()
    names = metadata["class_names"]
    rare = [names[label] for label, count in enumerate(tail.counts) if count < FEW_BELOW]
    unsure = [names[label] for label, count in enumerate(seen) if count < FEW_IMAGES]
    lines = ["An image of a class that is not in the list still gets one of these classes."]
    if rare:
        lines.append(f"Fewer than {FEW_BELOW} training images: {_listed(rare)}.")
    if unsure:
        lines.append(f"Fewer than {FEW_IMAGES} evaluated images, uncertain accuracy of the class: {_listed(unsure)}.")
    if metadata["temperature_from"] == "not calibrated":
        lines.append("The probabilities are not calibrated.")
    else:
        lines.append(f"The probabilities are calibrated with one temperature, from {metadata['temperature_from']}.")
    lines.append(
        "The class shares of the training images are in `config.json` (`training_images`); where the images of the "
        "application have other shares, the probabilities must be adapted."
    )
    lines.append("The terms of the training images and of the initial weights apply to this model.")
    return "## Limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _listed(names: Sequence[str], most: int = 20) -> str:
    shown = ", ".join(map(_cell, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _cell(text: str) -> str:
    """Return a name as Markdown text for a table's cell, in one line."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
