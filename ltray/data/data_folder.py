"""The folder of converted data."""

import os
from pathlib import Path

from ltray.arguments import check_place
from ltray.private_folders import make_private


def data_folder() -> Path:
    """Return $LTRAY_DATA, or a cache folder of the user."""
    given = os.environ.get("LTRAY_DATA")
    if given:
        check_place("LTRAY_DATA", given)
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltray"


def make_data_folder(folder: Path) -> None:
    """Create a folder of data and those above it.

    If it is new, only its owner can read it; in the data folder this applies to the data folder as a whole.

    Args:
        folder: The folder.

    Raises:
        OSError: It cannot be created.
    """
    top = data_folder()
    make_private(top if folder.absolute().is_relative_to(top) else folder)
    folder.mkdir(parents=True, exist_ok=True)
