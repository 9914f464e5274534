"""Where converted data lie."""

import os
from pathlib import Path


def data_folder() -> Path:
    """Return $LTRAY_DATA, or a cache folder of the user."""
    stated = os.environ.get("LTRAY_DATA")
    if stated:
        return Path(stated).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ltray"
