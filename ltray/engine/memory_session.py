"""A session without a cluster: reports are kept in memory; for tests and machines without Ray."""

import io
from collections.abc import Mapping

import torch

from ltray.engine.checkpoint import Checkpoint


class MemorySession:
    """Keeps every report, and the content of the newest checkpoint file.

    Args:
        start: Bytes of a checkpoint to resume from.

    Attributes:
        reports: The metrics of every epoch.
        saved: The newest checkpoint's bytes, or None before the first.
    """

    def __init__(self, start: bytes | None = None) -> None:
        self.reports: list[dict[str, float]] = []
        self.saved: bytes | None = start

    def resume(self) -> Checkpoint | None:
        """Return the checkpoint to continue from."""
        if self.saved is None:
            return None
        return Checkpoint.from_plain(torch.load(io.BytesIO(self.saved), weights_only=True))

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Keep metrics and checkpoint."""
        self.reports.append(dict(metrics))
        buffer = io.BytesIO()
        torch.save(checkpoint.plain(), buffer)
        self.saved = buffer.getvalue()
