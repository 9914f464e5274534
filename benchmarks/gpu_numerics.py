"""Losses on a device compared with the same losses on the CPU in float64."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu_work import Work
from ltray.data.dataset import ImageData
from ltray.engine.train_step import seed_step
from ltray.stage import Batch, Stage

LIMITS = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 0.1}
"""Largest relative difference that passes: float32 on a GPU may use TF32, whose products have 10 bits."""


def numerics(method: str, data: ImageData) -> dict[str, Any]:
    """Return the largest relative difference of a method's loss terms and of its gradient, by number format.

    The first batch of the first epoch is computed by copies of one stage: on the CPU in float64, the reference, and on
    the device in float64, float32 and bfloat16.

    Returns:
        `errors` by number format, and `passed`.
    """
    work = Work.begin(method, data, precision="float32")
    batch = next(iter(work.loader.epoch(0)))
    reference = _losses(work.stage, batch, torch.device("cpu"), "float64")
    errors = {}
    for precision in LIMITS:
        found = _losses(work.stage, batch, data.device, precision)
        errors[precision] = max(_relative(found[name], value) for name, value in reference.items())
    return {"errors": errors, "passed": all(errors[name] <= limit for name, limit in LIMITS.items())}


def _losses(stage: Stage, batch: Batch, device: torch.device, precision: str) -> Mapping[str, float]:
    """Return the loss terms, and the norm of the gradient of their sum, of a copy of a stage."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    own = copy.deepcopy(stage).to(device=device, dtype=dtype)
    views = {name: view.to(device=device, dtype=dtype) for name, view in batch.views.items()}
    boxes = None if batch.boxes is None else batch.boxes.to(device=device, dtype=dtype)
    seed_step(0, 0, 0, 0)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        terms: Mapping[str, Tensor] = own(Batch(views, batch.labels.to(device), batch.indices.to(device), boxes))
    torch.stack([value.to(dtype) for value in terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
    squares = [p.grad.double().square().sum().cpu() for p in own.parameters() if p.grad is not None]
    norm = float(torch.stack(squares).sum().sqrt())
    return {name: float(value.detach()) for name, value in terms.items()} | {"gradient": norm}


def _relative(found: float, reference: float) -> float:
    return abs(found - reference) / max(abs(reference), 1e-6)
