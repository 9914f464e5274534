"""State of the run folders of a published row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltray.errors import UsageError
from ltray.experiment import OBJECTIVE
from ltray.metrics import PLANNED_EPOCHS
from ltray.quantities import plural
from ltray.recorded_settings import recorded_settings
from ltray.reproduction.row import SEED, PublishedRow, folder_of_seed
from ltray.run_folder import RunFolder

NOT_BEGUN = "not begun"


@dataclass(frozen=True)
class RowProgress:
    """The run of one seed.

    Attributes:
        folder: Its run folder.
        epoch: Epochs that are done, over all stages; 0 before the first.
        planned: Epochs of the complete run; 0 if not known yet.
        begun: Whether the folder contains a run.
        finished: Whether it has been evaluated on the test images.
        running: Whether a command uses the folder now.
    """

    folder: Path
    epoch: int = 0
    planned: int = 0
    begun: bool = False
    finished: bool = False
    running: bool = False

    @classmethod
    def read(cls, folder: Path) -> "RowProgress":
        """Read the state of a run folder.

        Raises:
            UsageError: A file of it is damaged.
        """
        run = RunFolder(folder)
        if run.config() is None:
            return cls(folder, running=bool(run.holder()))
        last = (run.history() or [{}])[-1]
        return cls(
            folder,
            int(last.get("total_epochs", 0)),
            int(last.get(PLANNED_EPOCHS, 0)),
            True,
            run.best.evaluation() is not None,
            bool(run.holder()),
        )

    @property
    def text(self) -> str:
        """The state in words: "not begun", "epoch 24 of 200", "running, epoch 24 of 200", "done"."""
        if self.finished:
            return "done"
        if not self.begun:
            return "starting" if self.running else NOT_BEGUN
        epochs = f"epoch {self.epoch} of {self.planned}" if self.epoch else "before the end of its first epoch"
        return f"running, {epochs}" if self.running else epochs


def state_of(row: PublishedRow) -> str:
    """Return the state of a row's run folders in its default folder, as text.

    Folders of further seeds are those next to that of the first seed.
    """
    try:
        runs = [RowProgress.read(folder) for folder in folders_of(row)]
    except (UsageError, OSError) as error:
        return str(error)
    unfinished = [run for run in runs if not run.finished]
    if not unfinished:
        return f"done ({plural(len(runs), 'seed')})"
    done = f"{plural(len(runs) - len(unfinished), 'seed')} done; " if len(unfinished) < len(runs) else ""
    return done + unfinished[0].text


def folders_of(row: PublishedRow) -> list[Path]:
    """Return the run folders of a row in its default place: that of the first seed, and those of further seeds."""
    further = row.folder.parent.glob(f"{row.folder.name}-{SEED}*")
    numbered = [(int(suffix), path) for path in further if (suffix := path.name.rpartition(SEED)[2]).isdecimal()]
    return [row.folder, *(path for _, path in sorted(numbered))]


def is_finished(row: PublishedRow, folder: Path, seed: int) -> bool:
    """Return whether a folder contains the finished run of a row; a run with other settings is not."""
    evaluation = RunFolder(folder).best.evaluation()
    if evaluation is None:
        return False
    return _comparable(evaluation["settings"]) == _comparable(row.experiment.settings() | {SEED: seed})


def _comparable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings without the objective, which a run determines from its data."""
    return {name: value for name, value in recorded_settings(settings).items() if name != OBJECTIVE}


def folders_of_seeds(row: PublishedRow, folder: Path | None, seeds: Sequence[int]) -> dict[int, Path]:
    """Return the run folder of each seed.

    Args:
        row: The row.
        folder: The folder of the first seed; None: the row's default folder.
        seeds: The seeds, in order.
    """
    return {seed: folder_of_seed(folder or row.folder, seeds, seed) for seed in seeds}
