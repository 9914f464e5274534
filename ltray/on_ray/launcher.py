"""Training on a Ray cluster and evaluation of the trained model, for a command."""

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from ltray.checkpoints import complete_checkpoints
from ltray.data.pin import Pins
from ltray.on_ray import cluster
from ltray.on_ray.final_evaluation import evaluate_where_trained
from ltray.on_ray.tasks import Placement
from ltray.on_ray.workers import run_workers
from ltray.space.search_settings import TrialResources


class OnRay:
    """Trains on the workers of a Ray cluster, which is joined or started for the command.

    Args:
        asked: The number of workers, and the resources of each.

    Raises:
        UsageError: On entering: the cluster cannot be joined, or its resources are not sufficient.
    """

    def __init__(self, asked: TrialResources) -> None:
        self._asked = asked

    def __enter__(self) -> Self:
        try:
            cluster.connect()
            cluster.concurrent_trials(self._asked)
        except BaseException:
            cluster.disconnect()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        cluster.disconnect()

    def train(
        self, settings: Mapping[str, Any], pins: Pins, *, folder: Path, notify: Callable[[str], object]
    ) -> Generator[dict[str, Any], None, None]:
        """Yield the metrics of every epoch; see `run_workers`."""
        resources = cluster.worker_resources(self._asked)
        placement = Placement(Path.cwd(), self._asked.workers, resources, self._asked.retries, pins)
        known = complete_checkpoints(folder)
        earlier = known[-1][0] if known else None
        with closing(run_workers(settings, placement, folder=folder, earlier=earlier, notify=notify)) as reports:
            for metrics, _ in reports:
                yield metrics

    def evaluate(self, folder: Path, checkpoint: Path, stamps: Mapping[str, Any]) -> dict[str, Any]:
        """Evaluate a checkpoint on the test set and copy it to `best/`; see `evaluate_where_trained`."""
        resources = cluster.worker_resources(self._asked)
        return evaluate_where_trained(folder, checkpoint, resources, stamps=stamps)
