"""The settings that a user gives for a complete table, in the rows that have them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ltray.errors import UsageError, shown
from ltray.methods.find import methods_by_name
from ltray.recipe import Recipe
from ltray.setting_names import DATASET, METHOD_LIST, setting_names, typed_setting
from ltray.settings import full_key, note_once
from ltray.stage import Method

EPOCHS = "epochs"
FIXED = {
    METHOD_LIST: "the methods are those of the rows",
    "start": "the first method of a row trains a new network",
    "objective": "the papers compare accuracies",
}
"""Settings that the rows of a table determine, and the reason."""
WITHOUT_SEARCH = ("search", "stop", "finalists")
"""Blocks of a search space without an effect on a table, whose rows are all trained to their end."""


class OwnSettings:
    """Settings of a file or a command line for all rows of a table.

    Args:
        given: The settings: names in full, or bare names of knobs.
        where: Place of the settings for messages: "file: ", or "".

    Raises:
        UsageError: A setting cannot be set for a table.
    """

    def __init__(self, given: Mapping[str, Any], where: str = "") -> None:
        for key, value in given.items():
            if key in FIXED:
                raise UsageError(f"{where}`{key}` cannot be set for a table, but got {shown(value)}: {FIXED[key]}.")
            if key.partition(".")[0] in WITHOUT_SEARCH:
                raise UsageError(
                    f"{where}`{key}` has no effect on a table: each row is trained to its end, on `--seeds` seeds."
                )
        self._given, self._where = dict(given), where
        self._used: set[str] = set()

    def of(self, methods: Iterable[str]) -> dict[str, Any]:
        """Return the settings that a row with these methods has, by full name, in their declared types.

        A bare knob that every method has, such as `epochs`, is that of the row's first method.

        Raises:
            UsageError: A value is illegal, a setting is given twice, or a bare name could be that of several methods.
        """
        known = methods_by_name(methods)
        owners = setting_names(known.values())
        found: dict[str, Any] = {}
        written: dict[str, str] = {}
        for key, value in self._given.items():
            full = _full(key, known, owners)
            if full is None:
                continue
            self._used.add(key)
            note_once(written, full, key, self._where)
            found[full] = typed_setting(full, value, known)
        return found

    def over(self, other: "OwnSettings") -> "OverSettings":
        """Return both, these in place of the other ones."""
        return OverSettings(self, other)

    def check_used(self, methods: Iterable[str]) -> None:
        """Check that every setting is one of some row.

        Args:
            methods: The methods of all rows.

        Raises:
            UsageError: One is not; the message contains the nearest name.
        """
        owners = setting_names(methods_by_name(methods).values())
        for key in self._given.keys() - self._used:
            try:
                full_key(key, owners)
            except UsageError as error:
                raise UsageError(f"{self._where}{error}") from error


@dataclass(frozen=True)
class OverSettings:
    """Settings that replace others.

    Attributes:
        first: They replace those of `second`.
        second: The others.
    """

    first: OwnSettings
    second: OwnSettings

    def of(self, methods: Iterable[str]) -> dict[str, Any]:
        """Return the settings of a row; see `OwnSettings.of`."""
        methods = list(methods)
        return self.second.of(methods) | self.first.of(methods)


def _full(key: str, known: Mapping[str, Method], owners: Mapping[str, Iterable[str]]) -> str | None:
    """Return the full name of a key in a row; None if the row does not have it."""
    if key in Recipe.specs():
        return f"{next(iter(known))}.{key}"
    owner, _, name = key.rpartition(".")
    if owner:
        return key if name in owners.get(owner, ()) else None
    count = sum(name in names for names in owners.values())
    return full_key(key, owners) if count else None


def with_own(row: Mapping[str, Any], own: Mapping[str, Any], methods: Iterable[str]) -> dict[str, Any]:
    """Return the settings of a row with those of the user in their place.

    If the user sets the epochs, the row's other settings that count epochs keep their shares of the run.

    Args:
        row: The row's settings, by full name; `epochs` among them if others count epochs.
        own: The user's settings, by full name.
        methods: The row's methods.
    """
    found = dict(row)
    for name, method in methods_by_name(methods).items():
        key = f"{name}.{EPOCHS}"
        if not own.get(key):
            continue
        counting = [knob for knob, spec in method.knobs.specs().items() if spec.in_epochs and f"{name}.{knob}" in row]
        if counting:
            values = {knob: row[f"{name}.{knob}"] for knob in (*counting, EPOCHS) if f"{name}.{knob}" in row}
            shorter = method.knobs.resolve("", values, complete=True).shortened(own[key]).as_dict()
            found |= {f"{name}.{knob}": shorter[knob] for knob in counting}
    dataset = own.get(DATASET)
    if dataset is not None and not _is_cut_by_factor(dataset):
        found.pop("dataset.imbalance_factor", None)
    return found | dict(own)


def _is_cut_by_factor(dataset: str) -> bool:
    from ltray.data.definition import DatasetDefinition, find
    from ltray.data.imbalance import KINDS

    return KINDS[DatasetDefinition.read(find(dataset)).imbalance_kind].by_factor
