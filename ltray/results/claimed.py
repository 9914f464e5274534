"""Which folders a command may take for a run: none that holds what ltray has not written."""

import os
from fnmatch import fnmatch
from pathlib import Path

from ltray.errors import UsageError
from ltray.printable import encodable, printable
from ltray.run_folder import (
    BEST,
    CONFIG,
    ENVIRONMENT,
    EVALUATION,
    LOCK,
    SYSTEM_FILES,
    check_best_is_ours,
    read_config,
)
from ltray.seal import LIST

# What a command that was killed while it took a folder leaves there.
_BEGUN = (LOCK, ENVIRONMENT, LIST, f".{CONFIG}.*.tmp", f".{ENVIRONMENT}.*.tmp", f".{LIST}.*.tmp")
_NAMED = 3  # files of a foreign folder that the error names


def check_output(folder: Path) -> None:
    """Refuse a folder before anything is written to it.

    Args:
        folder: What `--output` names, or the default. It may be absent, empty, or hold a run.

    Raises:
        UsageError: It is no folder, holds something else than a run, or lies inside a run.
    """
    name = printable(folder)
    if encodable(str(folder.resolve())) != str(folder.resolve()):
        raise UsageError(
            f"{printable(folder.resolve())}: its path holds bytes that are not UTF-8, which Ray and TensorBoard cannot "
            "write to. Name another folder with --output, or rename the one above it."
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{name}: is not a folder. Name another one with --output.")
    for above in folder.resolve().parents:
        if _is_run(above):
            raise UsageError(f"{name}: lies inside the run {printable(above)}. Name another folder with --output.")
    if not folder.is_dir():
        return
    if (folder / CONFIG).exists():
        read_config(folder)
        if not (folder / BEST / EVALUATION).is_file():
            check_best_is_ours(folder)  # files that a user adds to ours matter once it is replaced
        return
    foreign = sorted(p.name for p in folder.iterdir() if not _any(p.name, _BEGUN + SYSTEM_FILES))
    if foreign:
        more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
        listed = ", ".join(printable(one) for one in foreign[:_NAMED])
        raise UsageError(
            f"{name}: is not a run folder: it holds no {CONFIG}, but {listed}{more}. Name an empty or a new folder "
            "with --output."
        )


def _is_run(folder: Path) -> bool:
    """Return whether a folder holds a run; one that cannot be read is taken for none."""
    try:
        config = read_config(folder)
    except (UsageError, OSError):
        return False
    return config is not None and "settings" in config and bool({"workers", "search"} & config.keys())


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
