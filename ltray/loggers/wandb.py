"""Weights & Biases: a run with settings, metrics by epoch and pictures; the package is the extra `wandb`."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from PIL import Image

from ltray.loggers.logger import missing_package, plain_settings, scalars
from ltray.printable import encodable

PROJECT = "ltray"


class WandbLogger:
    """Writes one run of the project `ltray`, on this machine only: `wandb sync FOLDER/wandb/offline-run-*` uploads it.

    WANDB_MODE=online uploads during the run; WANDB_PROJECT and the other variables of the package have their effect.
    A continued run has the id of its first part, so that an upload joins them.

    Args:
        folder: The run folder.

    Raises:
        UsageError: The package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise missing_package("wandb", "wandb") from error
        folder.mkdir(parents=True, exist_ok=True)
        online = os.environ.get("WANDB_MODE") == "online"
        self._picture, self._finished = wandb.Image, False
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(folder),
            id=blake2b(os.fsencode(folder.absolute()), digest_size=8).hexdigest(),
            name=encodable(folder.name),
            resume="allow" if online else None,
            mode="online" if online else "offline",
            reinit="create_new",  # the trials of a search run side by side
            settings=wandb.Settings(
                console="off", silent=True, x_disable_stats=True, x_disable_meta=True, save_code=False
            ),
        )

    def begin(self, settings: Mapping[str, Any], metric: str) -> None:
        """Store the settings as the run's configuration."""
        self._run.config.update(plain_settings(settings), allow_val_change=True)  # type: ignore[no-untyped-call]

    def epoch(self, metrics: Mapping[str, Any], epoch: int) -> None:
        """Log the metrics of an epoch."""
        self._run.log({encodable(name): value for name, value in scalars(metrics).items()}, step=epoch)

    def image(self, name: str, picture: Image.Image, epoch: int) -> None:
        """Log a picture."""
        self._run.log({name: self._picture(picture)}, step=epoch)

    def finish(self, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Mark the run as finished."""
        self._finished = True

    def close(self) -> None:
        """End the run; with exit code 1 if it did not reach its end."""
        self._run.finish(exit_code=0 if self._finished else 1)
