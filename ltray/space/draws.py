"""Draws of one trial's settings: by a sampler, from a given setting, or from a grid.

Only `SearchSpace.suggest` reads the space. It draws one value after another; the distribution of
each can depend on the values before it. The distributions in a study must not depend on them:
Optuna's samplers use a knob's first distribution for all trials, or ignore the knob
(TPE would never exceed the first trial's bound, CMA-ES and GP would draw at random). If the
bound of a knob depends on other knobs, the study therefore stores its share of the range, in [0, 1].
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
    """Return a knob's name in a study: `rescom.hard_positives (share)` if its bound depends on other knobs."""
    return f"{key} (share)" if key in moving else key


def label(choice: Any) -> Any:
    """Return the form of a choice in a study: the value, or text for a list (a study cannot store tuples)."""
    return ", ".join(map(str, choice)) if isinstance(choice, list | tuple) else choice


class StudyTrial:
    """Draws from an Optuna trial.

    Args:
        trial: The trial.
        moving: Keys whose bound depends on other knobs.
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
    """Draws the values that a function chooses, and records them in the study's form.

    Args:
        choose: Returns the value of a name in a distribution.
        moving: Keys whose bound depends on other knobs.

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
        key = study_name(name, self._moving)
        if name in self._moving:
            self.params[key], self.distributions[key] = share_of(value, distribution), SHARE
        elif isinstance(distribution, CategoricalDistribution):
            labels = [label(choice) for choice in distribution.choices]
            self.params[key], self.distributions[key] = label(value), CategoricalDistribution(labels)
        else:
            self.params[key], self.distributions[key] = value, distribution
        return value


class OutsideSpace(ValueError):
    """The space does not contain the setting."""


def given(settings: Mapping[str, Any]) -> Choose:
    """Choose the values of a setting.

    Args:
        settings: Flat settings.

    Returns:
        A function that raises OutsideSpace, with the value and the allowed values, if the space does
        not contain the setting.
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
    """Choose the lower end of a range, or the first value of a list."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low


def describe(distribution: Distribution) -> str:
    """Return a range or a list of values as text."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    return f"{distribution.low:g} … {distribution.high:g}"


def at_share(share: float, distribution: Distribution) -> Any:
    """Return the value at a share of a range: 0 is its lower end, 1 its upper end.

    Integers and values without an order get equal shares. On a logarithmic scale, an
    integer n gets the share of [n - 1/2, n + 1/2], as in Optuna.
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
