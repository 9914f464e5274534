"""TensorBoard: scalars by epoch, pictures, and a run's settings with its best value on the HParams page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ltray.loggers.logger import plain_settings, scalars
from ltray.metrics import COUNTED


class TensorBoardLogger:
    """Writes one run's event file.

    Args:
        folder: The folder of the event file; `tensorboard --logdir` with any parent folder shows it.
    """

    def __init__(self, folder: Path) -> None:
        self._writer, self._metric = SummaryWriter(str(folder)), ""

    def begin(self, settings: Mapping[str, Any], metric: str) -> None:
        """Add the settings to the HParams page, with the metrics of the best epoch so far."""
        self._metric = metric
        tags = {f"best/{key}": 0.0 for key in COUNTED}
        # `add_hparams` would write the values as charts of one point. The third summary marks the end of a run.
        experiment, start, _ = hparams(plain_settings(settings), tags)  # type: ignore[no-untyped-call]
        for summary in (experiment, start):
            self._writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]
        self._writer.flush()

    def epoch(self, metrics: Mapping[str, Any], epoch: int) -> None:
        """Add the scalars of an epoch, counted over all stages; those of the best epoch as `best/…` as well."""
        for name, value in (scalars(metrics) | self._best(metrics)).items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def image(self, name: str, picture: Image.Image, epoch: int) -> None:
        """Add a picture."""
        self._writer.add_image(name, np.asarray(picture.convert("RGB")), epoch, dataformats="HWC")
        self._writer.flush()

    def finish(self, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Mark the run as successful on the HParams page."""
        self._writer.file_writer.add_summary(hparams({}, {})[2])  # type: ignore[attr-defined, no-untyped-call]

    def _best(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """Return the metrics of this epoch if it is the best so far; the HParams page shows the newest values."""
        value = metrics.get(self._metric)
        if value is None or value < metrics[f"{self._metric}_best"]:
            return {}
        prefix = self._metric.partition("/")[0]
        return {f"best/{key}": metrics[f"{prefix}/{key}"] for key in COUNTED if f"{prefix}/{key}" in metrics}

    def close(self) -> None:
        """Write the remaining events, and close the file."""
        self._writer.close()
