"""The ledger of a run folder: every look at its test images, and the purpose.

Repeated looks at a test set become a selection on it. Therefore looks are counted for the complete search, not for
each checkpoint: the evaluation of the best trial, the finalists together, each `ltray.evaluate --test`. An evaluation
that is declared before it begins is one look, for any number of models: the finalists, or all epochs with
`protocol: paper`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ltray.experiment import Experiment
from ltray.files import is_there
from ltray.model_folder import ModelFolder
from ltray.run_folder import RunFolder
from ltray.seal import append_sealed, read_lines, read_sealed

LOOK = "test_look"  # key of the look's number in `evaluation.json`
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Look:
    """One look at the test images.

    Attributes:
        what: The evaluated model or models: "trial 7, epoch 20", "finalists: 4 settings x 5 runs".
        time: The time of the look, in ISO 8601 with the time zone; "" if an earlier version of ltray did not record it.
    """

    what: str
    time: str


_OLD = Look("the model in best/", "")


def looks(folder: Path) -> list[Look]:
    """Return the looks of a run folder, oldest first.

    A run folder of an earlier version has no ledger: its last evaluation counts as one look, or as the number
    of evaluations of the model in `best/` that it recorded.

    Raises:
        UsageError: The ledger is damaged.
    """
    run = RunFolder(folder)
    found = [Look(str(line["what"]), str(line["time"])) for line in read_lines(run.looks_file)]
    for place in (folder, run.best.path):
        if not found and is_there(ModelFolder(place).test_reads_file):
            found = [_OLD] * int(read_sealed(ModelFolder(place).test_reads_file).get("reads", 1))
        if not found and is_there(ModelFolder(place).evaluation_file):
            found = [_OLD]
    return found


def note_look(folder: Path, what: str) -> int:
    """Add a look to the ledger; return its number, from 1."""
    run = RunFolder(folder)
    found = looks(folder)
    if not is_there(run.looks_file):
        for look in found:
            append_sealed(run.looks_file, asdict(look))
    append_sealed(run.looks_file, asdict(Look(what, datetime.now(UTC).isoformat(timespec="seconds"))))
    return len(found) + 1


def declare_look(folder: Path, what: str) -> int:
    """Return the number of the look with this description; add it if it is new (a continued run has one look)."""
    for number, look in enumerate(looks(folder), start=1):
        if look.what == what:
            return number
    return note_look(folder, what)


def declare_end_of(folder: Path, experiment: Experiment, what: str) -> int:
    """Declare the evaluation at the end of a run or search; return the number of the look that it is part of.

    With `protocol: paper` this is the look of all epochs, because each epoch was compared on test images.

    Args:
        folder: The run folder.
        experiment: The experiment of the run, or the common part of all trials.
        what: The evaluated model: "trial 7, epoch 20".
    """
    selected = "protocol paper: every epoch is compared on test images"
    return declare_look(folder, selected if experiment.selection == "test" else what)


def run_of(checkpoint: Path) -> Path:
    """Return the run folder that contains a checkpoint, or the checkpoint's own folder if there is none.

    The outermost run folder is returned, because trials and finalists are parts of their search.

    Args:
        checkpoint: Folder of a checkpoint.
    """
    runs = [folder for folder in (checkpoint, *checkpoint.resolve().parents) if RunFolder(folder).config_file.is_file()]
    return runs[-1] if runs else checkpoint


def ordinal(number: int) -> str:
    """Return a number as text: first, second, and so on."""
    if number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def describe_look(number: int) -> str:
    """Return the description of a look that is printed with a test metric.

    Args:
        number: Number of the look, from 1.
    """
    text = f"{ordinal(number)} look at the test images"
    return text if number == 1 else f"{text}: do not use it to choose anything"


def number_of(evaluation: Mapping[str, Any]) -> int:
    """Return the number of the look that an `evaluation.json` records; 1 if an earlier version wrote it."""
    return int(evaluation.get(LOOK, 1))
