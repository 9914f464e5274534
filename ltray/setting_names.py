"""The names of a run's settings, and conversion of their values to the declared types."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ltray.data.definition import DatasetDefinition
from ltray.methods.find import methods_by_name
from ltray.run_settings import RunSettings
from ltray.settings import full_keys, plain
from ltray.stage import Method
from ltray.typed import as_type

DATASET, METHOD_LIST = "dataset", "methods"
RUN_SETTINGS = (DATASET, METHOD_LIST, *RunSettings.specs())


def typed_setting(key: str, value: Any, methods: Mapping[str, Method]) -> Any:
    """Return a setting in its declared type, and check its range.

    Args:
        key: The full name: `seed`, `dataset.image_size`, `bcl.temperature`.
        value: The value from a file or a command line.
        methods: The methods to which it may belong, by name.

    Raises:
        UsageError: It has a wrong type, or is outside the legal range.
    """
    owner, _, name = key.rpartition(".")
    if owner == DATASET:
        return plain(DatasetDefinition.check_value(name, value))
    if owner:
        return plain(methods[owner].knobs.check_value(name, value))
    return as_type(key, str, value) if key == DATASET else RunSettings.check_value(key, value)


def setting_names(methods: Iterable[Method]) -> dict[str, list[str]]:
    """Return the names of settings by owner, for `ltray.settings.full_key`."""
    owners = {"": list(RUN_SETTINGS), "dataset": [n for n in DatasetDefinition.specs() if n != "name"]}
    return owners | {method.name: list(method.knobs.specs()) for method in methods}


def complete_keys(given: Mapping[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    """Return the settings with bare knob names (`epochs`) written in full (`bcl.epochs`), in their declared types.

    Args:
        given: Settings by name.
        methods: Names or dotted paths of the methods.

    Raises:
        UsageError: A name is unknown or given twice, or a value is illegal.
    """
    known = methods_by_name(methods)
    found = full_keys(given, setting_names(known.values()))
    return {key: value if key == METHOD_LIST else typed_setting(key, value, known) for key, value in found.items()}


def distinct_headings(names: Mapping[str, str]) -> dict[str, str]:
    """Return a column heading for each setting, by its full name; a method's name distinguishes equal headings.

    Args:
        names: A short name or symbol of each setting, by its full name.
    """
    given = list(names.values())
    return {key: f"{key.partition('.')[0]} {name}" if given.count(name) > 1 else name for key, name in names.items()}
