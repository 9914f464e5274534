"""The checkpoints in a folder: the complete ones, the newest and the best."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ltray.engine.checkpoint import check_weights_digest, metrics_of
from ltray.errors import UsageError
from ltray.metrics import CHECKPOINT_SCORE
from ltray.printable import printable


def complete_checkpoints(folder: Path) -> list[tuple[Path, dict[str, float]]]:
    """Return the complete `checkpoint_*` of a folder with their metrics, oldest epoch first."""
    found = [(p, metrics) for p in folder.glob("checkpoint_*") if (metrics := metrics_of(p)) is not None]
    return sorted(found, key=lambda item: item[1]["total_epochs"])


def best_checkpoint(found: Iterable[tuple[Path, Mapping[str, float]]]) -> Path | None:
    """Return the folder with the highest score, the earliest epoch if several have it; None if there is none.

    Args:
        found: Folders of complete checkpoints, each with its metrics.
    """
    best = max(found, key=lambda item: (item[1][CHECKPOINT_SCORE], -item[1]["total_epochs"]), default=None)
    return best[0] if best else None


def keep_newest_and_best(folder: Path, newest: Path) -> None:
    """Remove the checkpoints of a folder that are neither the newest nor the best.

    Args:
        folder: The folder of the `checkpoint_*`.
        newest: The one that was written last.
    """
    best = best_checkpoint(complete_checkpoints(folder))
    for other in folder.glob("checkpoint_*"):
        if other not in (newest, best) and other.is_dir():  # Ray's list of checkpoints is a file
            shutil.rmtree(other)


def check_newest(found: Sequence[tuple[Path, Mapping[str, float]]]) -> None:
    """Compare the checkpoint from which a run continues with its digest, before workers are started for it.

    Args:
        found: Complete checkpoints, oldest epoch first.

    Raises:
        UsageError: The newest one is damaged.
    """
    if found:
        check_weights_digest(found[-1][0])


def complete_best(
    path: Path, found: Sequence[tuple[Path, Mapping[str, float]]], epochs: Iterable[Mapping[str, float]]
) -> Path | None:
    """Return the best checkpoint, or None if there is none; raise an error if that of the best epoch is missing.

    Args:
        path: The folder of the checkpoints, for the error.
        found: Complete checkpoints, each with its metrics.
        epochs: The reports of all epochs.

    Raises:
        UsageError: A better epoch was reported, whose checkpoint is incomplete or missing.
    """
    best = best_checkpoint(found)
    score = dict(found)[best][CHECKPOINT_SCORE] if best else -1.0
    kept = {metrics["total_epochs"] for _, metrics in found}
    for epoch in epochs:
        if epoch.get(CHECKPOINT_SCORE, -1.0) > score and epoch["total_epochs"] not in kept:
            raise UsageError(
                f"{printable(path)}: the checkpoint of the best epoch, {epoch['total_epochs']:g}, is incomplete or "
                f"missing: {remedy(path)}."
            )
    return best


def remedy(path: Path) -> str:
    """Return the remedy for an incomplete checkpoint in a folder."""
    left = [found.name for found, _ in complete_checkpoints(path)]
    use = f", or use one of the complete checkpoints: {', '.join(left)}" if left else ""
    return f"restore it from a copy{use}"
