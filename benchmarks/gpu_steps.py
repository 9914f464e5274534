"""Time of a training step and of its views, and a trace of a step: launches and waits for the device."""

import time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_work import Work, wait
from ltray.data.dataset import ImageData

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaLaunchKernelExC", "cuLaunchKernelEx")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
READS = "aten::_local_scalar_dense"  # a value that the host reads from a tensor, on any device
TRACED = 4  # steps


def step_times(method: str, data: ImageData, *, steps: int) -> dict[str, Any]:
    """Return seconds per step, views per second without training, and what a step launches.

    Args:
        method: The method.
        data: The data, on the device.
        steps: Number of timed steps, after as many that are not timed.
    """
    work = Work.begin(method, data)
    work.steps(steps)
    started = time.perf_counter()
    work.steps(steps)
    seconds = (time.perf_counter() - started) / steps
    batch = work.stage.recipe.batch_size
    return {
        "precision": work.stage.recipe.precision,
        "batch": batch,
        "seconds_per_step": seconds,
        "images_per_second": batch / seconds,
        "views_per_second": _views_per_second(work, steps),
        **_trace(work),
    }


def _views_per_second(work: Work, steps: int) -> float:
    done, started = 0, time.perf_counter()
    for index, batch in enumerate(work.loader.epoch(0)):
        done += len(batch.labels) * len(batch.views)
        if index + 1 == steps:
            break
    wait(work.device)
    return done / (time.perf_counter() - started)


def _trace(work: Work) -> dict[str, float]:
    """Return launches of kernels, waits and values read per step; on a CPU, the operators instead of launches."""
    gpu = work.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities) as trace:
        work.steps(TRACED)
    counts = {one.key: one.count for one in trace.key_averages()}
    waits = sum(counts.get(name, 0) for name in WAITS) - (1 if gpu else 0)  # one wait is that after the last step
    launches = LAUNCHES if gpu else [name for name in counts if name.startswith("aten::")]
    return {
        "launches_per_step": sum(counts.get(name, 0) for name in launches) / TRACED,
        "waits_per_step": waits / TRACED,
        "values_read_per_step": counts.get(READS, 0) / TRACED,
    }


def memory(device: torch.device) -> int | None:
    """Return the largest number of bytes that tensors had on a GPU; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
