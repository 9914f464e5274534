"""Training with one worker on this machine and evaluation of the trained model, for a command, without Ray."""

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Self

import torch

from ltray.data.pin import Pins
from ltray.on_ray.running_clusters import print_running
from ltray.on_ray.tasks import Placement
from ltray.one_worker.parent import run_worker
from ltray.ray_address import is_connected, named_cluster
from ltray.results.final_evaluation import keep_evaluated
from ltray.space.search_settings import TrialResources


def suits(asked: TrialResources) -> bool:
    """Return whether a run needs no cluster: it has one worker, and there is no cluster to join."""
    return asked.workers == 1 and not is_connected() and not named_cluster()


class OneWorker:
    """Trains in one process on this machine, on its first GPU if there is one.

    Args:
        asked: The resources of the worker.
    """

    def __init__(self, asked: TrialResources) -> None:
        self._asked = asked

    def __enter__(self) -> Self:
        print_running("does not use it")
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def train(
        self, settings: Mapping[str, Any], pins: Pins, *, folder: Path, notify: Callable[[str], object]
    ) -> Generator[dict[str, Any], None, None]:
        """Yield the metrics of every epoch; see `run_worker`."""
        placement = Placement(Path.cwd(), 1, self._resources, self._asked.retries, pins)
        return run_worker(settings, placement, folder=folder, notify=notify)

    def evaluate(self, folder: Path, checkpoint: Path, stamps: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate a checkpoint on the test set and copy it to `best/`; see `keep_evaluated`."""
        device = torch.device("cuda" if "GPU" in self._resources else "cpu")
        return keep_evaluated(folder, checkpoint, device, stamps=stamps)

    @property
    def _resources(self) -> dict[str, float]:
        gpu = torch.cuda.is_available() and self._asked.gpus_per_worker != 0
        return {"CPU": float(self._asked.cpus_per_worker)} | ({"GPU": 1.0} if gpu else {})
