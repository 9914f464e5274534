"""The folder of converted data."""

import os
from pathlib import Path

from ltray.arguments import check_place


def data_folder() -> Path:
    """Return $LTRAY_DATA, or a cache folder of the user."""
    stated = os.environ.get("LTRAY_DATA")
    if stated:
        check_place("LTRAY_DATA", stated)
        return Path(stated).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltray"
