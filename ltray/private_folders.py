"""Folders that other users of the machine cannot read."""

import os
import stat
from pathlib import Path

from ltray.errors import UsageError
from ltray.printable import printable

PRIVATE = 0o700


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can read; an existing folder keeps its permissions.

    To share it with others, create it before, or change its permissions afterwards. Missing folders above it get the
    permissions of the process's umask.

    Args:
        folder: The folder.

    Raises:
        OSError: It cannot be created, or is a file.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=PRIVATE, exist_ok=True)


def make_own(folder: Path) -> None:
    """Create a private folder whose name others can know, where others may also create files, such as in /tmp.

    An existing folder is used only if this user owns it, and is made private; a link to a folder is not followed.

    Args:
        folder: The folder; that above it must exist.

    Raises:
        UsageError: It belongs to another user, or is a link or a file.
        OSError: It cannot be created.
    """
    try:
        folder.mkdir(mode=PRIVATE)
    except FileExistsError:
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise UsageError(f"{printable(folder)}: belongs to another user, or is not a folder") from None
    folder.chmod(PRIVATE)  # also against a umask that removes the owner's rights
