"""One sequence of methods of a search: its fixed settings and its explored knobs."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from ltray.errors import UsageError
from ltray.experiment import Experiment, explicit_knobs
from ltray.following import Facts, TrainingSize
from ltray.knobs import AUTO, Needs
from ltray.recipe import Recipe
from ltray.settings import plain
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
    """Methods in sequence, with their fixed settings and their ranges.

    Attributes:
        base: The experiment with the fixed settings, and the papers' values for the rest; these
            follow the data once the data are known.
        fixed: Flat settings of all its trials, each used in the trials in which it has an effect.
        dimensions: The explored knobs; each comes after the knobs that bound it.
        size: Size of the training set, for values that follow it; None: all values are the user's or the papers'.
    """

    base: Experiment
    fixed: Mapping[str, Any]
    dimensions: tuple[Dimension, ...]
    size: TrainingSize | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods' names, in order."""
        return tuple(method.name for method in self.base.methods)

    def suggest(self, draw: Draw, classes: int) -> dict[str, Any]:
        """Draw a trial's flat settings; every draw is valid by construction."""
        drawn: dict[str, Any] = {}
        for dimension in self.dimensions:
            if self._has_effect(dimension, drawn):
                drawn[dimension.key] = dimension.draw(draw, self.upper_bound(dimension, drawn, classes))
        return self.with_drawn(drawn)

    def with_drawn(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return a trial's settings: the fixed ones with an effect, the drawn ones, and those that follow from both."""
        return self._completed(self._fixed_with(drawn) | dict(drawn))

    def following(self, size: TrainingSize) -> Self:
        """Return the alternative in which values that the user has not set, and `auto` ranges, follow the data."""
        suited = replace(self, base=self.base.following(size), size=size)
        for index, dimension in enumerate(self.dimensions):
            usual, now = self.knobs(dimension.method).as_dict(), suited.knobs(dimension.method).as_dict()
            lows = {d.key: d.lowest for d in suited.dimensions}
            own = dimension.suited(
                Facts(size, usual, now),
                paper=now[dimension.name],
                bound=suited.upper_bound(dimension, lows, size.classes),
            )
            suited = replace(suited, dimensions=(*suited.dimensions[:index], own, *suited.dimensions[index + 1 :]))
        return suited

    def determined(self, values: Mapping[str, str]) -> Self:
        """Return the alternative with these values for the knobs that are `auto`; see `Experiment.determined`."""
        return replace(self, base=self.base.determined(values), fixed=determined_settings(self.fixed, values))

    def _fixed_with(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fixed settings without the knobs that have no effect with the drawn values."""
        return {key: value for key, value in self.fixed.items() if not self._is_idle(key, drawn)}

    def _is_idle(self, key: str, drawn: Mapping[str, Any]) -> bool:
        method, _, name = key.partition(".")
        return method in self.methods and self.unmet_need(method, name, drawn) is not None

    def _completed(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return a trial's settings with the values that follow the data and the other settings."""
        found = dict(settings)
        for method in self.base.methods if self.size else ():
            explicit = {name: settings[f"{method.name}.{name}"] for name in explicit_knobs(settings, method.name)}
            usual = method.knobs.resolve(self.base.dataset.profile, explicit)
            assert self.size is not None
            now = usual.following(self.size, explicit)
            found |= {f"{method.name}.{n}": plain(v) for n, v in now.as_dict().items() if v != getattr(usual, n)}
        return found

    def paper_params(self) -> dict[str, Any]:
        """Return the papers' value of every explored knob that has an effect in the papers' setting."""
        return {d.key: self.paper_value(d) for d in self.dimensions if self._has_effect(d, {})}

    def grid(self, classes: int) -> Iterator[dict[str, Any]]:
        """Yield every valid combination of the explored values; the last knob changes fastest.

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

    def may_repeat(self) -> bool:
        """Return whether two draws can be equal: no range of floats has an effect in every trial."""
        conditional = self.conditional()
        return not any(d.values(None) is None and d not in conditional for d in self.dimensions)

    def distinct_settings(self, classes: int, *, limit: int) -> list[dict[str, Any]] | None:
        """Return the explored values of every different trial; None if there are more than `limit`.

        Args:
            classes: Number of classes, K.
            limit: At least 1.
        """
        points = list(itertools.islice(self._settings_from(0, {}, classes), limit + 1))
        found = [point for point in points if point is not None]
        return found if len(found) == len(points) <= limit else None

    def _settings_from(self, index: int, drawn: dict[str, Any], classes: int) -> Iterator[dict[str, Any] | None]:
        """Yield the settings that begin with some values; None for a branch with a range of floats."""
        if index == len(self.dimensions):
            yield drawn
            return
        dimension = self.dimensions[index]
        if not self._has_effect(dimension, drawn):
            yield from self._settings_from(index + 1, drawn, classes)
            return
        values = dimension.values(self.upper_bound(dimension, drawn, classes))
        if values is None:
            yield None
            return
        for value in values:
            yield from self._settings_from(index + 1, drawn | {dimension.key: value}, classes)

    def with_papers(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` and the papers' value of every other explored knob that has an effect with them.

        Raises:
            UsageError: One of `values` has no effect.
        """
        known = {dimension.key: self.paper_value(dimension) for dimension in self.dimensions} | dict(values)
        classes = self.size.classes if self.size else 0
        found: dict[str, Any] = {}
        for dimension in self.dimensions:
            if self._has_effect(dimension, known):
                value, bound = known[dimension.key], self.upper_bound(dimension, found, classes) if classes else None
                explicit = dimension.key in values
                found[dimension.key] = value if explicit else dimension.nearest(value, bound)
        for key in values.keys() - found.keys():
            raise UsageError(f"`search.first_try`: `{key}` has no effect in {dict(values)}.")
        return found

    def conditional(self) -> list[Dimension]:
        """Return the explored knobs that have an effect only with some values of another explored knob."""
        explored = {(dimension.method, dimension.name): dimension for dimension in self.dimensions}
        found = []
        for dimension in self.dimensions:
            other, wanted = dimension.spec.needs or ("", ())
            needed = explored.get((dimension.method, other))
            if needed and not needed.always(wanted):
                found.append(dimension)
        return found

    def moving(self, classes: int) -> list[str]:
        """Return the explored knobs whose upper bound can depend on another explored knob."""
        lows = {dimension.key: dimension.lowest for dimension in self.dimensions}
        bounds = [(dimension, self.upper_bound(dimension, lows, classes)) for dimension in self.dimensions]
        return [d.key for d, bound in bounds if bound is not None and not all(v <= bound for v in d.ends)]

    def upper_bound(self, dimension: Dimension, drawn: Mapping[str, Any], classes: int) -> float | None:
        """Return the bound of `dimension` that follows from the knobs drawn so far, or None."""
        if dimension.spec.at_most is None:
            return None
        values = {d.name: drawn.get(d.key, d.lowest) for d in self.dimensions if d.method == dimension.method}
        knobs = self.knobs(dimension.method)
        return knobs.bound_among(dimension.name, knobs.as_dict() | values, classes)

    def _has_effect(self, dimension: Dimension, drawn: Mapping[str, Any]) -> bool:
        """Return whether a knob has an effect with the values drawn so far, and the papers' values for the rest."""
        return self.unmet_need(dimension.method, dimension.name, drawn) is None

    def unmet_need(self, method: str, name: str, drawn: Mapping[str, Any]) -> Needs | None:
        """Return the unmet `needs` because of which a knob has no effect so far, or None if it has an effect."""
        knobs = self.knobs(method)
        values = {known: drawn.get(f"{method}.{known}", value) for known, value in knobs.as_dict().items()}
        return knobs.unmet_need(name, values)

    def paper_value(self, dimension: Dimension) -> Any:
        """Return the papers' value of an explored knob, which follows the data."""
        return getattr(self.knobs(dimension.method), dimension.name)

    def knobs(self, method: str) -> Recipe:
        """Return the knobs of one of the methods in `base`."""
        return next(k for m, k in zip(self.base.methods, self.base.knobs, strict=True) if m.name == method)


def determined_settings(settings: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """Return flat settings with values for the knobs that are `auto`.

    Args:
        settings: Values by full name, `<method>.<knob>`.
        values: Values by the name of a knob.
    """
    return {
        key: values.get(key.partition(".")[2], value) if value == AUTO else value for key, value in settings.items()
    }
