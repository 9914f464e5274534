"""A search space: read from YAML, checked against the knobs' declarations, drawn by Optuna."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.following import TrainingSize
from ltray.long_tail import LongTail
from ltray.metrics import BALANCED
from ltray.network_config import RunNetwork
from ltray.quantities import plural
from ltray.setting_names import distinct_headings
from ltray.settings_file import SettingsFile
from ltray.space.compatibility import CONDITIONAL, CONTINUOUS, LISTED, refusal
from ltray.space.dimension import Dimension
from ltray.space.draws import FixedTrial, OutsideSpace, given
from ltray.space.legality import check_builds, check_ranges
from ltray.space.method_choice import Alternative, Draw
from ltray.space.rows import Row, explicit_keys
from ltray.space.search_settings import PAPER_TRY, Finalists, Search, Stop, TrialResources
from ltray.space.space_file import SpaceReader
from ltray.space.suited_methods import Situation, suited
from ltray.start_check import check_start
from ltray.strategies.samplers import SAMPLERS
from ltray.strategies.stopping_rules import STOPPING_RULES

METHODS, ROW = "methods", "row"


@dataclass(frozen=True)
class FirstTrial:
    """A trial that runs before the first proposal of the sampler.

    Attributes:
        params: Its value of every parameter that `suggest` draws.
        paper: Whether it is the papers' setting.
        name: Its name in tables, or "".
    """

    params: Mapping[str, Any]
    paper: bool = False
    name: str = ""


@dataclass(frozen=True)
class SearchSpace:
    """The explored knobs, the fixed settings, and the settings of the search.

    Attributes:
        path: The file from which it was read.
        alternatives: The sequences of methods from which the search chooses; one if `methods` is not a choice.
        rows: The settings to try, in order, if no settings are drawn.
        classes: Number of classes, K, for bounds that depend on it; 0 before `bind`.
        followed: The settings that follow the data, one line each (see `Experiment.followed`), the methods left out,
            and the alternatives with few different settings.
        only_suited: Whether methods are left out that are not suited to the data; see `ltray.space.suited_methods`.
        search: The block `search:`, the proposals.
        stop: The block `stop:`, early stopping.
        trial: The block `trial:`, resources of a trial.
        finalists: The block `finalists:`, the settings that are trained again after the search.
        objective_by_data: Whether the data determine the objective; it is accuracy until `following` is called.
    """

    path: Path
    alternatives: tuple[Alternative, ...]
    rows: tuple[Row, ...]
    classes: int
    search: Search
    stop: Stop
    trial: TrialResources
    finalists: Finalists
    objective_by_data: bool = False
    only_suited: bool = False
    followed: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path | str, overrides: Mapping[str, Any] | None = None) -> Self:
        """Read and check a search-space file.

        Args:
            path: The YAML file.
            overrides: `key=value` pairs that replace values of the file: `search.trials`, `epochs`, `dataset`, …

        Raises:
            UsageError: The file or a value is not valid; the message has the file, the line and the nearest valid name.
        """
        file = SettingsFile.read(path)
        parts = SpaceReader(file, overrides or {}).parts()
        if by_data := parts["search"].is_open:
            parts["search"] = parts["search"].replace(objectives=[BALANCED])
        space = cls(path=file.path, classes=0, objective_by_data=by_data, **parts)
        space._check_together(file)
        return space

    @property
    def base(self) -> Experiment:
        """The first alternative's experiment; it has the settings that all alternatives have in common."""
        return self.alternatives[0].base

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Every explored knob of all alternatives, without duplicates."""
        found = {d.key: d for alternative in self.alternatives for d in alternative.dimensions}
        return tuple(found.values())

    def experiments(self) -> list[Experiment]:
        """Return the papers' setting of every alternative, or the setting of every row."""
        return [row.experiment for row in self.rows] or [a.base for a in self.alternatives]

    def network_of(self, drawn: Mapping[str, Any]) -> RunNetwork:
        """Return the network of a trial, in which rows and methods of a choice may differ.

        Args:
            drawn: The drawn values of the trial, by name.
        """
        if self.rows:
            return self.rows[drawn[ROW] - 1].experiment.network if ROW in drawn else self.base.network
        by_name = {_words(alternative): alternative.base for alternative in self.alternatives}
        return by_name.get(drawn.get(METHODS, ""), self.base).network

    def suggest(self, trial: Draw) -> dict[str, Any]:
        """Draw one trial's flat settings; every draw is valid by construction."""
        if self.rows:
            row = self.rows[trial.suggest_int(ROW, 1, len(self.rows)) - 1]
            return dict(self.alternatives[0].fixed) | row.resolved(explicit_keys(self.rows)) | dict(row.followed)
        return self._chosen(trial).suggest(trial, self.classes)

    def first_trials(self) -> list[FirstTrial]:
        """Return the trials that run before the first draw: the rows, or the papers' settings."""
        if self.rows:
            return [FirstTrial({ROW: number}, name=row.name) for number, row in enumerate(self.rows, start=1)]
        points: list[FirstTrial] = []
        for item in self.search.first_try:
            for alternative in self.alternatives:
                if item == PAPER_TRY:
                    points.append(FirstTrial(self._choice(alternative) | alternative.paper_params(), paper=True))
                elif item.keys() <= {dimension.key for dimension in alternative.dimensions}:
                    points.append(FirstTrial(self._choice(alternative) | alternative.with_papers(item)))
        return points

    def moving(self) -> frozenset[str]:
        """Return the explored knobs whose upper bound can depend on another explored knob."""
        return frozenset(key for alternative in self.alternatives for key in alternative.moving(self.classes))

    def grid_points(self) -> list[dict[str, Any]]:
        """Return the value of every parameter that `suggest` draws, at every valid point of the grid.

        Raises:
            UsageError: A knob has a range instead of values.
        """
        return [self._choice(a) | point for a in self.alternatives for point in a.grid(self.classes)]

    def bind(self, classes: int, tail: LongTail | None = None, *, follow: bool = True) -> Self:
        """Return the space for a data set: set the values that follow it, check the bounds and the papers' setting.

        Args:
            classes: Number of classes, K.
            tail: Class counts of the training set; None: no value follows the number of images.
            follow: Whether values that the user has not set follow the data; False for a search of a version without
                this.

        Raises:
            UsageError: A range has no valid value with the other knobs, or (with `first_try: paper`) does not
                contain the papers' value, or a row is not valid.
        """
        bound_space = replace(self, classes=classes)._suited(tail)
        if follow:
            workers = self.trial.workers
            size = TrainingSize.of(tail, workers=workers) if tail else TrainingSize(classes, workers=workers)
            bound_space = bound_space._following(size)
        for alternative in () if self.rows else bound_space.alternatives:
            check_ranges(alternative, classes, with_paper=PAPER_TRY in self.search.first_try)
        for row in bound_space.rows:
            row.check(classes)
        bound_space._check_first_trials()
        if SAMPLERS[self.search.sampler] is None:
            return bound_space._with_whole_grid()
        return bound_space._with_distinct_trials()

    def determined(self, values: Mapping[str, str]) -> Self:
        """Return the space with these values for the knobs that are `auto`, in every trial; see `ltray.hardware`."""
        return replace(
            self,
            alternatives=tuple(alternative.determined(values) for alternative in self.alternatives),
            rows=tuple(row.determined(values) for row in self.rows),
        )

    def check_builds(self, tail: LongTail, class_names: Sequence[str]) -> None:
        """Check that the methods can be built and started with every explored choice and in every row; see `legality`.

        Args:
            tail: Class counts of the training set.
            class_names: Names of its classes, in label order.

        Raises:
            UsageError: A method cannot be built or started.
        """
        for experiment in self.experiments():
            check_start(experiment, tail, class_names, workers=self.trial.workers)
        for alternative in () if self.rows else self.alternatives:
            check_builds(alternative, tail, class_names)

    def _suited(self, tail: LongTail | None) -> Self:
        if not self.only_suited or tail is None:
            return self
        kept, lines = suited(self.alternatives, Situation(tail, gpu=self.trial.has_gpu()))
        return replace(self, alternatives=kept, followed=tuple(lines))

    def _following(self, size: TrainingSize) -> Self:
        alternatives = tuple(alternative.following(size) for alternative in self.alternatives)
        rows = tuple(row.following(size) for row in self.rows)
        now = replace(self, alternatives=alternatives, rows=rows)
        pairs = zip(self.experiments(), now.experiments(), strict=True)
        lines = dict.fromkeys(line for before, after in pairs for line in after.followed(before, size))
        return replace(now, followed=(*self.followed, *lines))

    def planned_epochs(self, tail: LongTail) -> int:
        """Return the number of epochs that the longest trial reports."""
        return max(experiment.planned_epochs(tail) for experiment in self.experiments())

    def headings(self) -> dict[str, str]:
        """Return a column heading, by full name, for each setting in which trials differ."""
        keys = explicit_keys(self.rows) or tuple(dimension.key for dimension in self.dimensions)
        shown = distinct_headings({key: self._heading(key) for key in keys})
        return ({METHODS: METHODS} if len(self.alternatives) > 1 else {}) | shown

    def _heading(self, key: str) -> str:
        owner, _, name = key.partition(".")
        known = {method.name: method for alternative in self.alternatives for method in alternative.base.methods}
        return known[owner].knobs.specs()[name].symbol or name if owner in known else name or key

    def as_dict(self) -> dict[str, Any]:
        """Return the resolved space for `config.yaml`, which must be equal when a search is continued."""
        known: dict[str, Any] = {
            "settings": self.base.settings(),
            "explore": {dimension.key: dimension.describe() for dimension in self.dimensions},
        }
        if len(self.alternatives) > 1:
            known["alternatives"] = {_words(a): _own_settings(a.base) for a in self.alternatives}
        if self.rows:
            known["rows"] = [{"name": row.name} | row.resolved(explicit_keys(self.rows)) for row in self.rows]
        return known

    def _check_together(self, file: SettingsFile) -> None:
        """Raise an error for settings that cannot be combined; see `ltray.space.compatibility`."""
        contents = {LISTED if d.among is not None else CONTINUOUS: d.where for d in reversed(self.dimensions)}
        for dimension in (d for alternative in self.alternatives for d in alternative.conditional()):
            contents[CONDITIONAL] = dimension.where
        if len(self.alternatives) > 1:
            contents[CONDITIONAL] = file.where(METHODS)
        refused = refusal(
            self.search.sampler,
            self.stop.rule,
            objectives=len(self.search.objectives),
            contents=contents,
            warm=bool(self.search.warm_start),
            seeds=self.trial.seeds,
            fidelity=self.stop.fidelity,
            folds=max(experiment.dataset.folds for experiment in self.experiments()),
        )
        if refused:
            raise UsageError(f"{contents.get(refused.content) or file.where(refused.key)}{refused}.")

    def _check_first_trials(self) -> None:
        for first in self.first_trials():
            try:
                self.suggest(FixedTrial(given(first.params), self.moving()))
            except OutsideSpace as error:
                who = "the papers' setting" if first.paper else "a setting of `search.first_try`"
                raise UsageError(f"{self.path}: {who} cannot be tried: {error}.") from error

    def _with_whole_grid(self) -> Self:
        """Return the space with one trial for each point of its grid and of its first points."""
        points = self.grid_points()
        count = len(points) + sum(dict(first.params) not in points for first in self.first_trials())
        if count > self.search.trials:
            raise UsageError(
                f"{self.path}: the grid has {count} points, but search.trials is {self.search.trials}. Set "
                f"search.trials={count}, or remove values."
            )
        return replace(self, search=replace(self.search, trials=count))

    def _with_distinct_trials(self) -> Self:
        """Return the space with at most as many trials as it has different settings, and with lines about it.

        The members of a population may have equal settings: they change during training.
        """
        if self.rows or STOPPING_RULES[self.stop.rule].population:
            return self
        trials = self.search.trials
        total, lines = 0, list(self.followed)
        for alternative in self.alternatives:
            settings = alternative.distinct_settings(self.classes, limit=trials)
            if settings is not None and len(self.alternatives) > 1:
                lines.append(f"{_words(alternative)}: {_each_once(len(settings))}")
            total += trials if settings is None else len(settings)
        if total >= trials:
            return replace(self, followed=tuple(lines))
        lines.append(f"search.trials is {trials}, but the space has {_each_once(total)}")
        return replace(self, followed=tuple(lines), search=replace(self.search, trials=total))

    def may_repeat(self) -> bool:
        """Return whether a sampler may propose a setting again."""
        return not self.rows and any(alternative.may_repeat() for alternative in self.alternatives)

    def distinct_points(self) -> Iterator[dict[str, Any]]:
        """Yield the value of every parameter that `suggest` draws, for alternatives with finitely many settings."""
        for alternative in self.alternatives:
            for point in alternative.distinct_settings(self.classes, limit=self.search.trials) or ():
                yield self._choice(alternative) | point

    def _chosen(self, trial: Draw) -> Alternative:
        if len(self.alternatives) == 1:
            return self.alternatives[0]
        by_name = {_words(alternative): alternative for alternative in self.alternatives}
        return by_name[trial.suggest_categorical(METHODS, list(by_name))]

    def _choice(self, alternative: Alternative) -> dict[str, Any]:
        return {METHODS: _words(alternative)} if len(self.alternatives) > 1 else {}


def _each_once(count: int) -> str:
    return f"{plural(count, 'different setting')}, {'each' if count > 1 else 'which is'} tried once"


def _words(alternative: Alternative) -> str:
    return ", ".join(alternative.methods)


def _own_settings(experiment: Experiment) -> dict[str, Any]:
    return {key: value for key, value in experiment.settings().items() if not key.startswith("dataset.")}
