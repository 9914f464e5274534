"""One explored knob: its range or its values, checked against the knob's declaration."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from ltray.errors import UsageError, did_you_mean, shown
from ltray.following import Facts
from ltray.knobs import AUTO, Above, Knob, NeededValues
from ltray.recipe import Recipe
from ltray.stage import Method
from ltray.strategies.prior import STRENGTHS
from ltray.typed import as_type

KEYS = ("from", "to", "log", "among", "follow", "prior")
LAST = 100  # more than any chain of conditions


@dataclass(frozen=True)
class Dimension:
    """A range [low, high] or a list of values for one knob.

    Attributes:
        method: The method's name.
        name: The knob's name.
        spec: The knob's declaration.
        integer: Whether a range contains integers only.
        low: Lower end, or None for a list of values.
        high: Upper end, or None for a list of values.
        log: Whether a range is drawn on a logarithmic scale.
        among: The values, or None for a range.
        where: "file:line: " for messages.
        auto: Whether it follows the data: it is the knob's own range (`auto`), or was written with `follow: true`.
        prior: Strength of the prior around the papers' value; "": that of the search.
    """

    method: str
    name: str
    spec: Knob
    integer: bool
    low: float | None
    high: float | None
    log: bool
    among: tuple[Any, ...] | None
    where: str
    auto: bool = False
    prior: str = ""

    @classmethod
    def read(cls, method: Method, name: str, content: Any, *, where: str) -> Self:
        """Read `{from, to, log}`, `{among: [...]}`, a list, or `auto` (the knob's own range), each with its options.

        Raises:
            UsageError: A key is unknown, a range is empty or not valid, or a value has a wrong type.
        """
        spec, kind = method.knobs.specs()[name], method.knobs.types()[name]
        if trains_nothing(method) and name in Recipe.specs():
            raise UsageError(f"{where}`{method.name}` has no training: its `{name}` has no effect.")
        auto = content == AUTO
        if auto:
            content = _own_range(f"{method.name}.{name}", spec, kind, where)
        if isinstance(content, list):
            content = {"among": content}
        if not isinstance(content, Mapping) or not content:
            raise UsageError(f"{where}must be `auto`, a list, {{from, to}} or {{among}}, but got {shown(content)}.")
        for key in content:
            if key == "among" and ("from" in content or "to" in content):
                raise UsageError(f"{where}`among` is a list of values and `from`, `to` are a range; keep one of them.")
            if key not in KEYS:
                raise UsageError(f"{where}`{key}` is not a key of a range.{did_you_mean(str(key), KEYS)}")
        auto, prior = auto or _flag(content, "follow", where), _prior(content, where)
        low, high, among = content.get("from"), content.get("to"), content.get("among")
        values = _values(among, where) if "among" in content else _ends(low, high, kind, where)
        checked = [_legal(method, name, value, where) for value in values]
        if len(set(map(repr, checked))) < len(checked):
            raise UsageError(f"{where}`among` repeats a value: {shown(among)}.")
        log = _log(content, where) if "log" in content else spec.log and "among" not in content
        if "among" in content:
            return cls(method.name, name, spec, kind is int, None, None, False, tuple(checked), where, auto, prior)
        if log and checked[0] <= 0:
            raise UsageError(f"{where}`log` needs `from` > 0, but got from={checked[0]}.")
        return cls(method.name, name, spec, kind is int, checked[0], checked[1], log, None, where, auto, prior)

    @property
    def key(self) -> str:
        """The setting's full name."""
        return f"{self.method}.{self.name}"

    @property
    def changes_length(self) -> bool:
        """Whether a trial's number of epochs depends on this knob."""
        return self.name.endswith("epochs") or self.spec.changes_length

    def suited(self, facts: Facts, *, paper: Any, bound: float | None) -> Self:
        """Return the range for the data; a range that was written without `follow` does not change.

        The range follows the data as the knob's default does. It contains the papers' value, and its lower end is
        low enough for every value of the knobs that bound it.

        Args:
            facts: The data, and the values of the method's other knobs.
            paper: The papers' value, which also follows the data.
            bound: The smallest bound that the other knobs set, or None.
        """
        if not self.auto:
            return self
        rule = self.spec.follows.rule if self.spec.follows else lambda value, facts: value
        ends = [rule(value, facts) for value in self.ends]
        if bound is not None and min(ends) > bound:
            ends = [int(bound) if self.integer else bound, *ends]
        if self.among is not None:
            return replace(self, among=tuple(dict.fromkeys([*ends, paper])))
        values = ends if self.log and paper <= 0 else [*ends, paper]
        return replace(self, low=min(values), high=max(values))

    @property
    def lowest(self) -> Any:
        """The smallest value that can be drawn; the first one if the values have no order."""
        if self.among is None:
            return self.low
        numeric = all(isinstance(v, int | float) for v in self.among)
        return min(self.among) if numeric else self.among[0]

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values of a list, or the two ends of a range."""
        return (self.low, self.high) if self.among is None else self.among

    def always(self, wanted: NeededValues) -> bool:
        """Return whether every value that can be drawn is among the given ones."""
        return self._has(wanted, all)

    def ever(self, wanted: NeededValues) -> bool:
        """Return whether any value that can be drawn is among the given ones."""
        return self._has(wanted, any)

    def _has(self, wanted: NeededValues, of: Callable[[Iterable[bool]], bool]) -> bool:
        if self.among is None and self.integer and not isinstance(wanted, Above):
            assert self.low is not None and self.high is not None
            return of(value in wanted for value in range(int(self.low), int(self.high) + 1))
        return of(value in wanted for value in self.ends)

    def nearest(self, value: Any, bound: float | None) -> Any:
        """Return the value if it can be drawn, otherwise the nearest lower value that the bound allows."""
        if bound is None or value <= bound:
            return value
        if self.among is not None:
            return max((v for v in self.among if v <= bound), default=value)
        return int(bound) if self.integer else bound

    def values(self, bound: float | None) -> Sequence[Any] | None:
        """Return every value that can be drawn, at most `bound` if another knob sets it; None: a range of floats."""
        if self.among is not None:
            return [value for value in self.among if bound is None or value <= bound]
        assert self.low is not None and self.high is not None
        high = self.high if bound is None else min(self.high, bound)
        if self.integer:
            return range(int(self.low), int(high) + 1)
        return [self.low] if self.low == high else None

    def contains(self, value: Any) -> bool:
        """Return whether `value` can be drawn."""
        if self.among is not None:
            return value in self.among
        assert self.low is not None and self.high is not None
        return bool(self.low <= value <= self.high)

    def draw(self, trial: Any, bound: float | None) -> Any:
        """Draw a value, at most `bound` if another knob sets one.

        Args:
            trial: An `optuna.Trial`.
            bound: Largest valid value, or None.
        """
        if self.among is not None:
            values = [v for v in self.among if bound is None or v <= bound]
            return trial.suggest_categorical(self.key, values)
        assert self.low is not None and self.high is not None
        high = self.high if bound is None else min(self.high, bound)
        if self.integer:
            return trial.suggest_int(self.key, int(self.low), int(high), log=self.log)
        return trial.suggest_float(self.key, self.low, high, log=self.log)

    def describe(self) -> str:
        """Return the range as text: `0.05 … 0.5 (log)` or `4, 8, 16`; with its own prior, `…, prior strong`."""
        return self._described() + (f", prior {self.prior}" if self.prior else "")

    def _described(self) -> str:
        if self.among is not None:
            return ", ".join(map(str, self.among))
        if self.low == self.high:
            return f"{self.low:g}"
        return f"{self.low:g} … {self.high:g}{' (log)' if self.log else ''}"


def in_order(dimensions: Sequence[Dimension]) -> tuple[Dimension, ...]:
    """Return the dimensions in the order of draws: each knob comes after the knobs on which it depends."""
    explored = {dimension.key: dimension for dimension in dimensions}

    def rank(dimension: Dimension) -> int:
        if dimension.spec.at_most is not None:
            return LAST
        if dimension.spec.needs is None:
            return 0
        other, wanted = dimension.spec.needs
        needed = explored.get(f"{dimension.method}.{other}")
        if needed is None:
            return 1
        return 0 if needed.always(wanted) else 1 + rank(needed)

    return tuple(sorted(dimensions, key=rank))


def worth_exploring(method: Method) -> list[str]:
    """Return the knobs that declare a range, have an effect by default and do not change a trial's length."""
    idle = set(Recipe.specs()) if trains_nothing(method) else set()
    usual = {name: getattr(method.knobs, name) for name in method.knobs.specs()}
    for name, spec in method.knobs.specs().items():
        if spec.changes_length or method.knobs.unmet_need(name, usual):
            idle.add(name)
    return [name for name, spec in method.knobs.specs().items() if spec.search and name not in idle]


def trains_nothing(method: Method) -> bool:
    """Return whether a method has no epochs, so that the training recipe has no effect."""
    return method.knobs.specs()["epochs"].high == 0


def _own_range(key: str, spec: Knob, kind: Any, where: str) -> dict[str, Any]:
    search = spec.search or spec.choices or ((False, True) if kind is bool else None)
    if search is None:
        raise UsageError(f"{where}`{key}` has no default range to explore; write {{from, to}} or {{among}}.")
    if kind in (int, float) and len(search) == 2:
        return {"from": search[0], "to": search[1], "log": spec.log}
    return {"among": list(search)}


def _values(among: Any, where: str) -> list[Any]:
    if not isinstance(among, list) or not among:
        raise UsageError(f"{where}`among` must be a list with at least one value, but got {shown(among)}.")
    return among


def _log(content: Mapping[str, Any], where: str) -> bool:
    if "among" in content:
        raise UsageError(f"{where}`log` has no effect with `among`; it is used with `from` and `to`.")
    return _flag(content, "log", where)


def _prior(content: Mapping[str, Any], where: str) -> str:
    """Return the strength of a knob's own prior; "" if there is none."""
    given = content.get("prior", "")
    if "prior" in content and given not in list(STRENGTHS):
        raise UsageError(f"{where}`prior` must be one of {list(STRENGTHS)}, but got {shown(given)}.")
    return str(given)


def _flag(content: Mapping[str, Any], key: str, where: str) -> bool:
    """Return an option of a range that is true or false; false if it is missing."""
    try:
        return bool(as_type(key, bool, content.get(key, False)))
    except UsageError as error:
        raise UsageError(f"{where}{error}") from error


def _ends(low: Any, high: Any, kind: Any, where: str) -> list[Any]:
    if kind not in (int, float):
        raise UsageError(f"{where}only numbers can have a range; write `among: [...]`.")
    if low is None or high is None:
        raise UsageError(f"{where}a range needs `from` and `to`, but got from={low}, to={high}.")
    try:
        low, high = as_type("from", kind, low), as_type("to", kind, high)
    except UsageError as error:
        raise UsageError(f"{where}{error}") from error
    if not low < high:
        raise UsageError(f"{where}`from < to` must hold, but got from={low}, to={high}.")
    return [low, high]


def _legal(method: Method, name: str, value: Any, where: str) -> Any:
    """Return `value` in the knob's type, and check it against the knob's own range."""
    if value == AUTO and method.knobs.specs()[name].by_device:
        raise UsageError(
            f"{where}`{name}: {AUTO}` is determined once for all trials and cannot be explored; write it in `fix`."
        )
    try:
        return method.knobs.check_value(name, value)
    except UsageError as error:
        raise UsageError(f"{where}{error}") from error
