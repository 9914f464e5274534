"""Reads a search-space file and the command line's overrides into the parts of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ltray.alternative import Alternative
from ltray.dimension import Dimension
from ltray.errors import UsageError, did_you_mean
from ltray.experiment import Experiment, find_method, setting_names
from ltray.knobs import Knobs
from ltray.rows import NAME, SHARED, Row, check_distinct
from ltray.search_settings import Finalists, Search, Stop, TrialResources
from ltray.settings import full_key, parse_numbers
from ltray.settings_file import SettingsFile

BLOCKS: dict[str, type[Knobs]] = {"search": Search, "stop": Stop, "trial": TrialResources, "finalists": Finalists}
KEYS = ("dataset", "methods", "explore", "rows", "fix", *BLOCKS)
DRAWING = ("sampler", "trials", "seed", "first_try")
"""Settings of `search:` that mean nothing where nothing is drawn."""


class SpaceReader:
    """Turns a file and overrides into the parts of a `SearchSpace`.

    Args:
        file: The file.
        overrides: `key=value` pairs laid over it.

    Raises:
        UsageError: An unknown part, method or setting.
    """

    def __init__(self, file: SettingsFile, overrides: Mapping[str, Any]) -> None:
        for key in file.values:
            if key not in KEYS:
                raise UsageError(f"{file.where(key)}`{key}` is not a part of a search space.{did_you_mean(key, KEYS)}")
        self.file = file
        given = dict(overrides)
        self.methods = self._methods(given.pop("methods", file.values.get("methods")))
        self.owners = setting_names(self.methods) | {name: list(block.specs()) for name, block in BLOCKS.items()}
        self.overrides = {full_key(key, self.owners): value for key, value in given.items()}

    def parts(self) -> dict[str, Any]:
        """Read every part."""
        fixed = self._fixed()
        base = self._experiment(fixed, "")
        rows = self._rows(fixed)
        dimensions = () if rows else self._dimensions(fixed)
        blocks = {name: self._block(name, block) for name, block in BLOCKS.items()}
        if rows:
            blocks |= self._without_drawing(blocks, len(rows))
        self._check_lengths(dimensions, blocks["stop"])
        return {"alternatives": (Alternative(base, fixed, dimensions),), "rows": rows} | blocks

    def _methods(self, names: Any) -> list[str]:
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not names:
            raise UsageError(f"{self.file.where('methods')}`methods` must list method names, but got {names!r}.")
        for name in names:
            try:
                find_method(name)
            except UsageError as error:
                raise UsageError(f"{self.file.where('methods')}{error}") from error
        return names

    def _fixed(self) -> dict[str, Any]:
        if "dataset" not in self.file.values | self.overrides:
            raise UsageError(f"{self.file.path}: `dataset` is missing; name one, such as `dataset: cifar100-lt`.")
        fixed: dict[str, Any] = {"dataset": self.file.values.get("dataset"), "methods": self.methods}
        for key, value in self._mapping("fix").items():
            fixed[self._full_key(key, self.file.where(f"fix.{key}"))] = value
        return fixed | {k: v for k, v in self.overrides.items() if k.partition(".")[0] not in BLOCKS}

    def _full_key(self, key: str, where: str) -> str:
        try:
            return full_key(key, {name: names for name, names in self.owners.items() if name not in BLOCKS})
        except UsageError as error:
            raise UsageError(f"{where}{error}") from error

    def _experiment(self, settings: Mapping[str, Any], part: str) -> Experiment:
        """Build the experiment of some settings; a mistake is shown where it stands.

        Args:
            settings: Flat settings.
            part: Dotted path of the part of the file that states them besides `fix`, or "".
        """
        try:
            return Experiment.from_settings(settings)
        except UsageError as error:
            raise UsageError(f"{self._line_of(str(error), part)}{error}") from error

    def _line_of(self, message: str, part: str) -> str:
        """Return "file:line: " of the key that a message is about."""
        for place in filter(None, (part, "fix")):
            for line in self.file.lines:
                if line.startswith(f"{place}.") and line.rpartition(".")[2] in message:
                    return self.file.where(line)
        if part or "data set" in message:
            return self.file.where(part or "dataset")
        return ""

    def _mapping(self, key: str) -> dict[str, Any]:
        value = parse_numbers(self.file.values.get(key) or {})
        if not isinstance(value, dict):
            raise UsageError(f"{self.file.where(key)}`{key}` must hold `key: value` lines, but holds {value!r}.")
        return value

    def _dimensions(self, fixed: Mapping[str, Any]) -> tuple[Dimension, ...]:
        found = []
        for written, content in self._mapping("explore").items():
            where = self.file.where(f"explore.{written}")
            try:
                key = full_key(written, {name: self.owners[name] for name in self.methods})
            except UsageError as error:
                raise UsageError(f"{where}{error}") from error
            if key in self.overrides:
                continue  # fixed on the command line
            if key in fixed:
                raise UsageError(f"{where}`{key}` is explored and fixed; keep one of them.")
            method, _, name = key.partition(".")
            found.append(Dimension.read(find_method(method), name, content, where=where))
        if not found:
            raise UsageError(f"{self.file.where('explore')}`explore` names no knob: there is nothing to search.")
        return tuple(sorted(found, key=lambda dimension: dimension.spec.at_most is not None))

    def _rows(self, fixed: Mapping[str, Any]) -> tuple[Row, ...]:
        if "rows" not in self.file.values:
            return ()
        where, listed = self.file.where("rows"), self.file.values["rows"]
        if "explore" in self.file.values:
            raise UsageError(f"{where}`rows` states every setting and `explore` draws them; keep one of them.")
        if not isinstance(listed, list) or not listed:
            raise UsageError(f"{where}`rows` must be a list of settings, a trial each, but holds {listed!r}.")
        rows = tuple(self._row(index, content, fixed) for index, content in enumerate(listed))
        check_distinct(rows)
        return rows

    def _row(self, index: int, content: Any, fixed: Mapping[str, Any]) -> Row:
        part = f"rows.{index}"
        where = self.file.where(part)
        if not isinstance(content, dict) or not isinstance(content.get(NAME, ""), str):
            raise UsageError(f"{where}a row must hold `key: value` lines and may have a `name`, but got {content!r}.")
        stated = {}
        for written, value in content.items():
            if written == NAME:
                continue
            line = self.file.where(f"{part}.{written}")
            key = self._full_key(written, line)
            if key in SHARED:
                raise UsageError(f"{line}`{key}` is the same for all rows of a file; state it outside of `rows`.")
            if key not in self.overrides:  # the command line goes before the file
                stated[key] = parse_numbers(value)
        return Row(content.get(NAME, ""), stated, self._experiment({**fixed, **stated}, part), where)

    def _without_drawing(self, blocks: Mapping[str, Any], count: int) -> dict[str, Knobs]:
        """Return the blocks as rows need them: one trial each and, unless `stop` is stated, no early stopping."""
        for key in DRAWING:
            if key in self._mapping("search") or f"search.{key}" in self.overrides:
                raise UsageError(
                    f"{self.file.where(f'search.{key}')}`search.{key}` means nothing beside `rows`, "
                    "which run once each, in order. Remove it."
                )
        blocks = dict(blocks) | {"search": replace(blocks["search"], trials=count, first_try="none")}
        if not self._mapping("stop") and not any(key.startswith("stop.") for key in self.overrides):
            blocks["stop"] = replace(blocks["stop"], rule="none")
        return blocks

    def _block(self, name: str, block: type[Knobs]) -> Knobs:
        written = self._mapping(name)
        for key in written:
            block.check_name(key, self.file.where(f"{name}.{key}"))
        given = {key.partition(".")[2]: v for key, v in self.overrides.items() if key.startswith(f"{name}.")}
        try:
            return block(**(written | given))
        except UsageError as error:
            raise UsageError(f"{self.file.where(name)}{error}") from error

    def _check_lengths(self, dimensions: Sequence[Dimension], stop: Knobs) -> None:
        for dimension in dimensions:
            if dimension.name.endswith("epochs") and getattr(stop, "rule", "none") != "none":
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` changes a trial's length, but `stop.rule` compares trials at "
                    "equal epochs. Fix it, or set stop.rule=none."
                )
