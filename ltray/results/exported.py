"""A trained model as one graph outside ltray: ONNX or `torch.export`, from uint8 images to probabilities."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ltray.data.definition import DatasetDefinition
from ltray.data.transforms.five_crops import five_boxes
from ltray.errors import RunFailed, UsageError
from ltray.files import atomic_write, replacing
from ltray.stage import Stage

TOLERANCE = 1e-4  # of the larger of 1 and the largest absolute logit
INPUT, OUTPUTS = "images", ("logits", "probabilities")


class ExportedGraph(nn.Module):
    """Maps images (B, 3, S, S), uint8, to logits and probabilities (B, K).

    Args:
        stage: The stage that predicts.
        dataset: The data set it was trained on: size, mean and standard deviation of the input.
        temperature: The divisor of the logits before the softmax; the returned logits are not divided.
        margin: Pixels by which the shorter side of the images exceeds a crop; the images (B, 3, H, W) are then cut into
            five crops, and the logits are the means over them. None: the images are not cut.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, stage: Stage, dataset: DatasetDefinition, temperature: float, *, margin: int | None = None
    ) -> None:
        super().__init__()
        self.stage = stage
        self.side = dataset.image_size
        self.margin = margin
        self.temperature = temperature
        self.register_buffer("centre", torch.tensor(dataset.mean).view(1, 3, 1, 1) * 255.0)
        self.register_buffer("scale", 1.0 / (torch.tensor(dataset.std).view(1, 3, 1, 1) * 255.0))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities of uint8 images."""
        if self.margin is None:
            logits = self.scores(images)
        else:
            logits = torch.stack([self.scores(crop) for crop in self.crops(images)]).mean(0)
        return logits, torch.softmax(logits / self.temperature, dim=1)

    def scores(self, images: Tensor) -> Tensor:
        """Return logits (B, K) of uint8 images (B, 3, S, S)."""
        return self.stage.logits((images.to(torch.float32) - self.centre) * self.scale)

    def crops(self, images: Tensor) -> list[Tensor]:
        """Return the five crops (B, 3, S, S) of images (B, 3, H, W) whose shorter side has S + `margin` pixels."""
        span = torch.arange(self.side, device=images.device)  # slices with ends that vary would limit the sizes
        boxes = five_boxes(images.shape[3], images.shape[2], self.side)
        return [images.index_select(2, span + top).index_select(3, span + left) for left, top, _, _ in boxes]


def export_onnx(graph: ExportedGraph, images: Tensor, file: Path, metadata: Mapping[str, Any]) -> float:
    """Write an ONNX file with its metadata in `metadata_props`, key `ltray`, as JSON.

    Args:
        graph: The model, in evaluation mode on the CPU.
        images: At least 2 images (N, 3, S, S), uint8, on which onnxruntime is compared with torch.
        file: The file to write.
        metadata: Plain values.

    Returns:
        The largest difference of a logit or probability.

    Raises:
        UsageError: A package is not installed.
        RunFailed: The results of onnxruntime and torch differ; no file is written.
    """
    onnxruntime = _onnxruntime()
    program = torch.onnx.export(
        _traced(graph, images), dynamo=True, input_names=[INPUT], output_names=list(OUTPUTS), verbose=False
    )
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = "ltray", json.dumps(metadata)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = [torch.from_numpy(one) for one in session.run(list(OUTPUTS), {INPUT: images.numpy()})]
    difference = _difference(graph, images, found)
    atomic_write(file, content)
    return difference


def export_torch(graph: ExportedGraph, images: Tensor, file: Path, metadata: Mapping[str, Any]) -> float:
    """Write a `.pt2` file of `torch.export` with its metadata in the extra file `ltray.json`; see `export_onnx`."""
    with replacing(file) as temporary:
        with temporary.open("wb") as opened:
            torch.export.save(_traced(graph, images), opened, extra_files={"ltray.json": json.dumps(metadata)})
        with temporary.open("rb") as opened:
            found = torch.export.load(opened).module()(images)
        return _difference(graph, images, list(found))


def _traced(graph: ExportedGraph, images: Tensor) -> torch.export.ExportedProgram:
    sizes: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if graph.margin is not None:
        shorter = graph.side + graph.margin
        sizes |= {axis: torch.export.Dim(name, min=shorter) for axis, name in ((2, "height"), (3, "width"))}
    with torch.no_grad():
        return torch.export.export(graph, (images[:2],), dynamic_shapes={"images": sizes}, strict=False)


@torch.no_grad()
def _difference(graph: ExportedGraph, images: Tensor, found: list[Tensor]) -> float:
    return check_equal(graph(images), found, len(images))


def check_equal(expected: Sequence[Tensor], found: Sequence[Tensor], count: int) -> float:
    """Return the largest difference between the outputs of a file and of the trained model.

    Args:
        expected: The trained model's logits, and other outputs to compare.
        found: The file's outputs.
        count: Number of images, for the message.

    Raises:
        RunFailed: It is above `TOLERANCE`.
    """
    difference = max(float((ours - theirs).abs().max()) for ours, theirs in zip(expected, found, strict=True))
    limit = TOLERANCE * max(1.0, float(expected[0].abs().max()))
    if not difference <= limit:
        raise RunFailed(
            f"the exported model differs from the trained one by {difference:.2g} on {count} images, more than "
            f"{limit:.2g}; nothing was written"
        )
    return difference


def _onnxruntime() -> ModuleType:
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"Export to ONNX needs the package {error.name}: install ltray with the extra `export`."
        ) from error
    found: ModuleType = onnxruntime
    return found
