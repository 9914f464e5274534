"""The protocol of loggers, and a logger by its name or dotted path."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from ltray.errors import UsageError, shown
from ltray.files import reason
from ltray.imported import imported, is_dotted_path
from ltray.printable import encodable

# Each logger's class as a dotted path, because importing TensorBoard takes a second.
LOGGERS: Mapping[str, str] = {
    "tensorboard": "ltray.loggers.tensorboard:TensorBoardLogger",
    "mlflow": "ltray.loggers.mlflow:MLflowLogger",
    "wandb": "ltray.loggers.wandb:WandbLogger",
}
PREFIXES = ("loss/", "train/", "val/", "test/", "chosen/")
"""The prefixes of ltray's own metrics; reports of Ray contain times and process ids besides."""


def scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return ltray's own metrics, without the times and process ids that Ray adds."""
    return {name: float(value) for name, value in metrics.items() if name.startswith(PREFIXES)}


def plain_settings(settings: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Return settings with values that every logger can store: sequences become text."""
    return {
        key: value if isinstance(value, bool | int | float) else encodable(str(value))
        for key, value in settings.items()
    }


def missing_package(name: str, package: str) -> UsageError:
    """Return the error for a logger of ltray whose package is not installed; its name is that of the extra."""
    return UsageError(
        f"The logger `{name}` needs the package {package}: install ltray with the extra `{name}` "
        f"(`pip install 'ltray[{name}]'`)."
    )


@runtime_checkable
class Logger(Protocol):
    """Receives the metrics of one run, or of one trial of a search, while it trains; it never changes results.

    One process creates it, with the run folder as the only argument. A continued run creates a new logger, which
    begins at the epoch after the newest checkpoint; an interrupted epoch may be logged again.

    A logger of another package may lack `begin` and `image`: they are not called then.
    """

    def begin(self, settings: Mapping[str, Any], metric: str) -> None:
        """Log the settings of a run that begins or continues; called once, before the first epoch.

        Args:
            settings: The run's settings; for a trial, those that the search explores.
            metric: Key of the metric by which epochs are compared, such as `val/acc_all`; every epoch also has its
                best value so far, `val/acc_all_best`.
        """
        ...

    def image(self, name: str, picture: Image.Image, epoch: int) -> None:
        """Log a picture.

        Args:
            name: What it shows, such as `views`.
            picture: The picture.
            epoch: The epoch that it belongs to, counted over all stages; 0: before the first one.
        """
        ...

    def epoch(self, metrics: Mapping[str, Any], epoch: int) -> None:
        """Log a finished epoch.

        Args:
            metrics: The metrics of the epoch, such as `val/acc_all` (a fraction of 1) and `loss/total`.
            epoch: Its number, counted over all stages, from 1.
        """
        ...

    def finish(self, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        """Log the end of a run that has trained its last epoch, or was stopped early.

        Args:
            settings: The run's settings; for a trial, those that the search explores.
            metrics: The metrics of the last epoch.
        """
        ...

    def close(self) -> None:
        """Release the logger's resources; always called last, even if the run was interrupted or has failed."""
        ...


def check_logger(name: str) -> Callable[[Path], Any]:
    """Return the class or function that creates a logger.

    Args:
        name: A key of `LOGGERS`, or a dotted path: "mypackage.csv_log:CsvLogger".

    Raises:
        UsageError: The dotted path cannot be imported, or is not the path of a function or class.
    """
    found: Callable[[Path], Any] = imported(
        LOGGERS.get(name, name), callable, "a class or a function that takes the run folder and returns a logger"
    )
    return found


def new_logger(name: str, folder: Path) -> Logger:
    """Create a logger for a run folder.

    Args:
        name: A key of `LOGGERS`, or a dotted path.
        folder: The run folder.

    Raises:
        UsageError: It cannot be created, or is not a `Logger`. Its methods raise UsageError if they fail.
    """
    make = check_logger(name)
    if not is_dotted_path(name):
        found: Logger = make(folder)
        return found
    with _naming(name):
        foreign = make(folder)
    if not all(callable(getattr(foreign, method, None)) for method in REQUIRED):
        raise UsageError(
            f"{shown(name)}: must return a logger, with the methods `epoch`, `finish` and `close`, but returned "
            f"{shown(foreign)}."
        )
    return _OfAnotherPackage(name, foreign)


REQUIRED = ("epoch", "finish", "close")
"""The methods that a logger of another package must have."""


class _OfAnotherPackage:
    """A logger whose error messages contain its name.

    Args:
        name: Its dotted path.
        logger: The logger.
    """

    def __init__(self, name: str, logger: Any) -> None:
        self._name, self._logger = name, logger

    def begin(self, settings: Mapping[str, Any], metric: str) -> None:
        if hasattr(self._logger, "begin"):
            with _naming(self._name):
                self._logger.begin(settings, metric)

    def image(self, name: str, picture: Image.Image, epoch: int) -> None:
        if hasattr(self._logger, "image"):
            with _naming(self._name):
                self._logger.image(name, picture, epoch)

    def epoch(self, metrics: Mapping[str, Any], epoch: int) -> None:
        with _naming(self._name):
            self._logger.epoch(metrics, epoch)

    def finish(self, settings: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        with _naming(self._name):
            self._logger.finish(settings, metrics)

    def close(self) -> None:
        with _naming(self._name):
            self._logger.close()


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a logger of another package may raise anything
        raise UsageError(
            f"the logger {shown(name)} failed: {type(error).__name__}: {reason(error)}. Correct it, or run the same "
            "command with another logger to continue."
        ) from error
