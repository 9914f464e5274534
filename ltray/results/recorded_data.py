"""What a run folder says of the data that its run rests on."""

from pathlib import Path

from ltray.data.beton.store import Check
from ltray.files import read_json, reading
from ltray.run_folder import ENVIRONMENT, read_config


def check_for(folder: Path, *, dry: bool = False) -> tuple[Check, str]:
    """Return how a command opens the data of the run in a folder, and the digest that the data must have.

    Args:
        folder: The run folder, whether a run was begun there or not.
        dry: Whether nothing may be written.

    Raises:
        UsageError: A run was begun there, and what it says of its data cannot be read.
    """
    digest = ""
    if read_config(folder) is not None:
        path = folder / ENVIRONMENT
        with reading(path, "not what ltray.train or ltray.tune writes", remedy="begin a new run in another folder"):
            digest = str(read_json(path)["data_digest"])
    if dry:
        return "look", digest
    return ("compare" if digest else "convert"), digest
