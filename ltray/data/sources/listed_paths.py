"""The paths of the images in list files, which may have been written for another folder or system."""

import os
from collections.abc import Sequence
from pathlib import Path

from ltray.errors import UsageError


def paths_below(root: Path, images: Sequence[str]) -> tuple[str, ...]:
    r"""Return the path of each image.

    A path is relative to the images' folder. A path that begins with a slash is not changed if its folder exists; else
    the slash is removed (Places365). `\` separates folders if no file has it in its name (Windows).
    """
    place, folders = os.fspath(root), dict[str, bool]()
    return tuple(_path(place, image, folders) for image in images)


def check_present(where: str, root: Path, images: Sequence[str], paths: Sequence[str]) -> None:
    """Check the first images of a list, so that a wrong `folder` is reported before anything is read.

    Raises:
        UsageError: None of them exists.
    """
    if any(map(os.path.isfile, paths[:5])):
        return
    if "://" in images[0]:
        raise UsageError(f"{where} lists {images[0]}, which is a URL; download the images and list their files.")
    raise UsageError(
        f"{where} lists {images[0]}, but {paths[0]} does not exist; set `folder` to the folder to which the "
        f"list's paths are relative (now {root})."
    )


def _path(root: str, image: str, folders: dict[str, bool]) -> str:
    """Return one image's path; `folders` caches which folders exist."""
    path = os.path.join(root, image)
    if "\\" in image and not os.path.lexists(path):
        image = image.replace("\\", "/")
        path = os.path.join(root, image)
    if not image.startswith("/"):
        return path
    folder = os.path.dirname(image)
    if folder not in folders:
        folders[folder] = os.path.isdir(folder)
    if folders[folder] and (folder.strip("/") or os.path.lexists(image)):
        return path
    return os.path.join(root, image.lstrip("/"))
