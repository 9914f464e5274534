"""The preparation of each machine before it reads a .beton: one complete check, or a local copy."""

import dataclasses
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from ltray.data.beton.manifest import Sidecar
from ltray.errors import UsageError
from ltray.files import locking
from ltray.private_folders import make_own
from ltray.quantities import file_size


def local_copy(sidecar: Sidecar) -> Sidecar:
    """Return the checked sidecar of the file that this machine reads.

    If LTRAY_LOCAL is a folder on this machine's disk, the file is copied to it once and compared
    with its digest; this is for clusters with slow shared storage. Otherwise the original file is
    read, and each machine compares its complete digest once.

    Raises:
        UsageError: The file is missing, incomplete, damaged or from another conversion.
    """
    local = os.environ.get("LTRAY_LOCAL")
    if local:
        return _copied(sidecar, Path(local).expanduser())
    _check_once(sidecar)
    return sidecar


def _check_once(sidecar: Sidecar) -> None:
    """Compare a file with its digests: completely when this machine reads it for the first time, later partially.

    Raises:
        UsageError: It is missing, incomplete, damaged or from another conversion.
    """
    sidecar.check()
    stamp = _stamp(sidecar)
    if stamp is None or not stamp.exists():
        sidecar.check(whole=True)
        if stamp is not None:
            stamp.touch()


def _stamp(sidecar: Sidecar) -> Path | None:
    """Return the file that exists if this machine has read the complete .beton file."""
    folder = Path(tempfile.gettempdir()) / f"ltray-{os.getuid()}"
    try:
        make_own(folder)
        known = sidecar.beton.stat()
    except (OSError, UsageError):  # UsageError: another user has created it, and could write there
        return None
    identity = (str(sidecar.beton.resolve()), known.st_size, known.st_mtime_ns, sidecar.sha256)
    return folder / hashlib.sha256(repr(identity).encode()).hexdigest()


def _copied(sidecar: Sidecar, root: Path) -> Sidecar:
    folder = root / f"{sidecar.beton.parent.name}-{sidecar.sha256[:8]}"  # other data may have a folder of the same name
    root.mkdir(parents=True, exist_ok=True)
    try:
        make_own(folder)
    except UsageError as error:
        raise UsageError(f"{error}. Set LTRAY_LOCAL to a folder of your own.") from error
    mine = dataclasses.replace(sidecar, beton=folder / sidecar.beton.name)
    with (folder / ".lock").open("w") as lock:
        with locking(folder / ".lock"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if dataclasses.replace(Sidecar.read(mine.beton), beton=sidecar.beton) == sidecar:
                _check_once(mine)
                return mine
        except UsageError:
            pass  # missing, or from an earlier conversion: copied below
        free = shutil.disk_usage(folder).free
        if free < sidecar.bytes:
            raise UsageError(
                f"LTRAY_LOCAL={root}: {sidecar.beton.name} needs {file_size(sidecar.bytes)}, but only "
                f"{file_size(free)} are free; free some space, or set LTRAY_LOCAL to another disk."
            )
        partial = mine.beton.with_name(f".{mine.beton.name}.partial")
        shutil.copyfile(sidecar.beton, partial)
        os.replace(partial, mine.beton)
        mine.check(whole=True)
        mine.write()
        if (stamp := _stamp(mine)) is not None:
            stamp.touch()
    return mine
