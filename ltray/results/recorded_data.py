"""The data that the run in a folder was trained on, as recorded there."""

from pathlib import Path

from ltray.data.beton.store import Check
from ltray.files import read_json, reading
from ltray.run_folder import RunFolder


def check_for(folder: Path, *, dry: bool = False) -> tuple[Check, str]:
    """Return how to open the data of the run in a folder, and the digest that the data must have.

    Args:
        folder: The run folder; it may contain no run.
        dry: Whether nothing may be written.

    Raises:
        UsageError: The folder contains a run whose record of the data cannot be read.
    """
    run = RunFolder(folder)
    digest = ""
    if run.config() is not None:
        path = run.environment_file
        with reading(path, "not what ltray.train or ltray.tune writes", remedy="begin a new run in another folder"):
            digest = str(read_json(path)["data_digest"])
    if dry:
        return "look", digest
    return ("compare" if digest else "convert"), digest
