"""A search space: read from YAML, checked against the knobs' declarations, drawn by Optuna."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

from ltray.dimension import Dimension
from ltray.errors import UsageError, did_you_mean
from ltray.experiment import Experiment, complete_keys, find_method, setting_names
from ltray.knobs import Knobs
from ltray.recipe import Recipe
from ltray.search_settings import Search, Stop, TrialResources
from ltray.settings import full_key
from ltray.settings_file import SettingsFile

BLOCKS: dict[str, type[Knobs]] = {"search": Search, "stop": Stop, "trial": TrialResources}
KEYS = ("dataset", "methods", "explore", "fix", *BLOCKS)


class Draw(Protocol):
    """The part of `optuna.Trial` that draws."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Draw an integer in [low, high]."""
        ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a number in [low, high]."""
        ...

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw one of `choices`."""
        ...


@dataclass(frozen=True)
class SearchSpace:
    """What to explore, what is fixed, and how the search runs.

    Attributes:
        path: The file it was read from.
        base: The experiment with everything fixed and the papers' values elsewhere.
        fixed: Flat settings that every trial shares.
        dimensions: What is explored, in an order in which bounds come before what they bound.
        classes: Number of classes, K, for bounds that depend on it; 0 before `bind`.
        search: Proposals.
        stop: Early stopping.
        trial: Resources of a trial.
    """

    path: Path
    base: Experiment
    fixed: Mapping[str, Any]
    dimensions: tuple[Dimension, ...]
    classes: int
    search: Search
    stop: Stop
    trial: TrialResources

    @classmethod
    def read(cls, path: Path | str, overrides: Mapping[str, Any] | None = None) -> Self:
        """Read and check a search-space file.

        Args:
            path: The YAML file.
            overrides: `key=value` pairs laid over it: `search.trials`, `epochs`, `dataset`, …

        Raises:
            UsageError: Anything illegal, with file, line and the nearest right name.
        """
        file = SettingsFile.read(path)
        for key in file.values:
            if key not in KEYS:
                raise UsageError(f"{file.where(key)}`{key}` is not a part of a search space.{did_you_mean(key, KEYS)}")
        reader = _Reader(file, dict(overrides or {}))
        return cls(path=file.path, **reader.parts())

    def suggest(self, trial: Draw) -> dict[str, Any]:
        """Draw one trial's flat settings; every draw is legal by construction."""
        drawn: dict[str, Any] = {}
        for dimension in self.dimensions:
            high = self._upper_bound(dimension, drawn)
            drawn[dimension.key] = dimension.draw(trial, high)
        return dict(self.fixed) | drawn

    def paper_params(self) -> dict[str, Any]:
        """Return the papers' value of every explored knob."""
        return {dimension.key: self._paper_value(dimension) for dimension in self.dimensions}

    def bind(self, classes: int) -> Self:
        """Return the space for a number of classes, its bounds and the papers' point checked.

        Raises:
            UsageError: A range that other knobs rule out, or (with `first_try: paper`) a
                range that leaves the papers' value out.
        """
        bound_space = replace(self, classes=classes)
        bound_space._check()
        return bound_space

    def _check(self) -> None:
        lows = {dimension.key: dimension.lowest for dimension in self.dimensions}
        for dimension in self.dimensions:
            bound = self._upper_bound(dimension, lows)
            if bound is not None and dimension.low is not None and dimension.low > bound:
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` starts at {dimension.low}, but other knobs of the space "
                    f"allow at most {bound:g}. Lower `from`, or raise the other knob's."
                )
            paper = self._paper_value(dimension)
            if self.search.first_try == "paper" and not dimension.contains(paper):
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` leaves out the papers' value {paper!r}, which is to be the "
                    "first trial. Widen the range, or set search.first_try=none."
                )

    def _paper_value(self, dimension: Dimension) -> Any:
        return getattr(self._knobs(dimension.method), dimension.name)

    def _knobs(self, method: str) -> Recipe:
        return next(k for m, k in zip(self.base.methods, self.base.knobs, strict=True) if m.name == method)

    def _upper_bound(self, dimension: Dimension, drawn: Mapping[str, Any]) -> float | None:
        """Return the bound that the knobs drawn so far leave for `dimension`, or None."""
        if dimension.spec.at_most is None:
            return None
        values = {d.name: drawn.get(d.key, d.lowest) for d in self.dimensions if d.method == dimension.method}
        values[dimension.name] = dimension.lowest
        knobs = self._knobs(dimension.method)
        # Built without checks: other knobs' bounds are met once all are drawn.
        trial = object.__new__(type(knobs))
        trial.__dict__.update(knobs.as_dict() | values)
        return trial.upper_bound(dimension.name, self.classes)


class _Reader:
    """Turns a file and overrides into the parts of a `SearchSpace`."""

    def __init__(self, file: SettingsFile, overrides: dict[str, Any]) -> None:
        self.file = file
        self.methods = self._methods(overrides.pop("methods", file.values.get("methods")))
        self.owners = setting_names(self.methods) | {name: list(block.specs()) for name, block in BLOCKS.items()}
        self.overrides = {full_key(key, self.owners): value for key, value in overrides.items()}

    def parts(self) -> dict[str, Any]:
        """Read every part."""
        fixed = self._fixed()
        try:
            base = Experiment.from_settings(fixed)
        except UsageError as error:
            raise UsageError(self._located(str(error))) from error
        dimensions = self._dimensions(fixed)
        blocks = {name: self._block(name, block) for name, block in BLOCKS.items()}
        self._check_lengths(dimensions, blocks["stop"])
        return {"base": base, "fixed": fixed, "dimensions": dimensions, "classes": 0} | blocks

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
        written = self._mapping("fix")
        fixed: dict[str, Any] = {"dataset": self.file.values.get("dataset"), "methods": self.methods}
        for key, value in written.items():
            try:
                fixed |= complete_keys({key: value}, self.methods)
            except UsageError as error:
                raise UsageError(f"{self.file.where(f'fix.{key}')}{error}") from error
        return fixed | {k: v for k, v in self.overrides.items() if k.partition(".")[0] not in BLOCKS}

    def _located(self, message: str) -> str:
        """Put the line of the `fix:` key that a message is about in front of it."""
        for key in self._mapping("fix"):
            if f"{key.rpartition('.')[2]}" in message:
                return f"{self.file.where(f'fix.{key}')}{message}"
        return f"{self.file.where('dataset')}{message}" if "data set" in message else message

    def _mapping(self, key: str) -> dict[str, Any]:
        value = self.file.values.get(key) or {}
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

    def _block(self, name: str, block: type[Knobs]) -> Knobs:
        written = self._mapping(name)
        for key in written:
            block.check_name(key, self.file.where(f"{name}.{key}"))
        given = {key.partition(".")[2]: v for key, v in self.overrides.items() if key.startswith(f"{name}.")}
        try:
            return block(**(written | given))
        except UsageError as error:
            raise UsageError(f"{self.file.where(name)}{error}") from error

    def _check_lengths(self, dimensions: tuple[Dimension, ...], stop: Knobs) -> None:
        for dimension in dimensions:
            if dimension.name.endswith("epochs") and getattr(stop, "rule", "none") != "none":
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` changes a trial's length, but `stop.rule` compares trials at "
                    "equal epochs. Fix it, or set stop.rule=none."
                )
