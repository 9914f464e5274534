"""The folder of converted data."""

import os
from pathlib import Path

from ltray.arguments import check_place


def data_folder() -> Path:
    """Return $LTRAY_DATA, or a cache folder of the user."""
    given = os.environ.get("LTRAY_DATA")
    if given:
        check_place("LTRAY_DATA", given)
        return Path(given).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltray"
