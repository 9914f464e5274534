"""The logger of a run, with what it receives before the first epoch: settings, and the views of some images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltray.contact_sheet import sheet_of_run
from ltray.data.dataset import ImageData
from ltray.experiment import Experiment
from ltray.loggers import Logger, new_logger


def begun_logger(
    name: str, folder: Path, settings: Mapping[str, Any], *, experiment: Experiment, data: ImageData | None
) -> Logger:
    """Create the logger of a run, and log its settings and the views of its first stage.

    Args:
        name: A key of `ltray.loggers.LOGGERS`, or a dotted path.
        folder: The run folder.
        settings: The settings to log.
        experiment: The run.
        data: Its data; None: the run continues, and its views were logged before.

    Raises:
        UsageError: See `new_logger`.
    """
    logger = new_logger(name, folder)
    logger.begin(settings, experiment.metric)
    if data and (sheet := sheet_of_run(experiment, data)):
        logger.image("views", sheet, 0)
    return logger
