"""One sequence of methods of a search: what is fixed for it and what is explored of it."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.knobs import Needs
from ltray.recipe import Recipe
from ltray.space.dimension import Dimension


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
class Alternative:
    """Methods that continue from one another, with their fixed settings and their ranges.

    Attributes:
        base: The experiment with everything fixed and the papers' values elsewhere.
        fixed: Flat settings that its trials share.
        dimensions: What is explored, in an order in which bounds come before what they bound.
    """

    base: Experiment
    fixed: Mapping[str, Any]
    dimensions: tuple[Dimension, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods' names, in order."""
        return tuple(method.name for method in self.base.methods)

    def suggest(self, draw: Draw, classes: int) -> dict[str, Any]:
        """Draw a trial's flat settings; every draw is legal by construction."""
        drawn: dict[str, Any] = {}
        for dimension in self.dimensions:
            if self._has_effect(dimension, drawn):
                drawn[dimension.key] = dimension.draw(draw, self.upper_bound(dimension, drawn, classes))
        return dict(self.fixed) | drawn

    def paper_params(self) -> dict[str, Any]:
        """Return the papers' value of every explored knob that has an effect with them."""
        return {d.key: self._paper_value(d) for d in self.dimensions if self._has_effect(d, {})}

    def grid(self, classes: int) -> Iterator[dict[str, Any]]:
        """Yield every legal combination of the explored values, the last knob changing fastest.

        Raises:
            UsageError: A knob has a range instead of values.
        """
        for dimension in self.dimensions:
            if dimension.among is None:
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` has the range {dimension.describe()}, but a grid "
                    "needs values: write `among: [...]`, or choose another search.sampler."
                )
        seen: list[dict[str, Any]] = []
        for values in itertools.product(*(dimension.among or () for dimension in self.dimensions)):
            point = {d.key: value for d, value in zip(self.dimensions, values, strict=True)}
            point = {d.key: point[d.key] for d in self.dimensions if self._has_effect(d, point)}
            bounds = {key: self.upper_bound(d, point, classes) for d in self.dimensions if (key := d.key) in point}
            if point not in seen and all(b is None or point[key] <= b for key, b in bounds.items()):
                seen.append(point)
                yield point

    def with_papers(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` and the papers' value of every other explored knob that has an effect with them.

        Raises:
            UsageError: One of `values` has none.
        """
        known = {dimension.key: self._paper_value(dimension) for dimension in self.dimensions} | dict(values)
        found = {d.key: known[d.key] for d in self.dimensions if self._has_effect(d, known)}
        for key in values.keys() - found.keys():
            raise UsageError(f"`search.first_try`: `{key}` has no effect in {dict(values)}.")
        return found

    def conditional(self) -> list[Dimension]:
        """Return the explored knobs that have an effect only with some values of another explored one."""
        explored = {(dimension.method, dimension.name) for dimension in self.dimensions}
        return [d for d in self.dimensions if d.spec.needs and (d.method, d.spec.needs[0]) in explored]

    def moving(self, classes: int) -> list[str]:
        """Return the explored knobs whose range can end at another explored knob."""
        lows = {dimension.key: dimension.lowest for dimension in self.dimensions}
        bounds = [(dimension, self.upper_bound(dimension, lows, classes)) for dimension in self.dimensions]
        return [d.key for d, bound in bounds if bound is not None and not all(v <= bound for v in d.ends)]

    def check(self, classes: int, *, with_paper: bool) -> None:
        """Check the ranges against one another.

        Args:
            classes: Number of classes, K.
            with_paper: Whether the papers' setting is to be tried.

        Raises:
            UsageError: A range that other knobs rule out, or that leaves the papers' value out.
        """
        lows = {dimension.key: dimension.lowest for dimension in self.dimensions}
        for dimension in self.dimensions:
            bound = self.upper_bound(dimension, lows, classes)
            if bound is not None and dimension.low is not None and dimension.low > bound:
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` starts at {dimension.low}, but other knobs of the space "
                    f"allow at most {bound:g}. Lower `from`, or raise the other knob's."
                )
            self._check_effect(dimension)
            paper = self._paper_value(dimension)
            if with_paper and not dimension.contains(paper):
                raise UsageError(
                    f"{dimension.where}`{dimension.key}` leaves out the papers' value {paper!r}, which is to be the "
                    "first trial. Widen the range, or set search.first_try=none."
                )

    def _check_effect(self, dimension: Dimension) -> None:
        unmet = self._unmet_need(dimension, {})
        if unmet is None:
            return
        other, _ = unmet
        if not any(d.key == f"{dimension.method}.{other}" for d in self.dimensions):
            raise UsageError(
                f"{dimension.where}`{dimension.key}` has no effect with "
                f"{other}={getattr(self._knobs(dimension.method), other)}. Leave it out, or explore or fix `{other}`."
            )

    def upper_bound(self, dimension: Dimension, drawn: Mapping[str, Any], classes: int) -> float | None:
        """Return the bound that the knobs drawn so far leave for `dimension`, or None."""
        if dimension.spec.at_most is None:
            return None
        values = {d.name: drawn.get(d.key, d.lowest) for d in self.dimensions if d.method == dimension.method}
        values[dimension.name] = dimension.lowest
        knobs = self._knobs(dimension.method)
        # Built without checks: other knobs' bounds are met once all are drawn.
        trial = object.__new__(type(knobs))
        trial.__dict__.update(knobs.as_dict() | values)
        return trial.upper_bound(dimension.name, classes)

    def _has_effect(self, dimension: Dimension, drawn: Mapping[str, Any]) -> bool:
        """Return whether a knob matters with what is drawn so far, and the papers' values elsewhere."""
        return self._unmet_need(dimension, drawn) is None

    def _unmet_need(self, dimension: Dimension, drawn: Mapping[str, Any]) -> Needs | None:
        knobs = self._knobs(dimension.method)
        values = {name: drawn.get(f"{dimension.method}.{name}", value) for name, value in knobs.as_dict().items()}
        return knobs.unmet_need(dimension.name, values)

    def _paper_value(self, dimension: Dimension) -> Any:
        return getattr(self._knobs(dimension.method), dimension.name)

    def _knobs(self, method: str) -> Recipe:
        return next(k for m, k in zip(self.base.methods, self.base.knobs, strict=True) if m.name == method)
