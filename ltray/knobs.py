"""One declaration per hyperparameter: symbol, default, legal range, values that the papers tried.

Everything else is derived from it: checks of a value, checks and draws of a search space,
the command line, the tables of `python -m ltray.methods`.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, Self, cast, get_type_hints

from ltray.errors import UsageError, did_you_mean, shown
from ltray.following import Facts, Follow, TrainingSize, classes_of, epochs_of
from ltray.imported import is_dotted_path, nearest_or_dotted_path
from ltray.typed import as_type

Value = bool | int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]
HIGHEST_SEED = 2**32 - 1  # the largest seed of NumPy's legacy generator
AUTO = "auto"  # value of a knob that the hardware determines
Bound = str | Callable[[Any, int], int]


@dataclass(frozen=True)
class Above:
    """All numbers above a limit: the values of another setting with which a setting has an effect."""

    limit: float

    def __contains__(self, value: float) -> bool:
        return value > self.limit


@dataclass(frozen=True)
class OrDotted:
    """Some choices of another setting, and every dotted path, with which a setting has an effect."""

    choices: tuple[str, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.choices or is_dotted_path(value)


NeededValues = tuple[Value, ...] | Above | OrDotted
Needs = tuple[str, NeededValues]
"""Another setting of the same class, and its values with which a setting has an effect."""


@dataclass(frozen=True)
class Knob:
    """The declaration of one hyperparameter, without its name, type and default.

    Attributes:
        symbol: The paper's symbol, or "" if it has none.
        help: One line that describes its effect.
        low: Smallest legal value, inclusive; None if any number is legal.
        high: Largest legal value, inclusive.
        log: Whether a search should draw it on a logarithmic scale.
        choices: The legal values of a categorical knob.
        dotted: Whether a dotted path (`mypackage.mymodule:NAME`) may be given instead of one of the choices.
        by_device: Whether `auto` may be given: the device then determines the choice, once per run or search.
        at_most: A further upper bound: the name of another knob of the same class, or a
            function of (knobs, number of classes).
        search: The range (low, high) to explore, or the values of a grid, which `auto` uses in a search
            space. None: no range to explore.
        tried: Values that the papers' ablations report.
        in_epochs: Whether it counts epochs and therefore is scaled with `epochs`.
        dynamic: Whether it may change during training: no shape or meaning of a checkpoint's content
            depends on it. Population based training changes these knobs.
        needs: Another knob of the same class and its values with which this knob has an effect,
            if the other knob has an effect; None if it always has an effect. The fields of data
            sets, searches, stops and finalists declare it in the same way.
        changes_length: Whether it changes the number of epochs of a run; knobs with names that end
            in "epochs" always do.
        follows: How its value is adapted to the data if it is not set; see `ltray.following`.
        refused: Why a class does not take another value than the default, as a clause; "" where it does.
        before: The value with which this version does what earlier versions did that did not have the knob: the value
            of a run that recorded none. Every knob that is added later has one; None for the others.
    """

    symbol: str
    help: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Value, ...] | None = None
    dotted: bool = False
    by_device: bool = False
    at_most: Bound | None = None
    search: tuple[Value, ...] | None = None
    tried: tuple[Value, ...] = ()
    in_epochs: bool = False
    dynamic: bool = False
    needs: Needs | None = None
    changes_length: bool = False
    follows: Follow | None = None
    before: Value | None = None
    refused: str = ""


def knob(default: Any, symbol: str, help: str, **declared: Any) -> Any:
    """Declare a dataclass field with its `Knob`; see `Knob` for the keywords."""
    return field(default=default, metadata={"knob": Knob(symbol, help, **declared)})


@dataclass(frozen=True)
class Knobs:
    """Base of every set of hyperparameters: a frozen dataclass that checks its values.

    Subclasses list their fields with `knob(...)` and their papers' settings, one line per
    data set, in `paper_values`; the key "default" has the values for any other data. `called`
    is the word for one of the fields in messages.

    Raises:
        UsageError: A value has the wrong type or is outside its legal range.
    """

    paper_values: ClassVar[Mapping[str, Mapping[str, Value]]] = {}
    called: ClassVar[str] = "a knob"

    def __post_init__(self) -> None:
        for name in self.specs():
            object.__setattr__(self, name, self.check_value(name, getattr(self, name)))
        for name, spec in self.specs().items():
            if isinstance(spec.at_most, str) and self.has_effect(name):
                self._check_order(name, spec.at_most)

    @classmethod
    def specs(cls) -> dict[str, Knob]:
        """Return each knob's declaration by name, in the order of declaration."""
        return {f.name: f.metadata["knob"] for f in dataclasses.fields(cls)}

    @classmethod
    def redeclared(cls, name: str, default: Any, **changed: Any) -> Any:
        """Declare a knob of this class in another class, with another default and other changes.

        Args:
            name: Name of the knob.
            default: The default there.
            changed: Fields of `Knob` that differ there.
        """
        return field(default=default, metadata={"knob": dataclasses.replace(cls.specs()[name], **changed)})

    @classmethod
    @cache  # evaluating the annotations of a class takes a millisecond
    def types(cls) -> Mapping[str, Any]:
        """Return each knob's annotated type by name."""
        hints = get_type_hints(cls)
        return {name: hints[name] for name in cls.specs()}

    @classmethod
    def defaults(cls, profile: str = "default") -> Self:
        """Return the papers' setting for a data set.

        Args:
            profile: A key of `paper_values` such as "cifar100_lt"; a profile without a separate
                line gets "default".
        """
        return cls(**cls.paper_setting(profile))

    @classmethod
    def paper_setting(cls, profile: str) -> dict[str, Value]:
        """Return the values of `paper_values` for `profile`."""
        return dict(cls.paper_values.get(profile, cls.paper_values.get("default", {})))

    @classmethod
    def check_name(cls, name: str, where: str = "") -> None:
        """Raise UsageError, with the nearest valid name, unless `name` is a knob."""
        if name not in cls.specs():
            hint = did_you_mean(name, cls.specs())
            raise UsageError(f"{where}`{name}` is not {cls.called}.{hint}")

    def replace(self, **values: Any) -> Self:
        """Return a copy with other values, checked; the error for an unknown name has the nearest valid one."""
        for name in values:
            self.check_name(name)
        return dataclasses.replace(self, **values)

    def as_dict(self) -> dict[str, Value]:
        """Return the values by name."""
        return {name: getattr(self, name) for name in self.specs()}

    def upper_bound(self, name: str, classes: int) -> float | None:
        """Return the largest legal value of `name` given the other knobs and the class count."""
        return self.bound_among(name, self.as_dict(), classes)

    @classmethod
    def bound_among(cls, name: str, values: Mapping[str, Any], classes: int) -> float | None:
        """Return the largest legal value of `name` given other values, which may exceed their bounds."""
        spec = cls.specs()[name]
        bounds = [] if spec.high is None else [spec.high]
        if isinstance(spec.at_most, str):
            bounds.append(values[spec.at_most])
        elif spec.at_most is not None:
            bounds.append(spec.at_most(SimpleNamespace(**values), classes))
        return min(bounds) if bounds else None

    @classmethod
    def unmet_need(cls, name: str, values: Mapping[str, Any]) -> Needs | None:
        """Return the need because of which a setting has no effect, or None if it has an effect.

        Args:
            name: The setting.
            values: The values of all settings that it needs, directly or indirectly.
        """
        while (needs := cls.specs()[name].needs) is not None:
            other, wanted = needs
            if values[other] not in wanted:
                return needs
            name = other
        return None

    def has_effect(self, name: str) -> bool:
        """Return whether this knob has an effect with the other knobs; bounds apply only if it has."""
        return self.unmet_need(name, self.as_dict()) is None

    @classmethod
    def without_idle(cls, written: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return a file's settings without those that have no effect with the command line's.

        Args:
            written: The settings of the file.
            given: The settings of the command line, which replace the file's.
        """
        usual = {name: getattr(cls, name) for name in cls.specs()}
        before, after = usual | dict(written), usual | dict(written) | dict(given)
        return {
            name: value
            for name, value in written.items()
            if not cls.unmet_need(name, after) or cls.unmet_need(name, before)
        }

    def check_effects(self, names: Iterable[str], *, prefix: str = "") -> None:
        """Raise an error for settings that have no effect.

        Args:
            names: The settings that the user gave.
            prefix: What messages write before a name: "stop.".

        Raises:
            UsageError: A setting has no effect; the message contains the value of the other setting that it needs.
        """
        for name in names:
            unmet = self.unmet_need(name, self.as_dict())
            if unmet is not None:
                raise UsageError(
                    f"`{prefix}{name}` has no effect with {prefix}{unmet[0]}={getattr(self, unmet[0])}, but got "
                    f"{shown(getattr(self, name))}: remove it, or set {_wanted(prefix, *unmet)}."
                )

    def following(self, size: TrainingSize, explicit: Collection[str]) -> Self:
        """Return the knobs, with the values that were not set adapted to the data.

        The declared rules apply first, in the order of declaration, then the bounds.

        Args:
            size: Size of the training set, and the number of workers.
            explicit: Names of the knobs that keep their values.
        """
        usual = self.as_dict()
        now = dict(usual)
        free = [name for name in usual if name not in explicit and self.has_effect(name)]
        for name in free:
            if follows := self.specs()[name].follows:
                now[name] = follows.rule(now[name], Facts(size, usual, now))
        for name in free:
            bound = self.bound_among(name, now, size.classes) if self.specs()[name].at_most else None
            if bound is not None and cast(float, now[name]) > bound:
                now[name] = bound
        return type(self)(**now)

    def described_changes(self, before: Self, size: TrainingSize, paper: Self) -> list[str]:
        """Return the changes by `following`, one line each: "hard_negatives 30 (the paper's 400; 4 classes allow 30)".

        Args:
            before: The knobs before the adaptation; the knobs that count epochs are already scaled to a given number
                of epochs.
            size: Size of the training set, and the number of workers.
            paper: The paper's setting, with the paper's number of epochs.
        """
        usual, now = before.as_dict(), self.as_dict()
        facts = Facts(size, usual, now)
        return [
            f"{name} {_in_words(now[name])} (the paper's {paper._with_run_length(name)}; "
            f"{_with_verb(self._decided(name, facts), less=_is_less(now[name], usual[name]))} {_in_words(now[name])})"
            for name in now
            if now[name] != usual[name]
        ]

    def _with_run_length(self, name: str) -> str:
        """Return a value as text, one that counts epochs with the number of epochs: "160, 180 of 200 epochs"."""
        values = self.as_dict()
        return _in_words(values[name]) + (f" of {values['epochs']} epochs" if self.specs()[name].in_epochs else "")

    def _decided(self, name: str, facts: Facts) -> str:
        """Return the cause of the value of a knob that is adapted to the data."""
        spec = self.specs()[name]
        if spec.follows and spec.follows.rule(facts.usual[name], facts) == facts.now[name]:
            return spec.follows.of(facts)
        if isinstance(spec.at_most, str):
            return f"{spec.at_most}={_in_words(facts.now[spec.at_most])}"
        return classes_of(facts) if spec.at_most else epochs_of(facts)

    def check_classes(self, classes: int, *, owner: str = "") -> None:
        """Check the bounds that depend on the data.

        Args:
            classes: Number of classes, K.
            owner: The method, for the message.

        Raises:
            UsageError: A knob is above the limit for this number of classes.
        """
        for name, spec in self.specs().items():
            bound = self.upper_bound(name, classes) if callable(spec.at_most) and self.has_effect(name) else None
            if bound is not None and getattr(self, name) > bound:
                raise UsageError(
                    f"`{name} <= {bound:g}` must hold with {classes} classes, but got {name}={getattr(self, name)}. "
                    f"Set {owner and owner + '.'}{name}={bound:g} or less, or remove it: the value then follows the "
                    "data."
                )

    def _check_order(self, name: str, other: str) -> None:
        if getattr(self, name) > getattr(self, other):
            raise UsageError(
                f"`{name} <= {other}` must hold, but got {name}={getattr(self, name)}, {other}={getattr(self, other)}."
            )

    @classmethod
    def check_value(cls, name: str, given: Any) -> Value:
        """Return `given` in the type of the knob `name`.

        Raises:
            UsageError: It has a wrong type, is not one of the choices, or is outside the legal range.
        """
        spec = cls.specs()[name]
        value: Value = as_type(name, cls.types()[name], given)
        if spec.refused and value != getattr(cls, name):
            raise UsageError(
                f"`{name}` has no effect here: {spec.refused}, but got {name}={shown(value)}. Remove the setting."
            )
        items = value if isinstance(value, tuple) else (value,)
        for item in items:
            if spec.choices is None or item in spec.choices or (spec.dotted and is_dotted_path(item)):
                continue
            if spec.by_device and item == AUTO:
                continue
            names = [*map(str, spec.choices), *([AUTO] if spec.by_device else [])]
            hint = nearest_or_dotted_path(item, names, "One") if spec.dotted else did_you_mean(str(item), names)
            raise UsageError(f"`{name}` must be one of {names}, but got {shown(item)}.{hint}")
        for number in items:
            if isinstance(number, str):
                continue
            below = spec.low is not None and not number >= spec.low
            if below or (spec.high is not None and not number <= spec.high):
                raise UsageError(f"`{_range(name, spec)}` must hold, but got {name}={shown(value)}.")
        return value


def _wanted(prefix: str, other: str, values: NeededValues) -> str:
    if isinstance(values, Above):
        return f"{prefix}{other} above {values.limit:g}"
    if isinstance(values, OrDotted):
        values = values.choices
    return " or ".join(f"{prefix}{other}={value}" for value in values)


def _in_words(value: Value) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_verb(decided: str, *, less: bool) -> str:
    """Return the cause with its verb: "4 classes allow", "1 epoch allows", "queue_size=8 allows"."""
    single = "=" in decided or (decided.startswith("1 ") and " and " not in decided)
    verb = ("allows" if single else "allow") if less else ("asks for" if single else "ask for")
    return f"{decided} {verb}"


def _is_less(now: Value, before: Value) -> bool:
    pair = (now, before)
    return any(isinstance(v, bool | tuple) for v in pair) or cast(float, now) < cast(float, before)


def _range(name: str, spec: Knob) -> str:
    left = "" if spec.low is None else f"{spec.low:g} <= "
    right = "" if spec.high is None else f" <= {spec.high:g}"
    return f"{left}{name}{right}"
