"""Densities of one parameter: uniform, around a value, and a mutation of a value.

Numbers are compared on the unit interval, to which a distribution's range is mapped on its own scale; an integer n
covers the interval from n - 1/2 to n + 1/2, as in Optuna.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


class ParameterDensity(Protocol):
    """A probability density over the values of any distribution's domain."""

    def draw(self, domain: BaseDistribution, chance: np.random.Generator) -> Any:
        """Return a random value."""
        ...

    def log(self, value: Any, domain: BaseDistribution) -> float:
        """Return the logarithm of the density at a value, relative to the uniform density."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Equal density at all values."""

    def draw(self, domain: BaseDistribution, chance: np.random.Generator) -> Any:
        """Return a random value."""
        if isinstance(domain, CategoricalDistribution):
            return domain.choices[chance.integers(len(domain.choices))]
        return at(chance.random(), domain)

    def log(self, value: Any, domain: BaseDistribution) -> float:
        """Return 0."""
        return 0.0


@dataclass(frozen=True)
class Around:
    """A normal distribution around a number, truncated to the range; one choice is more probable than the others.

    Attributes:
        value: The number or choice; a number outside the range counts as the nearest end, an unknown choice as none.
        width: Standard deviation on the unit interval.
        odds: Ratio of the choice's probability to that of another choice.
    """

    value: Any
    width: float
    odds: float

    def draw(self, domain: BaseDistribution, chance: np.random.Generator) -> Any:
        """Return a random value."""
        if isinstance(domain, CategoricalDistribution):
            chances = np.array([self.odds if choice == self.value else 1.0 for choice in domain.choices])
            return domain.choices[chance.choice(len(chances), p=chances / chances.sum())]
        normal = self._normal(domain)
        low, high = normal.cdf(0.0), normal.cdf(1.0)
        return at(normal.inv_cdf(low + (high - low) * (1.0 - chance.random())), domain)

    def log(self, value: Any, domain: BaseDistribution) -> float:
        """Return the logarithm of the density at a value, relative to the uniform density."""
        if isinstance(domain, CategoricalDistribution):
            known = self.value in domain.choices
            total = len(domain.choices) - 1 + self.odds if known else len(domain.choices)
            return math.log((self.odds if known and value == self.value else 1.0) * len(domain.choices) / total)
        normal = self._normal(domain)
        exponent = -0.5 * ((position(value, domain) - normal.mean) / normal.stdev) ** 2
        scale = normal.stdev * math.sqrt(2 * math.pi) * (normal.cdf(1.0) - normal.cdf(0.0))
        return exponent - math.log(scale)

    def _normal(self, domain: BaseDistribution) -> NormalDist:
        return NormalDist(min(max(position(self.value, domain), 0.0), 1.0), self.width)


@dataclass(frozen=True)
class Mutation:
    """A value that stays with some probability and is else drawn around itself; another choice is drawn uniformly.

    Attributes:
        value: The value.
        rate: Probability of a change.
        width: Standard deviation of the change on the unit interval.
    """

    value: Any
    rate: float
    width: float

    def draw(self, domain: BaseDistribution, chance: np.random.Generator) -> Any:
        """Return a random value."""
        if chance.random() >= self.rate and _contains(domain, self.value):
            return self.value
        if isinstance(domain, CategoricalDistribution):
            return Uniform().draw(domain, chance)
        return Around(self.value, self.width, 1.0).draw(domain, chance)

    def log(self, value: Any, domain: BaseDistribution) -> float:
        """Return the logarithm of the density of a changed number, or of a choice that may have stayed."""
        odds = 1.0
        if isinstance(domain, CategoricalDistribution):
            odds = 1.0 + len(domain.choices) * (1.0 - self.rate) / self.rate
        return Around(self.value, self.width, odds).log(value, domain)


def position(value: float, domain: BaseDistribution) -> float:
    """Return the position of a number on the unit interval."""
    low, high, log = _ends(domain)
    return ((math.log(value) if log else value) - low) / (high - low) if high > low else 0.5


def at(share: float, domain: BaseDistribution) -> Any:
    """Return the number at a position of the unit interval."""
    low, high, log = _ends(domain)
    found = low + min(max(share, 0.0), 1.0) * (high - low)
    found = math.exp(found) if log else found
    assert isinstance(domain, IntDistribution | FloatDistribution)
    if isinstance(domain, IntDistribution):
        found = domain.low + round((found - domain.low) / domain.step) * domain.step
    return min(max(found, domain.low), domain.high)


def _ends(domain: BaseDistribution) -> tuple[float, float, bool]:
    assert isinstance(domain, IntDistribution | FloatDistribution)
    half = domain.step / 2 if isinstance(domain, IntDistribution) and domain.high > domain.low else 0.0
    low, high = domain.low - half, domain.high + half
    return (math.log(low), math.log(high), True) if domain.log else (low, high, False)


def _contains(domain: BaseDistribution, value: Any) -> bool:
    if isinstance(domain, CategoricalDistribution):
        return value in domain.choices
    assert isinstance(domain, IntDistribution | FloatDistribution)
    return bool(domain.low <= value <= domain.high)
