"""The given files of a run (data, checkpoint, file of weights), which are identified by content, not by path."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ltray.data.definition import PLACES
from ltray.engine.checkpoint import FILE_NAME
from ltray.errors import UsageError
from ltray.files import digest_of, reading
from ltray.printable import printable

GIVEN_FILES = "given_files"  # in `config.yaml`: SHA-256 by setting
_FILE_OF = {"start": FILE_NAME, "weights": ""}  # the file of a setting's path: a file in that folder, or the path


def recorded_files(settings: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return the record in `config.yaml` of the existing files in a run's settings; {} if there are none.

    Raises:
        UsageError: A file cannot be read.
    """
    found = {}
    for name, inside in _FILE_OF.items():
        path = Path(settings.get(name) or "/") / inside
        if path.is_file():
            with reading(path):
                found[name] = digest_of(path)
    return {GIVEN_FILES: found} if found else {}


def reconciled(
    folder: Path, known: Mapping[str, Any], config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two configurations of a run that differ in the path of a given file only if its content differs.

    Args:
        folder: The run folder, for the error.
        known: Its configuration.
        config: The configuration of the command, with the current paths.

    Returns:
        `known` with the paths of `config`, and `config` with the digests of files that were removed later.

    Raises:
        UsageError: A file's content has changed since the start of the run.
    """
    before, now = known.get(GIVEN_FILES, {}), config.get(GIVEN_FILES, {})
    there = dict(known)
    for name in before.keys() & now.keys():
        place = config["settings"][name]
        if before[name] != now[name]:
            raise UsageError(
                f"{printable(folder)}: contains a run that was started with a different content of `{name}`: "
                f"{printable(place)} has changed. Restore the file, or use another folder with --output."
            )
        there = _replaced(there, known["settings"][name], place)
    digests = {**before, **now}  # a run of an earlier version recorded none: its paths are compared
    return (there | {GIVEN_FILES: digests}, {**config, GIVEN_FILES: digests}) if digests else (there, dict(config))


def at_new_places(known: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's configuration with a command's paths of its data set, whose digest is the same.

    Args:
        known: The configuration in the run folder.
        config: The configuration of the command.
    """
    there: Any = dict(known)
    for key in (f"dataset.{name}" for name in PLACES):
        before, now = known["settings"].get(key), config["settings"].get(key)
        if before is not None and now is not None:
            there = _replaced(there, before, now, key)
    return dict(there)


def _replaced(content: Any, old: str, new: str, key: str = "") -> Any:
    """Return a configuration with a value replaced: as the value of one key, or ("") everywhere."""
    if isinstance(content, dict):
        return {
            name: new if value == old and key in ("", name) else _replaced(value, old, new, key)
            for name, value in content.items()
        }
    if isinstance(content, list):
        return [_replaced(value, old, new, key) for value in content]
    return new if content == old and not key else content
