"""`python -m ltray.export RUN TARGET`: write a trained model as a file or folder for use without ltray."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ltray import __version__
from ltray.arguments import check_writable, path_argument, path_value
from ltray.command import DONE, exit_with
from ltray.engine.checkpoint import FILE_NAME
from ltray.errors import UsageError, shown
from ltray.files import digest_of
from ltray.model_folder import ModelFolder
from ltray.parser import Parser
from ltray.printable import printable
from ltray.results.classifier import Classifier
from ltray.results.exported import INPUT, OUTPUTS, ExportedGraph, export_onnx, export_torch
from ltray.results.hub_folder import export_folder
from ltray.results.model_card import model_card
from ltray.run_folder import checkpoint_of

IMAGES = 16  # images for the comparison of the file with the trained model
FOLDER = "folder"
FORMATS: Mapping[str, Callable[[ExportedGraph, Tensor, Path, Mapping[str, Any]], float]] = {
    "onnx": export_onnx,
    "torch-export": export_torch,
}
"""The function that writes a single file, by format; the format `folder` has several files and a model card."""
SUFFIXES = {".onnx": "onnx", ".pt2": "torch-export", "": FOLDER}


SQUARE, CENTRE = "centre", "centre, 224/256 of the shorter side, then resized"
CUT_INSIDE = "none: the shorter side is resized to `image_size` + `five_crops`, and the file cuts five crops"


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        file: The file or folder.
        format: A name of `FORMATS`, or "folder".
        difference: Largest difference of a logit or probability between the file and the trained model.
        images: Number of validation images on which it was measured.
        metadata: The description of input, classes and source in the file.
    """

    file: Path
    format: str
    difference: float
    images: int
    metadata: Mapping[str, Any]


def run(checkpoint: str | PathLike[str], file: str | PathLike[str], *, five_crops: bool = False) -> Exported:
    """Write a trained model with uint8 images as input, and logits and probabilities as outputs; see docs/export.md.

    Args:
        checkpoint: Folder of a checkpoint, run or search.
        file: The file to write; its suffix determines the format: `.onnx`, or `.pt2` of `torch.export`. A name without
            a suffix is a folder in the layout of the Hugging Face hub, which must not exist or be empty.
        five_crops: Whether the file takes images whose shorter side is larger than that of the training images, cuts
            five crops and returns the means of their scores (test-time ensembling). The temperature remains that of
            single images.

    Returns:
        The file or folder, and its largest difference from the trained model.

    Raises:
        UsageError: The model or its data are missing or damaged, the suffix is unknown, the folder contains files, or a
            package is missing.
        RunFailed: The results of a file differ from those of the trained model; nothing is written.
    """
    target = path_value("file", file)
    form = SUFFIXES.get(target.suffix.lower())
    if form is None:
        raise UsageError(
            f"{shown(str(target))} must end in .onnx or .pt2, or be the name of a folder without a suffix."
        )
    check_writable(target, "file", folder=form == FOLDER)
    folder = checkpoint_of(path_value("checkpoint", checkpoint))
    model = Classifier.open(folder, torch.device("cpu"))
    images = _images(model)
    temperature, _ = model.calibration
    margin = model.trained.margin if five_crops else None
    graph = ExportedGraph(model.trained.stage, model.trained.experiment.dataset, temperature, margin=margin).eval()
    graph.requires_grad_(False)
    if margin is not None:
        images = _enlarged(images, margin)
    metadata = describe(model, margin)
    if form == FOLDER:
        card = model_card(model.trained, metadata, ModelFolder(folder).evaluation())
        difference = export_folder(graph, images, target, metadata, card)
    else:
        difference = FORMATS[form](graph, images, target, metadata)
    return Exported(target, form, difference, len(images), metadata)


def describe(model: Classifier, margin: int | None = None) -> dict[str, Any]:
    """Return the description of the file for its users: input, classes, their training images and source.

    Args:
        model: The model.
        margin: Pixels by which the shorter side of the images exceeds a crop; None: the file does not cut images.
    """
    dataset, (temperature, source) = model.trained.experiment.dataset, model.calibration
    storage = dataset.storage
    return {
        "ltray": __version__,
        "input": {
            "name": INPUT,
            "layout": "NCHW, RGB, uint8 from 0 to 255; normalised inside the file",
            "image_size": dataset.image_size,
            "interpolation": "bilinear, antialiased",
            "resize_shorter_side": storage.square,
            "longest_side": 0 if storage.square else storage.longest,
            "crop": CUT_INSIDE if margin else SQUARE if storage.square else CENTRE,
            **({"five_crops": margin} if margin else {}),
            "mean": list(dataset.mean),
            "std": list(dataset.std),
        },
        "outputs": list(OUTPUTS),
        "class_names": list(model.class_names),
        "training_images": list(model.trained.data.tail.counts),
        "temperature": temperature,
        "temperature_from": source,
        "methods": [method.reference for method in model.trained.experiment.methods],
        "data_set": dataset.name,
        "protocol": dataset.protocol,
        "checkpoint_sha256": digest_of(model.checkpoint / FILE_NAME),
    }


def _images(model: Classifier) -> Tensor:
    """Return some of the images on which epochs were compared (n, 3, S, S), uint8."""
    dataset = model.trained.experiment.dataset
    normalised = torch.cat([images for images, _ in islice(model.trained.data.selection(), IMAGES)])[:IMAGES]
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (dataset.mean, dataset.std))
    return ((normalised.float() * std + mean) * 255.0).round().clamp(0, 255).to(torch.uint8)


def _enlarged(images: Tensor, margin: int) -> Tensor:
    """Return images (n, 3, S, S) enlarged to S + `margin` pixels high, and wider than that."""
    height = images.shape[2] + margin
    return functional.interpolate(images, size=(height, height + margin + 1), mode="bilinear")


def main(arguments: list[str]) -> int:
    """Export, print the file and its largest difference from the trained model."""
    options = new_parser().parse(arguments)
    done = run(options.checkpoint, options.file, five_crops=options.five_crops)
    print(f"wrote {printable(done.file)} ({done.format}, {len(done.metadata['class_names'])} classes)")
    print(f"largest difference from the trained model on {done.images} images: {done.difference:.2g}")
    return DONE


def new_parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser("export", description="Write a trained model as a file or folder for use without ltray.")
    parser.add_argument(
        "checkpoint", type=path_argument, metavar="CHECKPOINT", help="folder of a checkpoint, run or search"
    )
    parser.add_argument(
        "file",
        type=path_argument,
        metavar="TARGET",
        help="the target: model.onnx, model.pt2 of torch.export, or a folder for weights, model.onnx and model card",
    )
    parser.add_argument(
        "--five-crops",
        action="store_true",
        help="the file cuts five crops of a larger image and returns the means of their scores (test-time ensembling)",
    )
    return parser


if __name__ == "__main__":
    exit_with(main)
