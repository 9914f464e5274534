"""The files in a folder that are images of a user: one rule for all commands.

Tools and operating systems create files in folders, and some of these files are images (previews,
deleted files, the `._` files of macOS). They are ignored at any depth, and so are hidden files.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ltray.errors import UsageError
from ltray.files import reason
from ltray.printable import printable

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif"),
    *(".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif"),
)
"""Suffixes of image files, in lower case; the suffix of a file may be in upper or lower case."""

LEFT_BEHIND = frozenset(
    (
        "lost+found",  # ext4
        *("$recycle.bin", "recycler", "recycled", "system volume information", "found.000"),  # Windows
        *("__macosx", "network trash folder", "temporary items"),  # macOS
        *("@eadir", "@recycle", "#recycle", "#snapshot", "@recently-snapshot", "@tmp"),  # Synology and QNAP
        *("__pycache__", "node_modules"),
    )
)
"""Folders that systems and tools create, in lower case; also every name that begins with a dot."""
_SYSTEM_FILES = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon\r", "desktop db", "desktop df")
)


def is_image(name: str | os.PathLike[str]) -> bool:
    """Return whether a file is an image, by its name."""
    return os.fspath(name).lower().endswith(SUFFIXES)


def is_left_behind(name: str) -> bool:
    """Return whether a folder or file is hidden, or was created by a system or tool."""
    return name.startswith(".") or name.lower() in LEFT_BEHIND or name.lower() in _SYSTEM_FILES


@dataclass
class Contents:
    """The content of a folder, at any depth.

    Attributes:
        images: Paths of the images, sorted.
        others: Number of files of other kinds, by suffix in lower case.
        left: Number of ignored folders of systems and tools, by name; hidden folders are not counted.
    """

    images: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, folder: Path) -> "Contents":
        """List a folder, also through links to folders; each folder once.

        Raises:
            UsageError: A folder cannot be read.
        """
        found = cls()
        for path in _files(folder, found.left):
            if is_image(path):
                found.images.append(path)
            else:
                found.others[os.path.splitext(path)[1].lower() or "without a suffix"] += 1
        found.images.sort()
        return found


def holds_images(folder: Path, *, itself: bool = False) -> bool:
    """Return whether there is an image in a folder or, unless `itself`, in a folder below it.

    Raises:
        UsageError: A folder cannot be read.
    """
    waiting, seen = [os.fspath(folder)], set()
    while waiting:
        here = waiting.pop()
        seen.add(os.path.realpath(here))
        for name, is_folder in _entries(here):
            if not is_left_behind(name):
                path = os.path.join(here, name)
                if not is_folder and is_image(name):
                    return True
                if is_folder and not itself and os.path.realpath(path) not in seen:
                    waiting.append(path)
    return False


def images_in(folder: Path) -> list[str]:
    """Return the names of the images directly in a folder, sorted."""
    return sorted(
        name for name, is_folder in _entries(folder) if is_image(name) and not is_folder and not is_left_behind(name)
    )


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name, without those that systems and tools created.

    Raises:
        UsageError: It cannot be read.
    """
    return sorted(folder / name for name, is_folder in _entries(folder) if is_folder and not is_left_behind(name))


def left_in(folder: Path) -> list[str]:
    """Return the names of the folders that a system or tool created in a folder, without hidden folders."""
    names = (name for name, is_folder in _entries(folder) if is_folder and is_left_behind(name))
    return sorted(name for name in names if not name.startswith("."))


def image_files(paths: list[Path]) -> list[Path]:
    """Return the given files, and all images below each given folder in the order of their paths."""
    found: list[Path] = []
    for path in paths:
        found += map(Path, Contents.of(path).images) if path.is_dir() else [path]
    return found


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return an image's file.

    Raises:
        OSError: It cannot be read, or is not a regular file: reading a pipe could block forever.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError("not a file")
    return Path(path).read_bytes()


def _entries(folder: str | Path) -> Iterator[tuple[str, bool]]:
    """Yield the entries of a folder: the name, and whether it is a folder or a link to a folder."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # `entry.is_dir()` raises for a circular link, and for one whose target must not be accessed.
                yield entry.name, os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
    except OSError as error:
        raise _unreadable(error) from error


def _files(folder: Path, left: Counter[str]) -> Iterator[str]:
    """Yield the files below a folder, each folder once; counts the ignored ones in `left`."""
    seen = set()
    for here, below, names in os.walk(folder, followlinks=True, onerror=_refuse):
        place = os.path.realpath(here)
        if place in seen:  # a circular link
            below.clear()
            continue
        seen.add(place)
        left.update(name for name in below if is_left_behind(name) and not name.startswith("."))
        below[:] = sorted(name for name in below if not is_left_behind(name))
        yield from (os.path.join(here, name) for name in sorted(names) if not is_left_behind(name))


def _refuse(error: OSError) -> None:
    raise _unreadable(error) from error


def _unreadable(error: OSError) -> UsageError:
    place = printable(str(error.filename))
    return UsageError(f"{place}: cannot be read: {reason(error)}; it may contain images, so fix its permissions.")
