"""Latency and throughput of the network at batch sizes 1 and 64, and its size."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltray.evaluation.analysis import Analysis, Found
from ltray.evaluation.figures import INK, LIGHT, new_figure
from ltray.evaluation.subject import Subject
from ltray.figures.style import COLUMN, GROUPS, paper_style
from ltray.stage import Stage

BATCHES = (1, 64)
WARM_UP = 5  # passes that are not measured: allocation, choice of kernels
LEAST, MOST = 10, 200  # measured passes
LONGEST = 10.0  # seconds of measured passes for a batch size
PERCENTILES = (5, 50, 95, 99)


def latency(subject: Subject) -> Found:
    """Measure classification of random images, and count parameters and operations."""
    import pandas as pd

    trained, size = subject.trained, subject.trained.experiment.dataset.image_size
    each = {batch: timed(trained.stage, batch, size, trained.device, subject) for batch in BATCHES}
    batches = {
        str(batch): {
            "batch": batch,
            "passes": len(seconds),
            "mean_seconds": float(seconds.mean()),
            "std_seconds": float(seconds.std()),
            "percentiles_seconds": {str(one): float(np.percentile(seconds, one)) for one in PERCENTILES},
            "seconds_per_image": float(np.median(seconds)) / batch,
            "images_per_second": batch / float(np.median(seconds)),
        }
        for batch, seconds in each.items()
    }
    network = trained.stage.network
    values = {
        "image_size": size,
        "warm_up": WARM_UP,
        "threads": torch.get_num_threads() if trained.device.type == "cpu" else None,
        "precision": "float32",
        "batches": batches,
        "parameters": count(network),
        "parameters_of_backbone": count(network.backbone),
        "parameters_of_all_stages": count(nn.ModuleList(trained.stages)),
        "flop_per_image": _operations(trained.stage, size, trained.device),
    }
    rows = [
        {"batch": batch, "pass": number, "seconds": one}
        for batch, all_ in each.items()
        for number, one in enumerate(all_)
    ]
    return Found(values, {"latency": pd.DataFrame(rows)}, {"latency": lambda: _figure(subject, each)})


def _line(values: Mapping[str, Any]) -> str:
    each = (
        f"batch {batch}: {1000 * one['percentiles_seconds']['50']:.1f} ms (95 %: "
        f"{1000 * one['percentiles_seconds']['95']:.1f}), {one['images_per_second']:,.0f} images/s"
        for batch, one in values["batches"].items()
    )
    return f"{'; '.join(each)}; {values['parameters']:,} parameters"


LATENCY = Analysis("latency", "time for an image, images per second, parameters", latency, _line)


def count(module: nn.Module) -> int:
    """Return the number of values in the parameters of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


@torch.inference_mode()
def timed(stage: Stage, batch: int, size: int, device: torch.device, subject: Subject) -> Any:
    """Return the seconds of each measured pass.

    Args:
        stage: The stage that classifies.
        batch: Images of a pass.
        size: Their side in pixels.
        device: The device of the stage.
        subject: Shows the progress.
    """
    stage.eval()
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    seconds: list[float] = []
    with subject.bars.bar(f"passes of {batch} images", MOST) as advance:
        for _ in range(WARM_UP):
            _pass(stage, images)
        started = time.perf_counter()
        while len(seconds) < LEAST or (len(seconds) < MOST and time.perf_counter() - started < LONGEST):
            seconds.append(_pass(stage, images))
            advance(1)
        advance(MOST - len(seconds))
    return np.array(seconds)


def _pass(stage: Stage, images: Tensor) -> float:
    """Return the seconds of one classification, with the wait for an accelerator."""
    _wait(images.device)
    started = time.perf_counter()
    stage.logits(images)
    _wait(images.device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.no_grad()
def _operations(stage: Stage, size: int, device: torch.device) -> int:
    """Return the floating-point operations of one image: two for a multiplication with addition."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with counter:
        stage.logits(torch.zeros(1, 3, size, size, device=device))
    return int(counter.get_total_flops())


def _figure(subject: Subject, each: dict[int, Any]) -> Any:
    """Draw the distribution of the time of a pass, and the images per second."""
    with paper_style():
        figure = new_figure(COLUMN, 1.9)
        left, right = figure.subplots(1, 2)
        names = [f"batch {batch}" for batch in each]
        shown = [1000 * seconds / batch for batch, seconds in each.items()]
        left.boxplot(
            shown,
            whis=(5, 95),
            showfliers=False,
            widths=0.5,
            medianprops={"color": GROUPS["few"]},
            boxprops={"color": INK},
            whiskerprops={"color": INK},
        )
        left.set_xticks(range(1, len(names) + 1), names)
        left.set_ylim(0, 1.1 * max(float(np.percentile(one, 95)) for one in shown))
        left.yaxis.set_major_formatter("{x:g}")
        left.set_ylabel("ms per image (5 to 95 %)")
        rates = [batch / float(np.median(seconds)) for batch, seconds in each.items()]
        right.bar(range(len(names)), rates, color=GROUPS["many"], width=0.5)
        for place, rate in enumerate(rates):
            right.text(place, rate, f"{rate:,.0f}", ha="center", va="bottom", fontsize=6.5)
        right.set_xticks(range(len(names)), names)
        right.set_ylim(0, 1.15 * max(rates))
        right.set_ylabel("images per second")
        for axes in (left, right):
            axes.grid(axis="y", color=LIGHT, linewidth=0.5)
            axes.set_axisbelow(True)
        device = "CPU" if subject.trained.device.type == "cpu" else "GPU"
        figure.suptitle(f"{subject.methods}, {device}, {count(subject.trained.stage.network):,} parameters", fontsize=7)
        return figure
