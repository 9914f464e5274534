"""How one trial's settings are drawn, and drawn again: for a sampler, a given setting, a grid.

`SearchSpace.suggest` is the only place that knows the space. It asks for one value after the
other, each from the distribution that the values before it leave. What a study holds must not
depend on those: Optuna's samplers take a knob's first distribution for all, or drop the knob
(TPE would never leave the first trial's bound, CMA-ES and GP would draw at random). A knob whose
bound moves with other knobs therefore stands in the study as its share of the range, in [0, 1].
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Range = IntDistribution | FloatDistribution
Distribution = Range | CategoricalDistribution
SHARE = FloatDistribution(0.0, 1.0)
Choose = Callable[[str, Distribution], Any]


def study_name(key: str, moving: Collection[str]) -> str:
    """Return what a study calls a knob: `rescom.hard_positives (share)` where its bound moves."""
    return f"{key} (share)" if key in moving else key


def label(choice: Any) -> Any:
    """Return what a study holds for a choice: itself, or a list in words (a study keeps no tuples)."""
    return ", ".join(map(str, choice)) if isinstance(choice, list | tuple) else choice


class StudyTrial:
    """Draws from an Optuna trial.

    Args:
        trial: The trial.
        moving: Keys whose bound moves with other knobs.
    """

    def __init__(self, trial: optuna.Trial, moving: Collection[str]) -> None:
        self._trial = trial
        self._moving = moving

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Draw an integer in [low, high]."""
        if name in self._moving:
            return int(at_share(self._share(name), IntDistribution(low, high, log=log)))
        return int(self._trial.suggest_int(name, low, high, log=log))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Draw a number in [low, high]."""
        if name in self._moving:
            return float(at_share(self._share(name), FloatDistribution(low, high, log=log)))
        return float(self._trial.suggest_float(name, low, high, log=log))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Draw one of `choices`."""
        if name in self._moving:
            return at_share(self._share(name), CategoricalDistribution(choices))
        by_label = {label(choice): choice for choice in choices}
        return by_label[self._trial.suggest_categorical(name, list(by_label))]

    def _share(self, name: str) -> float:
        return float(self._trial.suggest_float(study_name(name, self._moving), SHARE.low, SHARE.high))


class FixedTrial:
    """Draws what a function chooses, and notes what a study holds for it.

    Args:
        choose: Returns the value of a name in a distribution.
        moving: Keys whose bound moves with other knobs.

    Attributes:
        params: The values in the study's form, by the study's names.
        distributions: Their distributions.
    """

    def __init__(self, choose: Choose, moving: Collection[str]) -> None:
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self._choose = choose
        self._moving = moving

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Choose an integer in [low, high]."""
        return int(self._note(name, IntDistribution(low, high, log=log)))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Choose a number in [low, high]."""
        return float(self._note(name, FloatDistribution(low, high, log=log)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Choose one of `choices`."""
        return self._note(name, CategoricalDistribution(choices))

    def _note(self, name: str, distribution: Distribution) -> Any:
        value = self._choose(name, distribution)
        held = study_name(name, self._moving)
        if name in self._moving:
            self.params[held], self.distributions[held] = share_of(value, distribution), SHARE
        elif isinstance(distribution, CategoricalDistribution):
            labels = [label(choice) for choice in distribution.choices]
            self.params[held], self.distributions[held] = label(value), CategoricalDistribution(labels)
        else:
            self.params[held], self.distributions[held] = value, distribution
        return value


class OutsideSpace(ValueError):
    """A setting that the space does not contain."""


def given(settings: Mapping[str, Any]) -> Choose:
    """Choose the values of a setting.

    Args:
        settings: Flat settings.

    Returns:
        A function that raises OutsideSpace, naming the value and what is allowed, where the
        space does not contain the setting.
    """

    def choose(name: str, distribution: Distribution) -> Any:
        if name not in settings:
            raise OutsideSpace(f"`{name}` is not set there")
        value = tuple(settings[name]) if isinstance(settings[name], list) else settings[name]
        if not _contains(distribution, value):
            raise OutsideSpace(f"{name}={value!r} is not in {describe(distribution)}")
        return value

    return choose


def lowest(name: str, distribution: Distribution) -> Any:
    """Choose the lower end of a range, or the first of some values."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low


def describe(distribution: Distribution) -> str:
    """Return a range or some values in words."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    return f"{distribution.low:g} … {distribution.high:g}"


def at_share(share: float, distribution: Distribution) -> Any:
    """Return the value at a share of a range: 0 its lower end, 1 its upper end.

    Whole numbers and values without an order get equal shares; on a logarithmic scale a
    whole number gets the share of [n - 1/2, n + 1/2], as Optuna draws them.
    """
    if isinstance(distribution, CategoricalDistribution):
        count = len(distribution.choices)
        return distribution.choices[min(int(share * count), count - 1)]
    low, high = _ends(distribution)
    at = low + share * (high - low)
    value = math.exp(at) if distribution.log else at
    if isinstance(distribution, IntDistribution):
        return min(max(round(value), distribution.low), distribution.high)
    return min(max(float(f"{value:.12g}"), distribution.low), distribution.high)


def share_of(value: Any, distribution: Distribution) -> float:
    """Return the share at which `at_share` gives `value`."""
    if isinstance(distribution, CategoricalDistribution):
        return (distribution.choices.index(value) + 0.5) / len(distribution.choices)
    low, high = _ends(distribution)
    at = math.log(value) if distribution.log else value
    return (at - low) / (high - low) if high > low else 0.0


def _ends(distribution: Range) -> tuple[float, float]:
    half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
    low, high = distribution.low - half, distribution.high + half
    return (math.log(low), math.log(high)) if distribution.log else (low, high)


def _contains(distribution: Distribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and (not isinstance(distribution, IntDistribution) or value == int(value))
    return bool(whole and distribution.low <= value <= distribution.high)
