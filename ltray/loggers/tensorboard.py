"""TensorBoard: scalars by epoch, pictures, and a run's settings with its best value on the HParams page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ltray.loggers.logger import plain_settings, scalars


class TensorBoardLogger:
    """Writes one run's event file.

    Args:
        folder: The folder of the event file; `tensorboard --logdir` with any parent folder shows it.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder))

    def begin(self, settings: Mapping[str, Any], best: str) -> None:
        """Add the settings to the HParams page, which shows the newest value of the scalar `best` beside them."""
        # `add_hparams` would write the value as a chart of one point. The third summary marks the end of a run.
        experiment, start, _ = hparams(plain_settings(settings), {best: 0.0})  # type: ignore[no-untyped-call]
        for summary in (experiment, start):
            self._writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]
        self._writer.flush()

    def epoch(self, metrics: Mapping[str, Any], epoch: int) -> None:
        """Add the scalars of an epoch, counted over all stages."""
        for name, value in scalars(metrics).items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def image(self, name: str, picture: Image.Image, epoch: int) -> None:
        """Add a picture."""
        self._writer.add_image(name, np.asarray(picture.convert("RGB")), epoch, dataformats="HWC")
        self._writer.flush()

    def finish(self, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Mark the run as successful on the HParams page."""
        self._writer.file_writer.add_summary(hparams({}, {})[2])  # type: ignore[attr-defined, no-untyped-call]

    def close(self) -> None:
        """Write the remaining events, and close the file."""
        self._writer.close()
