"""The file of a study: it is opened in any folder, and an error explains why it cannot be used."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import optuna
import sqlalchemy

from ltray.errors import UsageError
from ltray.files import check_regular, reading, reason
from ltray.printable import encodable, printable

LOCKED_FOR = 60.0  # seconds that a write waits for a lock of another process, such as a viewer
_FIRST_TABLES = {"studies", "version_info"}  # tables of Optuna; a command that was killed may have created only these
_USABLE = "restore it from a copy; results.parquet, history.parquet and best/ can be used without it"


def url_of(path: Path) -> str:
    """Return the SQLAlchemy URL of a database file; its path may contain any characters.

    Such a URL cannot contain bytes that are not UTF-8; they are escaped as in `printable`.
    """
    return sqlalchemy.engine.URL.create("sqlite", database=encodable(str(path))).render_as_string()


def open_database(path: Path) -> optuna.storages.RDBStorage:
    """Open a study's database, or create it.

    Raises:
        UsageError: The file is damaged, locked, read-only, not a study, or from a newer version of Optuna.
    """
    path = Path(os.path.abspath(path))
    if path.exists() and path.stat().st_size:
        _check(path)

    def connect() -> sqlite3.Connection:  # not every path can be in a URL
        return sqlite3.connect(path, timeout=LOCKED_FOR, check_same_thread=False)

    with reporting_errors(path), reading(path, "cannot be opened as a study"):
        return optuna.storages.RDBStorage(url_of(path), engine_kwargs={"creator": connect})


def _check(path: Path) -> None:
    check_regular(path)
    with reporting_errors(path), closing(sqlite3.connect(path, timeout=LOCKED_FOR)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        faults = [text for (text,) in database.execute("PRAGMA integrity_check(1)") if text != "ok"]
    if faults:
        raise UsageError(f"{printable(path)}: is damaged: {reason(ValueError(faults[0]))}; {_USABLE}.")
    if tables and not tables & _FIRST_TABLES:
        raise UsageError(f"{printable(path)}: is an SQLite database, but not a study of Optuna.")


def only_study(storage: optuna.storages.BaseStorage, path: Path) -> str | None:
    """Return the name of the study in a file, even if its folder has been renamed; None for an empty file.

    Raises:
        UsageError: The file contains several studies.
    """
    with reporting_errors(path):
        names = [study.study_name for study in storage.get_all_studies()]
    if len(names) > 1:
        raise UsageError(f"{printable(path)}: contains {len(names)} studies, but a search has exactly one.")
    return names[0] if names else None


@contextmanager
def reporting_errors(path: Path) -> Iterator[None]:
    """Replace any error of the database in the block with a message that contains its file.

    Raises:
        UsageError: The database could not be read or written.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        cause = _database_error(error)
        if cause is None:
            raise
        raise UsageError(f"{printable(path)}: {_problem(cause)}.") from error


def _database_error(error: BaseException | None) -> BaseException | None:
    """Return the innermost error of the database that caused an error, or None."""
    found, seen = None, set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, sqlite3.Error | sqlalchemy.exc.SQLAlchemyError | optuna.exceptions.StorageInternalError):
            found = error
        error = error.__cause__ or error.__context__
    return found


def _problem(error: BaseException) -> str:
    text = reason(error)
    if "locked" in text:
        return (
            f"another process has locked it for more than {LOCKED_FOR:.0f} s: end that process, then run the same "
            "command to continue"
        )
    if "readonly" in text:
        return "cannot be written: fix its permissions, or those of its folder"
    if "full" in text:
        return "cannot be written: the disk is full; free some space, then run the same command to continue"
    return f"cannot be used as a study: {text}; {_USABLE}"
