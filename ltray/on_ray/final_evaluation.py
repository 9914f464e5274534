"""The last evaluation of a run, on a GPU of the cluster if there is one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch

from ltray.on_ray.tasks import enter, import_path
from ltray.results.final_evaluation import keep_evaluated


def evaluate_where_trained(
    folder: Path, checkpoint: Path, resources: Mapping[str, float], *, stamps: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Evaluate a checkpoint on the test set, once, and copy it to `best/`.

    Args:
        folder: The run folder, which every node can read and write.
        checkpoint: The checkpoint's folder.
        resources: The resources of a worker of the run. If they include a GPU, a task of the
            cluster evaluates, because this process may have no GPU.
        stamps: Further entries of `evaluation.json`.
    """
    if not resources.get("GPU"):
        return keep_evaluated(folder, checkpoint, torch.device("cpu"), stamps=stamps)
    task = _evaluate.options(num_cpus=resources["CPU"], num_gpus=resources["GPU"])
    found: dict[str, Any] = ray.get(
        task.remote(str(folder.resolve()), str(checkpoint.resolve()), dict(stamps or {}), os.getcwd(), import_path())
    )
    return found


@ray.remote
def _evaluate(
    folder: str, checkpoint: str, stamps: Mapping[str, Any], working: str, path: tuple[str, ...]
) -> dict[str, Any]:
    enter(working, path)
    return keep_evaluated(Path(folder), Path(checkpoint), torch.device("cuda"), stamps=stamps)
