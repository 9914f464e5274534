"""The file that defines a table: `table: bcl-table2` has the published rows, `rows:` are rows of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ltray.errors import UsageError, did_you_mean, shown
from ltray.files import read_text
from ltray.paper_tables.own_settings import OwnSettings
from ltray.paper_tables.table_row import TableRow
from ltray.published.row_names import named_rows, source_of
from ltray.setting_names import DATASET, METHOD_LIST, complete_keys
from ltray.settings_file import SettingsFile
from ltray.space.search_settings import TrialResources
from ltray.space.space_file import TABLE

ROWS, FIX, TRIAL, NAME = "rows", "fix", "trial", "name"
KEYS = (TABLE, DATASET, METHOD_LIST, ROWS, FIX, TRIAL)
WITH_ROWS = (DATASET, METHOD_LIST)
"""Keys that have an effect only together with `rows`."""


@dataclass(frozen=True)
class PaperTable:
    """The rows of a table.

    Attributes:
        path: The file.
        name: Its name: "bcl-table2".
        title: Its title: "BCL, Table 2: its components (…)".
        rows: All rows, in the order of the paper.
        chosen: The names of the rows that are trained.
        trial: Resources of a run.
    """

    path: Path
    name: str
    title: str
    rows: tuple[TableRow, ...]
    chosen: frozenset[str]
    trial: TrialResources

    @classmethod
    def read(
        cls, path: Path | str, given: Mapping[str, Any] | None = None, *, patterns: Sequence[str] = ()
    ) -> "PaperTable":
        """Read a file and check the settings of all rows.

        Args:
            path: The file.
            given: Settings that replace those of the rows.
            patterns: Patterns (`*cifar10-lt*`) of the names or labels of the rows to train; (): all that can be.

        Raises:
            UsageError: The file, a setting or a pattern is wrong, or two rows to train have the same settings.
        """
        file = SettingsFile.read(path)
        for key in file.values:
            if key not in KEYS:
                raise UsageError(f"{file.where(key)}`{key}` is not a key of a table.{did_you_mean(key, KEYS)}")
        name = file.values.get(TABLE)
        if not isinstance(name, str) or not name:
            raise UsageError(f"{file.where(TABLE)}`{TABLE}` must be the name of a table, but is {shown(name)}.")
        given = dict(given or {})
        trial = _trial(file, {key: given.pop(key) for key in list(given) if key.partition(".")[0] == TRIAL})
        own, fix = OwnSettings(given), OwnSettings(_mapping(file, FIX), file.where(FIX))
        rows = _written(file, own, fix) if ROWS in file.values else _published(file, name, own, fix)
        methods = [reference for row in rows for reference in row.settings().get(METHOD_LIST, ())]
        for settings in (own, fix):
            settings.check_used(dict.fromkeys(methods))
        chosen = _chosen(rows, patterns)
        _check_distinct([row for row in rows if row.name in chosen], file)
        return cls(file.path, name, title_of(file.path), tuple(rows), frozenset(chosen), trial)

    @property
    def datasets(self) -> list[str]:
        """The data sets of its rows, in order."""
        return list(dict.fromkeys(row.dataset for row in self.rows))

    @property
    def methods(self) -> list[str]:
        """The methods that its rows train, in order."""
        found = (method.name for row in self.rows if row.experiment for method in row.experiment.methods)
        return list(dict.fromkeys(found))

    @property
    def trained(self) -> list[TableRow]:
        """The rows that are trained, in order."""
        return [row for row in self.rows if row.name in self.chosen]


def title_of(path: Path) -> str:
    """Return the title of a table: the comments below the first line of its file, up to the first full stop."""
    lines: list[str] = []
    for line in read_text(path).splitlines()[1:]:
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
        if line.endswith("."):
            break
    return " ".join(lines).removesuffix(".")


def _published(file: SettingsFile, name: str, own: OwnSettings, fix: OwnSettings) -> list[TableRow]:
    for key in WITH_ROWS:
        if key in file.values:
            raise UsageError(f"{file.where(key)}`{key}` has no effect without `{ROWS}`: remove it.")
    claims = {row: claim for row, claim in named_rows().items() if source_of(claim) == name}
    if not claims:
        known = dict.fromkeys(source_of(claim) for claim in named_rows().values())
        raise UsageError(
            f"{file.where(TABLE)}{shown(name)} has no published rows: give the name of a published table, or `{ROWS}` "
            f"of your own.{did_you_mean(name, known)}"
        )
    return [TableRow.published(row, claim, own.over(fix)) for row, claim in claims.items()]


def _written(file: SettingsFile, own: OwnSettings, fix: OwnSettings) -> list[TableRow]:
    listed = file.values[ROWS]
    if not isinstance(listed, list) or not listed:
        raise UsageError(f"{file.where(ROWS)}`{ROWS}` must be a list of settings, but contains {shown(listed)}.")
    rows: list[TableRow] = []
    for index, content in enumerate(listed):
        where = file.where(f"{ROWS}.{index}")
        if not isinstance(content, dict) or not isinstance(content.get(NAME), str):
            raise UsageError(f"{where}a row must contain a `{NAME}` and `key: value` lines, but got {shown(content)}.")
        settings = {key: file.values[key] for key in WITH_ROWS if key in file.values} | content
        label = settings.pop(NAME)
        for key in WITH_ROWS:
            if key not in settings:
                raise UsageError(f"{where}`{key}` is missing: write it in the row, or once outside of `{ROWS}`.")
        methods = settings.pop(METHOD_LIST)
        if not isinstance(methods, list) or not methods:
            raise UsageError(f"{where}`{METHOD_LIST}` must be a list of method names, but got {shown(methods)}.")
        try:
            full = complete_keys(settings, methods) | {METHOD_LIST: methods}
        except UsageError as error:
            raise UsageError(f"{where}{error}") from error
        row = TableRow.written(label, full, own.over(fix), where)
        if any(row.name == other.name for other in rows):
            raise UsageError(f"{where}two rows have the name `{row.name}`; give each row a different name.")
        rows.append(row)
    return rows


def _chosen(rows: Sequence[TableRow], patterns: Sequence[str]) -> list[str]:
    """Return the names of the rows to train.

    Raises:
        UsageError: A pattern matches no row that can be trained.
    """
    known = [row for row in rows if row.experiment]
    if not patterns:
        return [row.name for row in known]
    found: dict[str, None] = {}
    for pattern in patterns:
        matching = [row.name for row in known if any(_matches(name, pattern) for name in (row.name, row.label))]
        if not matching:
            names = [name for row in known for name in (row.name, row.label)]
            lacking = [row for row in rows if not row.experiment and _matches(row.label, pattern)]
            why = f": {lacking[0].lacks}" if lacking else f".{did_you_mean(pattern, names)}"
            raise UsageError(f"--rows {shown(pattern)}: no row that can be trained has this name{why}")
        found |= dict.fromkeys(matching)
    return list(found)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower()) or name.lower() == pattern.lower()


def _check_distinct(rows: Sequence[TableRow], file: SettingsFile) -> None:
    known: list[tuple[dict[str, Any], TableRow]] = []
    for row in rows:
        settings = row.settings()
        for other, first in known:
            if other == settings:
                raise UsageError(
                    f"{file.path}: with these settings the rows `{first.name}` and `{row.name}` are the same run; "
                    "choose the rows to train with --rows."
                )
        known.append((settings, row))


def _mapping(file: SettingsFile, key: str) -> dict[str, Any]:
    value = file.values.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{file.where(key)}`{key}` must contain `key: value` lines, but contains {shown(value)}.")
    return value


def _trial(file: SettingsFile, given: Mapping[str, Any]) -> TrialResources:
    values: dict[str, Any] = {}
    written = {f"{TRIAL}.{key}": value for key, value in _mapping(file, TRIAL).items()} | dict(given)
    for key, value in written.items():
        name = key.partition(".")[2]
        where = "" if key in given else file.where(key)
        if name == "seeds":
            raise UsageError(f"{where}`{key}` has no effect on a table: give the number of seeds with --seeds.")
        TrialResources.check_name(name, where or f"{key}=…: ")
        values[name] = TrialResources.check_value(name, value)
    return TrialResources(**values)
