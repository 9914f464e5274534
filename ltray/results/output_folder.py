"""The folders that a command may use for a run: none that contains files which ltray did not write."""

import os
from fnmatch import fnmatch
from pathlib import Path

from ltray.errors import UsageError
from ltray.model_folder import SYSTEM_FILES
from ltray.printable import encodable, printable
from ltray.run_folder import RunFolder

_NAMED = 3  # number of foreign files that the error lists


def check_output(folder: Path) -> None:
    """Raise an error for an unsuitable folder before anything is written to it.

    Args:
        folder: The folder of `--output`, or the default. It may be missing, empty, or contain a run.

    Raises:
        UsageError: It is not a folder, contains something other than a run, or is inside a run.
    """
    run = RunFolder(folder)
    name = printable(folder)
    if encodable(str(folder.resolve())) != str(folder.resolve()):
        raise UsageError(
            f"{printable(folder.resolve())}: the path contains bytes that are not UTF-8; Ray and "
            "TensorBoard cannot write to it. Use another folder with --output, or rename its parent folder."
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise UsageError(f"{name}: is not a folder. Use another path with --output.")
    for above in folder.resolve().parents:
        if _is_run(above):
            raise UsageError(f"{name}: is inside the run {printable(above)}. Use another folder with --output.")
    if not folder.is_dir():
        return
    if run.config_file.exists():
        run.config()
        if not run.best.evaluation_file.is_file():
            run.best.check_written_by_ltray()  # files that a user added are checked when the folder is replaced
        return
    foreign = sorted(p.name for p in folder.iterdir() if not _any(p.name, (*run.begun, *SYSTEM_FILES)))
    if foreign:
        more = f" and {len(foreign) - _NAMED} more" if len(foreign) > _NAMED else ""
        listed = ", ".join(printable(one) for one in foreign[:_NAMED])
        raise UsageError(
            f"{name}: is not a run folder: it does not contain {run.config_file.name}, but contains {listed}{more}. "
            "Use an empty or a new folder with --output."
        )


def _is_run(folder: Path) -> bool:
    """Return whether a folder contains a run; False if the folder cannot be read."""
    try:
        config = RunFolder(folder).config()
    except (UsageError, OSError):
        return False
    return config is not None and "settings" in config and bool({"workers", "search", "table"} & config.keys())


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
