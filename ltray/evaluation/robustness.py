"""Robustness: the error on images with the 15 common corruptions in five severities, and its means."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltray.data.corruptions.corrupt import CORRUPTIONS, corrupt
from ltray.data.corruptions.severities import SEVERITIES, table_for
from ltray.data.pools import batches, decoding_threads
from ltray.data.transforms import policies
from ltray.engine.evaluation import Evaluation, classify
from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.figures import BAR, INK, LIGHT, SOFT, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import COLUMN, GROUPS, TWO_COLUMNS, paper_style
from ltray.parts.corruption_error import ALEXNET, mean_corruption_error, normalised_corruption_error
from ltray.seal import append_sealed, read_lines

SEED = 0
BEFORE = 2  # batches that are ready before they are needed
BATCHES = (256, 32)  # images that a thread corrupts at once, up to 64 pixels and above
SHOWN = 3  # severity of the pictures
PARTIAL = "robustness.partial.jsonl"


def robustness(subject: Subject) -> Found:
    """Classify the images of the split with every corruption and severity; finished ones are kept if it is ended."""
    import pandas as pd

    side = subject.trained.experiment.dataset.image_size
    clean = 1 - float((subject.predicted == subject.predictions.labels).double().mean())
    counts = _classified(subject)
    rows = [
        {"corruption": name, "severity": severity, "error": 1 - sum(found["correct"]) / sum(found["seen"])}
        | {f"error_{group}": value for group, value in _by_group(subject, found).items()}
        for (name, severity), found in counts.items()
    ]
    errors = torch.tensor([row["error"] for row in rows], dtype=torch.float64).view(len(CORRUPTIONS), SEVERITIES)
    each = {name: float(errors[place].mean()) for place, name in enumerate(CORRUPTIONS)}
    table, _ = table_for(side)
    groups = {
        name: float(np.mean([row[f"error_{name}"] for row in rows]))
        for name in _by_group(subject, next(iter(counts.values())))
    }
    values = {
        "images": len(subject.predictions.labels),
        "image_size": side,
        "constants": table,
        "seed": SEED,
        "clean_error": clean,
        "mce": mean_corruption_error(errors),
        "normalised_mce": normalised_corruption_error(errors),
        "normalised_by": "AlexNet's errors on ImageNet-C"
        + ("" if table == "ImageNet-C" else "; on other images a relative figure only, not comparable with tables"),
        "relative_to_clean": mean_corruption_error(errors) - clean,
        "errors": each,
        "alexnet": dict(ALEXNET),
        "mce_by_group": groups,
    }
    return Found(
        values,
        {"robustness": pd.DataFrame(rows)},
        {
            "robustness": lambda: _errors(subject, errors, values),
            "corruptions": lambda: _pictures(subject),
        },
    )


def _line(values: Mapping[str, Any]) -> str:
    return (
        f"mCE {100 * values['mce']:.1f} %, normalised {100 * values['normalised_mce']:.1f} % (without corruption "
        f"{100 * values['clean_error']:.1f} %)"
    )


ROBUSTNESS = Analysis("robustness", "errors on 15 corruptions in 5 severities", robustness, _line, needs_images=True)


def _by_group(subject: Subject, found: dict[str, list[int]]) -> dict[str, float]:
    """Return the mean error of the classes of each group that have images."""
    errors = {}
    for name, labels in subject.tail.groups().items():
        known = [label for label in labels if found["seen"][label]]
        if known:
            errors[name] = float(np.mean([1 - found["correct"][label] / found["seen"][label] for label in known]))
    return errors


def _classified(subject: Subject) -> dict[tuple[str, int], dict[str, list[int]]]:
    """Return the counts of each corruption and severity; those that an earlier command has finished are read."""
    subject.folder.mkdir(parents=True, exist_ok=True)
    path = subject.folder / PARTIAL
    known = {(str(row["corruption"]), int(row["severity"])): row for row in read_lines(path)}
    every = [(name, severity) for name in CORRUPTIONS for severity in range(1, SEVERITIES + 1)]
    missing = [one for one in every if one not in known]
    with subject.bars.bar("corruptions and severities", len(every)) as advance:
        advance(len(every) - len(missing))
        for name, severity in missing:
            images = CorruptedImages(subject, name, severity)
            counts = Evaluation.of(*classify(subject.trained.stage, images))
            row = {"corruption": name, "severity": severity} | counts.as_lists()
            append_sealed(path, row)
            known[name, severity] = row
            advance(1)
    path.unlink(missing_ok=True)
    return {one: known[one] for one in every}


class CorruptedImages:
    """The images of a split with a corruption, as an evaluation reads them.

    Args:
        subject: The model and its split.
        corruption: Name of the corruption.
        severity: 1 to 5.
    """

    def __init__(self, subject: Subject, corruption: str, severity: int) -> None:
        self.subject = subject
        self.corruption = corruption
        self.severity = severity

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images (B, 3, H, W), labels (B,)), corrupted by threads some batches ahead."""
        subject = self.subject
        definition, labels = subject.trained.experiment.dataset, subject.predictions.labels
        batch = BATCHES[0 if table_for(definition.image_size)[0] == "CIFAR-C" else 1]
        keys = torch.from_numpy(subject.split.indices)
        order = torch.arange(len(labels))
        with ThreadPoolExecutor(decoding_threads(), thread_name_prefix="ltray-corrupt") as threads:
            running: deque[tuple[Tensor, Future[Any]]] = deque()
            rows = batches(order, batch)
            for pixels in subject.streamed(order, batch):
                own = next(rows)
                task = threads.submit(
                    corrupt, pixels, self.corruption, self.severity, keys=keys[own].numpy(), seed=SEED
                )
                running.append((own, task))
                if len(running) > BEFORE + decoding_threads():
                    yield self._finished(*running.popleft())
            while running:
                yield self._finished(*running.popleft())

    def _finished(self, rows: Tensor, task: "Future[Any]") -> tuple[Tensor, Tensor]:
        definition, device = self.subject.trained.experiment.dataset, self.subject.trained.device
        pixels = torch.from_numpy(task.result()).permute(0, 3, 1, 2).contiguous().to(device)
        images = policies.evaluation(pixels, image_size=definition.image_size, mean=definition.mean, std=definition.std)
        return images, self.subject.predictions.labels[rows].to(device)


def title(name: str) -> str:
    """Return the name of a corruption for figures."""
    return {"jpeg_compression": "JPEG"}.get(name, name.replace("_", " "))


def _errors(subject: Subject, errors: Tensor, values: dict[str, Any]) -> Any:
    """Draw the mean error of each corruption, and its errors by severity as points."""
    with paper_style():
        figure = new_figure(COLUMN, 3.5)
        axes = figure.subplots()
        for place, each in enumerate(errors.tolist()):
            axes.barh(place, float(np.mean(each)), color=BAR, height=0.62)
            for severity, value in enumerate(each, start=1):
                axes.plot(
                    value, place, marker="o", color=GROUPS["many"], markersize=1.4 + 0.55 * severity, alpha=0.75, lw=0
                )
        axes.axvline(values["clean_error"], color=INK, linestyle="--", linewidth=0.8)
        axes.set_yticks(range(len(CORRUPTIONS)), [title(name) for name in CORRUPTIONS])
        axes.set_ylim(len(CORRUPTIONS) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.grid(axis="x", color=LIGHT, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.set_xlabel("error")
        figure.supxlabel("bars: mean, dots: severity 1 (small) to 5, dashed: no corruption", fontsize=6.5)
        normalised = f"mCE {100 * values['mce']:.1f} %, normalised {100 * values['normalised_mce']:.1f} %"
        axes.set_title(f"{subject.methods} on {subject.shown_images}: {normalised}", loc="right", color=SOFT)
        return figure


def _pictures(subject: Subject) -> Any:
    """Draw an image of the most frequent class with every corruption."""
    labels = subject.predictions.labels
    first = next(label for label in subject.by_frequency if bool((labels == label).any()))
    row = int((labels == first).nonzero()[0])
    pixels, key = np.stack(subject.pixels([row])), subject.split.indices[[row]]
    with paper_style():
        figure = new_figure(TWO_COLUMNS, 3.0)
        for axes, name in zip(figure.subplots(2, 8).ravel(), ("", *CORRUPTIONS), strict=True):
            shown = corrupt(pixels, name, SHOWN, keys=key, seed=SEED) if name else pixels
            axes.imshow(shown[0], interpolation="nearest")
            axes.set_title(title(name) or "unchanged", fontsize=6)
            axes.axis("off")
        return figure
