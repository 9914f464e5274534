"""Random numbers of each image: functions of the seed, the corruption and the image, not of its batch."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Draws:
    """The random numbers of a corruption for a batch of images.

    All severities have the same draws, so that a higher severity is the same noise, stronger.

    Attributes:
        generators: One for each image (N).
    """

    generators: tuple[np.random.Generator, ...]

    @classmethod
    def of(cls, corruption: str, keys: NDArray[np.int64], *, seed: int) -> "Draws":
        """Return the draws of some images.

        Args:
            corruption: Its name.
            keys: A number for each image (N,), not negative, such as its index in the data set.
            seed: Seed of the evaluation.
        """
        digest = hashlib.sha256(f"{corruption}/{seed}".encode()).digest()
        salt = int.from_bytes(digest[:8], "little")
        bits = (np.random.Philox(key=np.array([salt, key], dtype=np.uint64)) for key in keys.tolist())
        return cls(tuple(np.random.Generator(one) for one in bits))

    def normal(self, *shape: int) -> Floats:
        """Return standard normal values (N, *shape)."""
        return self._each(lambda one: one.standard_normal(shape, dtype=np.float32))

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Floats:
        """Return values between `low` and `high` (N, *shape)."""
        return low + np.float32(high - low) * self._each(lambda one: one.random(shape, dtype=np.float32))

    def integers(self, *shape: int, low: int, high: int) -> NDArray[np.int64]:
        """Return whole numbers from `low` to `high` − 1 (N, *shape)."""
        return np.stack([one.integers(low, high, shape) for one in self.generators])

    def poisson(self, rates: Floats) -> Floats:
        """Return Poisson counts for the rates of each image (N, …)."""
        counts = [one.poisson(rate) for one, rate in zip(self.generators, rates, strict=True)]
        return np.stack(counts).astype(np.float32)

    def _each(self, draw: Callable[[np.random.Generator], Floats]) -> Floats:
        return np.stack([draw(one) for one in self.generators])
