"""Zip archives of images: unpacked once into the data folder, after every entry was checked."""

import os
import re
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from ltray.data.data_folder import data_folder, make_data_folder
from ltray.data.image_files import is_left_behind
from ltray.errors import UsageError
from ltray.files import check_regular, digest_of, reading, writing
from ltray.printable import printable
from ltray.quantities import file_size

MOST_ENTRIES = 5_000_000
LARGEST_RATIO = 20  # unpacked bytes / bytes of the archive; images and tables of text have a much lower ratio
ALLOWED = 1 << 28  # unpacked bytes for which the ratio is not checked
_ENCRYPTED, _UTF8 = 0x1, 0x800  # bits of an entry's flags
_REMEDY = "get the archive again, or unpack it and give the folder"


def unpacked(archive: Path) -> Path:
    """Return the folder of an archive's files; an archive that was unpacked before is not unpacked again.

    The files that systems create (`__MACOSX`, `._a.png`) are left out. The folder's name contains the archive's digest,
    so that each archive has its own folder.

    Args:
        archive: A zip file.

    Raises:
        UsageError: It is not a zip file, it is damaged or encrypted, an entry is a link or would be outside the folder,
            two entries have the same path, or the unpacked files would be too large.
        CannotWrite: The disk is full.
    """
    check_regular(archive)
    name = re.sub(r"[^A-Za-z0-9]+", "-", archive.stem).strip("-")[:40] or "archive"
    with reading(archive):
        target = data_folder() / "unpacked" / f"{name}-{digest_of(archive)[:16]}"
    if target.is_dir():
        return target
    with reading(archive, "not a readable zip file", remedy=_REMEDY), zipfile.ZipFile(archive) as opened:
        entries = _checked(archive, opened)
        with writing(target):
            _unpack(opened, entries, target)
    return target


def _unpack(opened: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo], target: Path) -> None:
    """Write the entries into a folder next to the target, then rename it."""
    make_data_folder(target.parent)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        for path, entry in entries.items():
            file = temporary / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(entry) as source, file.open("xb") as written:  # reads at most the size that was checked
                shutil.copyfileobj(source, written, 1 << 20)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _checked(archive: Path, opened: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the files to write, by their path below the folder."""
    infos = opened.infolist()
    if len(infos) > MOST_ENTRIES:
        raise UsageError(f"{printable(archive)}: has {len(infos):,} entries; at most {MOST_ENTRIES:,} are unpacked.")
    found: dict[str, zipfile.ZipInfo] = {}
    folded: dict[str, str] = {}
    for info in infos:
        path = _path(archive, info)
        if info.is_dir() or any(map(is_left_behind, path.parts)):
            continue
        _check_kind(archive, info, path)
        known = folded.setdefault(str(path).casefold(), str(path))
        if str(path) in found:
            raise UsageError(f"{printable(archive)}: has two entries `{printable(known)}`; {_REMEDY}.")
        found[str(path)] = info
    if not found:
        raise UsageError(f"{printable(archive)}: contains no files.")
    _check_size(archive, sum(info.file_size for info in found.values()))
    return found


def _path(archive: Path, info: zipfile.ZipInfo) -> PurePosixPath:
    r"""Return the path of an entry relative to the folder; `\` separates folders, as on Windows."""
    name = info.filename
    if not info.flag_bits & _UTF8:  # macOS writes UTF-8 without the flag
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name) or "\0" in name:
        raise UsageError(
            f"{printable(archive)}: the entry `{printable(name)}` would be written outside the folder; do not use this "
            "archive."
        )
    return path


def _check_kind(archive: Path, info: zipfile.ZipInfo, path: PurePosixPath) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise UsageError(
            f"{printable(archive)}: `{printable(str(path))}` is encrypted; unpack the archive with its password and "
            "give the folder."
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind and kind != stat.S_IFREG:
        raise UsageError(
            f"{printable(archive)}: `{printable(str(path))}` is a link or device, not a file; unpack the archive and "
            "give the folder."
        )


def _check_size(archive: Path, size: int) -> None:
    packed = archive.stat().st_size
    if size > ALLOWED and size > LARGEST_RATIO * packed:
        raise UsageError(
            f"{printable(archive)}: has {file_size(packed)}, but {file_size(size)} unpacked, more than {LARGEST_RATIO} "
            "times as much, which is unusual for images. If you trust it, unpack it and give the folder."
        )
    there = next(place for place in (data_folder(), *data_folder().absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise UsageError(
            f"{printable(archive)}: needs {file_size(size)} unpacked, but {there} has {file_size(free)} free; free "
            "some space, or set LTRAY_DATA to a folder on another disk."
        )
