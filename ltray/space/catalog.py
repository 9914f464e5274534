"""The search spaces that are part of ltray: find them by name, list them, copy them."""

import os
from collections.abc import Callable
from pathlib import Path

from rich.table import Table

from ltray.arguments import why_not_local_path
from ltray.errors import UsageError, did_you_mean, shown
from ltray.files import atomic_write, read_text
from ltray.methods.find import find_method
from ltray.settings_file import SettingsFile
from ltray.space.search_space import SearchSpace
from ltray.space.space_file import TABLE

SHIPPED = (Path(__file__).parents[1] / "search_spaces").resolve()  # package data; a symbolic link in the repository
COMMAND = "# python -m ltray.tune "


def known() -> dict[str, Path]:
    """Return every search space by name (`rescom`, `paper/bcl-table1`), including those in ./search_spaces."""
    folders = (SHIPPED, Path("search_spaces"))
    files = [(folder, file) for folder in folders for file in sorted(folder.rglob("*.yaml"))]
    return {str(file.relative_to(folder).with_suffix("")): file for folder, file in files}


def find(path_or_name: str | os.PathLike[str]) -> Path:
    """Return the file of a search space that is given by path or by name.

    Raises:
        UsageError: It is neither a file nor a name; the message suggests the nearest name.
    """
    text = os.fspath(path_or_name)
    if problem := why_not_local_path(text):
        raise UsageError(f"search space: {shown(text)} {problem}.")
    if Path(text).exists() and not Path(text).is_dir():
        return Path(text)
    files = known()
    if text in files:
        return files[text]
    hint = did_you_mean(text.removesuffix(".yaml").removeprefix("search_spaces/"), files)
    raise UsageError(f"{text}: no such file, and no search space of this name in {SHIPPED}.{hint}")


def is_table(path: Path) -> bool:
    """Return whether a file defines a paper's table; False for a file that cannot be read."""
    try:
        return TABLE in SettingsFile.read(path).values
    except UsageError:
        return False


def listing(row_of_table: Callable[[Path], tuple[str, str, str, str]]) -> Table:
    """Return a table of the search spaces: methods, data set, explored knobs and purpose of each.

    Args:
        row_of_table: Returns the cells of a file that defines a paper's table.
    """
    table = Table()
    for heading in ("name", "methods", "data set", "explores", "description"):
        table.add_column(heading, no_wrap=heading == "name")
    for name, path in known().items():
        table.add_row(name, *(row_of_table(path) if is_table(path) else _row(path)))
    return table


def _row(path: Path) -> tuple[str, str, str, str]:
    space = _read(path)
    explored = f"{len(space.rows)} rows" if space.rows else f"{len(space.dimensions)} knobs"
    methods = " | ".join(", ".join(alternative.methods) for alternative in space.alternatives)
    return methods, space.base.dataset.name, explored, description(path)


def _read(path: Path) -> SearchSpace:
    file = SettingsFile.read(path)
    # A space for a method that continues from a run is read without that run.
    listed = file.values.get("methods")
    follows = isinstance(listed, list) and bool(listed) and find_method(listed[0]).needs_network
    return SearchSpace.read(path, {"start": "RUN"} if follows else {})


def description(path: Path) -> str:
    """Return the comment below the command in a file's first line, or ""."""
    lines = read_text(path).splitlines()
    comments = [line.removeprefix("#").strip() for line in lines[:2] if line.startswith("#")]
    return comments[1] if len(comments) > 1 and lines[0].startswith(COMMAND) else ""


def copy(name: str, target: Path | None, *, overwrite: bool) -> Path:
    """Copy a search space; the command in its first line contains the name of the copy.

    Args:
        name: A name or path.
        target: File or folder; None: the working folder.
        overwrite: Whether an existing file is replaced.

    Returns:
        The new file.

    Raises:
        UsageError: The space does not exist, or the target file already exists.
    """
    source = find(name)
    target = target or Path()
    if target.is_dir():
        target = target / source.name
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: exists already. Use another file name, or --overwrite to replace it.")
    if not is_table(source):
        _read(source)  # do not copy a file that is not a search space
    first, _, rest = read_text(source).partition("\n")
    if first.startswith(COMMAND):
        arguments = first.removeprefix(COMMAND).split(" ")
        first = COMMAND + " ".join([str(target), *arguments[1:]])
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder.")
    atomic_write(target, f"{first}\n{rest}")
    return target
