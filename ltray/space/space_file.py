"""Reads a search-space file and the command line's overrides into the parts of a search."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ltray.errors import UsageError, did_you_mean, shown
from ltray.experiment import OBJECTIVE, Experiment
from ltray.knobs import AUTO, Knobs
from ltray.methods.find import find_method, methods_by_name
from ltray.recipe import Recipe
from ltray.setting_names import DATASET, METHOD_LIST, setting_names, typed_setting
from ltray.settings import full_key, note_once
from ltray.settings_file import SettingsFile
from ltray.space.dimension import Dimension, in_order, worth_exploring
from ltray.space.method_choice import Alternative
from ltray.space.rows import NAME, SHARED, Row, check_distinct
from ltray.space.search_settings import PAPER_TRY, Finalists, Search, Stop, TrialResources
from ltray.stage import Method

BLOCKS: dict[str, type[Knobs]] = {"search": Search, "stop": Stop, "trial": TrialResources, "finalists": Finalists}
KEYS = ("dataset", "methods", "explore", "rows", "fix", *BLOCKS)
TABLE = "table"  # the key of a file that defines a paper's table
DRAWING = ("sampler", "trials", "seed", "first_try", "warm_start")
"""Settings of `search:` that have no effect if no setting is drawn."""
AMONG, ONLY, SUITED, EXPLORE = "among", "only", "suited", "explore"


class SpaceReader:
    """Reads a file and overrides into the parts of a `SearchSpace`.

    Args:
        file: The file.
        overrides: `key=value` pairs that replace values of the file; `explore.<knob>` replaces a range.

    Raises:
        UsageError: An unknown part, method or setting.
    """

    def __init__(self, file: SettingsFile, overrides: Mapping[str, Any]) -> None:
        if TABLE in file.values:
            raise UsageError(f"{file.where(TABLE)}is a table, not a search space: its rows are trained by ltray.tune.")
        for key in file.values:
            if key not in KEYS:
                raise UsageError(f"{file.where(key)}`{key}` is not a key of a search space.{did_you_mean(key, KEYS)}")
        self.file = file
        given = dict(overrides)
        self.known: dict[str, Method] = {}
        chosen = given.pop("methods", file.values.get("methods"))
        self.choices = self._choices(chosen)
        self.only_suited = isinstance(chosen, dict) and ONLY in chosen
        self.methods = list(dict.fromkeys(name for sequence in self.choices for name in sequence))
        # The file may contain knobs of methods that the command line does not select.
        known = self._choices(file.values.get("methods", chosen))
        self.is_choice = len(known) > 1 or len(self.choices) > 1
        own = [self.known[name] for name in self.methods]
        self.file_owners = setting_names(self.known.values())
        self.owners = setting_names(own) | {name: list(block.specs()) for name, block in BLOCKS.items()}
        self.ranges = {key.partition(".")[2]: given.pop(key) for key in list(given) if key.startswith(f"{EXPLORE}.")}
        self.overrides = self._read(given, self.owners, lambda key: f"{key}=…: ")

    def parts(self) -> dict[str, Any]:
        """Read every part."""
        fixed = self._fixed()
        blocks = {name: self._block(name, block) for name, block in BLOCKS.items()}
        fixed |= self._objective(fixed, cast(Search, blocks["search"]))
        rows = self._rows(fixed)
        if rows:
            blocks |= self._without_drawing(blocks, len(rows))
            return {"alternatives": (self._alternative(self.choices[0], fixed, {}),), "rows": rows} | blocks
        ranges = self._ranges(fixed)
        alternatives = tuple(self._alternative(sequence, fixed, ranges) for sequence in self.choices)
        if len(alternatives) == 1 and not alternatives[0].dimensions:
            raise UsageError(f"{self.file.where(EXPLORE)}`explore` is empty: add a knob with its range.")
        self._check_lengths(alternatives, blocks["stop"])
        explored = {d.key: d for alternative in alternatives for d in alternative.dimensions}
        blocks["search"] = self._with_first_tries(cast(Search, blocks["search"]), explored)
        return {"alternatives": alternatives, "rows": (), "only_suited": self.only_suited} | blocks

    def _choices(self, written: Any) -> list[tuple[str, ...]]:
        """Return the sequences of methods, by name: one, or those of `{among: [...]}`; store the methods."""
        where = self.file.where("methods")
        listed = [written]
        if isinstance(written, dict):
            among, only = written.get(AMONG), written.get(ONLY, SUITED)
            if not written.keys() <= {AMONG, ONLY} or not isinstance(among, list) or len(among) < 2:
                raise UsageError(f"{where}a choice of methods is `{{among: [bcl, [bcl, tau_norm]]}}`, not {written!r}.")
            if only != SUITED:
                raise UsageError(f"{where}`only` in a choice of methods can only be `{SUITED}`, not {shown(only)}.")
            listed = among
        sequences = [(item,) if isinstance(item, str) else item for item in listed]
        for sequence in sequences:
            if not isinstance(sequence, list | tuple) or not sequence:
                raise UsageError(f"{where}`methods` must be a list of method names, but got {sequence!r}.")
        try:
            used = [item for sequence in sequences for item in sequence]
            self.known = methods_by_name([*(method.reference for method in self.known.values()), *used])
            found = [tuple(find_method(item).name for item in sequence) for sequence in sequences]
        except UsageError as error:
            raise UsageError(f"{where}{error}") from error
        if len(set(found)) < len(found):
            raise UsageError(f"{where}`methods` repeats a choice: {listed!r}.")
        return found

    def _full_keys(self, key: str, owners: Mapping[str, Iterable[str]], where: str = "") -> list[str]:
        """Return the full name of a key; with a choice of methods, a common knob is that of each first method.

        First methods that do not train are left out, if others train.
        """
        if self.is_choice and key in Recipe.specs():
            first = dict.fromkeys(sequence[0] for sequence in self.choices)
            training = [name for name in first if self.known[name].knobs.specs()["epochs"].high != 0]
            return [f"{name}.{key}" for name in training or first]
        try:
            return [full_key(key, owners)]
        except UsageError as error:
            raise UsageError(f"{where}{error}") from error

    def _read(
        self, written: Mapping[str, Any], owners: Mapping[str, Iterable[str]], where: Callable[[str], str]
    ) -> dict[str, Any]:
        """Return settings by full name, each in its declared type.

        Args:
            written: The settings as written in the file or on the command line.
            owners: The methods and blocks that they may belong to.
            where: Returns the place of a key, for messages.
        """
        found: dict[str, Any] = {}
        keys: dict[str, str] = {}
        for key, value in written.items():
            try:
                for full in self._full_keys(key, owners):
                    note_once(keys, full, key)
                    owner, _, name = full.rpartition(".")
                    block = BLOCKS.get(owner)
                    found[full] = block.check_value(name, value) if block else typed_setting(full, value, self.known)
            except UsageError as error:
                raise UsageError(f"{where(key)}{error}") from error
        return found

    def _fixed(self) -> dict[str, Any]:
        """Return the flat settings that all trials share, without `methods`."""
        if DATASET not in self.file.values | self.overrides:
            raise UsageError(f"{self.file.path}: `dataset` is missing; add one, such as `dataset: cifar100-lt`.")
        fixed: dict[str, Any] = {DATASET: self.overrides.get(DATASET)}
        if DATASET not in self.overrides:
            fixed |= self._read(
                {DATASET: self.file.values[DATASET]}, self.file_owners, lambda key: self.file.where(DATASET)
            )
        read = self._read(self._mapping("fix"), self.file_owners, lambda key: self.file.where(f"fix.{key}"))
        for key in (DATASET, METHOD_LIST):
            if key in read:
                raise UsageError(f"{self.file.where(f'fix.{key}')}`{key}` has no effect in `fix`; write it outside.")
        fixed |= read
        return fixed | {k: v for k, v in self.overrides.items() if k.partition(".")[0] not in BLOCKS}

    def _objective(self, fixed: Mapping[str, Any], search: Search) -> dict[str, str]:
        """Return the setting that determines every trial's best epoch: the first objective."""
        if OBJECTIVE in fixed:
            where = "" if OBJECTIVE in self.overrides else self.file.where(f"fix.{OBJECTIVE}")
            raise UsageError(
                f"{where}`{OBJECTIVE}` is a setting of ltray.train; a search uses its first objective: set "
                f"search.objectives=[{fixed[OBJECTIVE]}]."
            )
        follow = search.is_open or search.objectives[0] == Experiment.objective
        return {} if follow else {OBJECTIVE: search.objectives[0]}

    def _alternative(
        self, sequence: Sequence[str], fixed: Mapping[str, Any], ranges: Mapping[str, tuple[str, Any]]
    ) -> Alternative:
        others = self.file_owners.keys() - {"", "dataset", *sequence}
        own = {k: v for k, v in fixed.items() if k.partition(".")[0] not in others} | self._methods_setting(sequence)
        found = []
        for key, (where, content) in ranges.items():
            method, _, name = key.partition(".")
            if method in sequence:
                found.append(Dimension.read(self.known[method], name, content, where=where))
        dimensions = in_order(found)
        return Alternative(self._base(own, dimensions), own, dimensions)

    def _methods_setting(self, sequence: Iterable[str]) -> dict[str, list[str]]:
        return {METHOD_LIST: [self.known[name].reference for name in sequence]}

    def _base(self, own: Mapping[str, Any], dimensions: Sequence[Dimension]) -> Experiment:
        """Return the experiment of the fixed settings, without those that have an effect only with some draws."""
        explored = {dimension.key: dimension for dimension in dimensions}
        always = dict(own)
        for key in own:
            method, _, name = key.partition(".")
            specs = self.known[method].knobs.specs() if method in self.known else {}
            other, wanted = (specs[name].needs or ("", ())) if name in specs else ("", ())
            needed = explored.get(f"{method}.{other}")
            if needed is None or needed.always(wanted):
                continue
            if not needed.ever(wanted):
                where = self.file.where(f"fix.{key}")
                raise UsageError(f"{where}`{key}` has no effect with any value of `{other}` that is explored.")
            if getattr(self.known[method].knobs, other) not in wanted:
                del always[key]
        return self._experiment(always, "")

    def _ranges(self, fixed: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
        """Return the explored knobs: place in the file and range, by the knob's full name."""
        knobs = {name: list(names) for name, names in self.file_owners.items() if name not in ("", "dataset")}
        whole: dict[str, tuple[str, Any]] = {}
        single: dict[str, tuple[str, Any]] = {}
        seen: dict[bool, dict[str, str]] = {False: {}, True: {}}
        for written, content, where, on_command_line in self._written_ranges():
            if written in knobs:
                if content != AUTO:
                    raise UsageError(f"{where}to explore a method, write `{written}: {AUTO}`, not {content!r}.")
                names = worth_exploring(self.known[written])
                whole |= {key: (where, AUTO) for name in names if (key := f"{written}.{name}") not in fixed}
                continue
            for key in self._full_keys(written, knobs, where):
                if key in fixed and (on_command_line or key not in self.overrides):
                    raise UsageError(f"{where}`{key}` is in `explore` and in `fix`; keep one of them.")
                note_once(seen[on_command_line], key, written, where)
                if key not in fixed:  # unless the command line fixes it
                    single[key] = (where, content)
        return whole | single

    def _written_ranges(self) -> list[tuple[str, Any, str, bool]]:
        """Return each entry of `explore`: key, range, place, whether it is from the command line (last)."""
        if self.file.values.get(EXPLORE) == AUTO:
            listed = dict.fromkeys(self.methods, AUTO)
        else:
            listed = self._mapping(EXPLORE)
        found = [(key, content, self.file.where(f"{EXPLORE}.{key}"), False) for key, content in listed.items()]
        return found + [(key, content, f"{EXPLORE}.{key}=…: ", True) for key, content in self.ranges.items()]

    def _experiment(self, settings: Mapping[str, Any], part: str) -> Experiment:
        """Build the experiment of some settings; an error message contains the place in the file.

        Args:
            settings: Flat settings.
            part: Dotted path of the part of the file, other than `fix`, that contains them, or "".
        """
        try:
            return Experiment.from_settings(settings)
        except UsageError as error:
            raise UsageError(f"{self._line_of(str(error), part)}{error}") from error

    def _line_of(self, message: str, part: str) -> str:
        """Return "file:line: " of the key that a message refers to."""
        for place in filter(None, (part, "fix")):
            for line in self.file.lines:
                if line.startswith(f"{place}.") and line.rpartition(".")[2] in message:
                    return self.file.where(line)
        if part or "data set" in message:
            return self.file.where(part or "dataset")
        return ""

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self.file.values.get(key)
        if value is None:  # `fix:` with only comments below it
            return {}
        if not isinstance(value, dict):
            raise UsageError(
                f"{self.file.where(key)}`{key}` must contain `key: value` lines, but contains {shown(value)}; remove "
                "the key if there is nothing to set."
            )
        return value

    def _rows(self, fixed: Mapping[str, Any]) -> tuple[Row, ...]:
        if "rows" not in self.file.values:
            return ()
        where, listed = self.file.where("rows"), self.file.values["rows"]
        if EXPLORE in self.file.values or self.ranges:
            raise UsageError(f"{where}`rows` and `explore` cannot be used together: remove one of them.")
        if len(self.choices) > 1:
            raise UsageError(f"{where}`rows` need one sequence of methods; `methods` must not be a choice.")
        if not isinstance(listed, list) or not listed:
            raise UsageError(f"{where}`rows` must be a list of settings, one trial each, but contains {listed!r}.")
        shared = {**fixed, **self._methods_setting(self.choices[0])}
        rows = tuple(self._row(index, content, shared) for index, content in enumerate(listed))
        check_distinct(rows)
        return rows

    def _row(self, index: int, content: Any, fixed: Mapping[str, Any]) -> Row:
        part = f"rows.{index}"
        where = self.file.where(part)
        if not isinstance(content, dict) or not isinstance(content.get(NAME, ""), str):
            raise UsageError(
                f"{where}a row must contain `key: value` lines and may have a `name`, but got {content!r}."
            )
        own = {key: value for key, value in content.items() if key != NAME}
        for key in own.keys() & SHARED:
            line = self.file.where(f"{part}.{key}")
            raise UsageError(f"{line}`{key}` must be the same for all rows; write it outside of `rows`.")
        explicit = self._read(own, self.file_owners, lambda key: self.file.where(f"{part}.{key}"))
        explicit = {
            key: value for key, value in explicit.items() if key not in self.overrides
        }  # overrides have priority
        return Row(content.get(NAME, ""), explicit, self._experiment({**fixed, **explicit}, part), where)

    def _without_drawing(self, blocks: Mapping[str, Any], count: int) -> dict[str, Knobs]:
        """Return the blocks for a search over rows: one trial per row, no early stopping without a block `stop`."""
        for key in DRAWING:
            if key in self._mapping("search") or f"search.{key}" in self.overrides:
                raise UsageError(
                    f"{self.file.where(f'search.{key}')}`search.{key}` has no effect with `rows`, which run once "
                    "each, in order. Remove it."
                )
        blocks = dict(blocks) | {"search": replace(blocks["search"], trials=count, first_try="none")}
        if not self._mapping("stop") and not any(key.startswith("stop.") for key in self.overrides):
            blocks["stop"] = replace(blocks["stop"], rule="none")
        return blocks

    def _block(self, name: str, block: type[Knobs]) -> Knobs:
        written = {}
        for key, value in self._mapping(name).items():
            where = self.file.where(f"{name}.{key}")
            block.check_name(key, where)
            try:
                written[key] = block.check_value(key, value)
            except UsageError as error:
                raise UsageError(f"{where}{error}") from error
        given = {key.partition(".")[2]: v for key, v in self.overrides.items() if key.startswith(f"{name}.")}
        try:
            written = block.without_idle(written, given)
            found = block(**(written | given))
            found.check_effects(written | given, prefix=f"{name}.")
        except UsageError as error:
            raise UsageError(f"{self.file.where(name)}{error}") from error
        return found

    def _with_first_tries(self, search: Search, explored: Mapping[str, Dimension]) -> Search:
        """Complete and check the settings in `search.first_try`."""
        where = f"{self.file.where('search.first_try')}`search.first_try`: "
        points: list[Any] = []
        for item in search.first_try:
            if item != PAPER_TRY:
                found: dict[str, Any] = {}
                keys: dict[str, str] = {}
                for key, value in item.items():
                    for full in self._full_keys(key, self.owners, where):
                        note_once(keys, full, key, where)
                        found[full] = self._tried(full, value, explored.get(full), where)
                item = found
            points.append(item)
        return search.replace(first_try=points)

    def _tried(self, key: str, value: Any, dimension: Dimension | None, where: str) -> Any:
        if dimension is None:
            raise UsageError(f"{where}`{key}` is not explored; `first_try` can set only explored knobs.")
        try:
            return self.known[dimension.method].knobs.check_value(dimension.name, value)
        except UsageError as error:
            raise UsageError(f"{where}{error}") from error

    def _check_lengths(self, alternatives: Sequence[Alternative], stop: Knobs) -> None:
        """Raise an error for trials of different lengths if early stopping compares them at equal epochs."""
        if getattr(stop, "rule", "none") == "none":
            return
        for dimension in (d for alternative in alternatives for d in alternative.dimensions):
            if dimension.changes_length:
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` changes a trial's length, but `stop.rule` compares trials at "
                    "equal epochs. Fix the knob, or set stop.rule=none."
                )
        for name in ("epochs", "schedule"):
            values = {", ".join(a.methods): getattr(a.base.knobs[0], name) for a in alternatives}
            kinds = {str(value).partition("_")[0] for value in values.values()}
            if len(kinds) > 1:
                listed = ", ".join(f"{value} in {methods}" for methods, value in values.items())
                raise UsageError(
                    f"{self.file.where('methods')}`stop.rule` compares trials at equal epochs of equal schedules, but "
                    f"`{name}` is {listed}. Fix it for all (`fix: {{{name}: …}}`), or set stop.rule=none."
                )
