"""TensorBoard: scalars by epoch, and a run's settings with its final metrics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from ltray.metrics import COUNTED
from ltray.printable import encodable

PREFIXES = ("loss/", "train/", "val/", "test/", "chosen/")


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return ltray's own metrics, without the times and process ids that Ray adds."""
    return {name: float(value) for name, value in metrics.items() if name.startswith(PREFIXES)}


class TensorBoardLogger:
    """Writes one run's event file.

    Args:
        folder: The folder of the event file; `tensorboard --logdir` with any parent folder shows it.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder))

    def epoch(self, metrics: Mapping[str, Any], epoch: int) -> None:
        """Add the scalars of an epoch, counted over all stages."""
        for name, value in scalars(metrics).items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def finish(self, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Add the settings to the HParams page, with the last value of each metric."""
        plain = {k: v if isinstance(v, bool | int | float) else encodable(str(v)) for k, v in settings.items()}
        final = {name: value for name, value in scalars(metrics).items() if _is_result(name)}
        # `add_hparams` would write the final values as charts of one point each.
        for summary in hparams(plain, final):  # type: ignore[no-untyped-call]
            self._writer.file_writer.add_summary(summary)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Write the remaining events, and close the file."""
        self._writer.close()


def _is_result(name: str) -> bool:
    """Return whether a scalar is a metric of a split, or its best value."""
    return name.partition("/")[2].removesuffix("_best") in COUNTED
