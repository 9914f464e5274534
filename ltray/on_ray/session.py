"""How a worker reports to Ray and resumes from it."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch

from ltray.distributed import rank
from ltray.engine.checkpoint import Checkpoint
from ltray.engine.loop import NotFinite
from ltray.experiment import Experiment

FAILURE = "failure"  # the key under which a run reports why it cannot go on


@dataclass(frozen=True)
class RaySession:
    """The engine's `Session` over `ray.train` (in a worker) or `ray.tune` (in a trial).

    Attributes:
        api: The module `ray.train` or `ray.tune`; both have `report`, `get_checkpoint` and
            `Checkpoint`.
        earlier: A checkpoint of an earlier process of the same run, used where Ray itself
            has none. Its metrics are reported once more, since the driver may have died
            before it saw them.
    """

    api: ModuleType
    earlier: Path | None = None

    def resume(self) -> Checkpoint | None:
        """Return Ray's newest checkpoint of this run, or the earlier process's."""
        newest = self.api.get_checkpoint()
        if newest is not None:
            with newest.as_directory() as folder:
                return Checkpoint.load(Path(folder))
        if self.earlier is None:
            return None
        checkpoint = Checkpoint.load(self.earlier)
        self.api.report(dict(checkpoint.metrics))
        return checkpoint

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Hand metrics to Ray; rank 0 adds the checkpoint."""
        if rank() != 0:
            self.api.report(dict(metrics))
            return
        folder = tempfile.mkdtemp(prefix="ltray-")
        try:
            checkpoint.save(Path(folder))
            self.api.report(dict(metrics), checkpoint=self.api.Checkpoint.from_directory(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def train_and_report(experiment: Experiment, session: RaySession, device: torch.device) -> None:
    """Train; a loss that is not finite is reported as the run's failure and not retried.

    Every worker sees the same loss and reports alike.
    """
    try:
        experiment.train(session, device)
    except NotFinite as error:
        session.api.report({FAILURE: str(error)})
