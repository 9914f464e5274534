"""A session that writes a run to a folder: history, a logger's files, newest and best checkpoint."""

from collections.abc import Mapping
from pathlib import Path

from ltray.checkpoints import complete_checkpoints, keep_newest_and_best
from ltray.engine.checkpoint import Checkpoint
from ltray.files import writing
from ltray.loggers import new_logger
from ltray.private_folders import make_private
from ltray.run_folder import RunFolder


class FolderSession:
    """The engine's `Session` for a run in one process; it continues a run that is in the folder.

    Args:
        folder: The run folder; created if it is missing.
        logger: Name or dotted path of the logger that receives the metrics.
    """

    def __init__(self, folder: Path, *, logger: str = "tensorboard") -> None:
        make_private(folder)
        self._folder = folder
        self._logger = new_logger(logger, folder)

    def resume(self) -> Checkpoint | None:
        """Return the newest checkpoint, or None for a fresh run."""
        known = complete_checkpoints(self._folder)
        return Checkpoint.load(known[-1][0]) if known else None

    def report(self, metrics: Mapping[str, float], checkpoint: Checkpoint) -> None:
        """Write metrics and checkpoint, and remove checkpoints that are neither newest nor best.

        Raises:
            CannotWrite: The disk is full, or there is another permanent error of the disk.
        """
        epoch = int(metrics["total_epochs"])
        newest = self._folder / f"checkpoint_{epoch:06d}"
        with writing(self._folder):
            # History first: after a crash between the two, the epoch is repeated, and the history contains it twice.
            RunFolder(self._folder).append_history(metrics)
            self._logger.epoch(metrics, epoch)
            checkpoint.save(newest)
        keep_newest_and_best(self._folder, newest)

    def close(self) -> None:
        """Close the logger."""
        self._logger.close()
