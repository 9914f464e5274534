"""Population based training: the copies of members after a generation, and their new settings."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ltray.errors import UsageError
from ltray.space.dimension import Dimension
from ltray.space.method_choice import Alternative
from ltray.space.search_space import SearchSpace

FACTORS = (0.8, 1.2)  # factors that change a value of a range; Jaderberg et al., appendix A


@dataclass(frozen=True)
class Copy:
    """The decision that a member discards its own training and continues from a better member.

    Attributes:
        source: Number of the trial from whose weights it continues.
        settings: Its new settings: those of the source with some changes.
    """

    source: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class Population:
    """All trials of a search, trained in parallel and compared at the end of every generation.

    Generations are synchronous: the worst members copy the best ones when all have finished the
    generation. The decisions are a function of the values, the settings and the seed, and do not
    depend on which trial was faster; a resumed search makes the same decisions.

    Source: Jaderberg et al., Population Based Training of Neural Networks, 2017
    (arXiv:1711.09846): truncation selection, perturbation by 0.8 or 1.2.

    Attributes:
        every: Epochs of a generation.
        epochs: Epochs of a complete run.
        share: The share of the population that copies, and that may be copied.
        seed: The seed of all random choices.
    """

    every: int
    epochs: int
    share: float
    seed: int

    @property
    def ends(self) -> tuple[int, ...]:
        """The epochs after which members copy each other."""
        return tuple(range(self.every, self.epochs, self.every))

    def copies(
        self, epoch: int, values: Mapping[int, float], settings: Mapping[int, Mapping[str, Any]], space: SearchSpace
    ) -> dict[int, Copy]:
        """Return the copy of each member that copies another member after an epoch.

        Args:
            epoch: One of `ends`.
            values: Value of every member that has reached the epoch, by trial number; at least one.
            settings: Its settings until then.
            space: The explored knobs.
        """
        ranked = sorted(values, key=lambda number: (-values[number], number))
        count = min(max(round(self.share * len(ranked)), 1), len(ranked) // 2)
        found = {}
        for number in ranked[len(ranked) - count :]:
            chance = random.Random(f"{self.seed}, {epoch}, {number}")
            source = chance.choice(ranked[:count])
            found[number] = Copy(source, explore(settings[source], space, chance))
        return found


def check_population(space: SearchSpace) -> None:
    """Check that a space can be used with population based training.

    Raises:
        UsageError: No explored knob may change during training, or there is only one member.
    """
    if not any(dimension.spec.dynamic for dimension in space.dimensions):
        raise UsageError(
            "`stop.rule: pbt` changes settings during training, but no explored setting can change then: "
            f"{', '.join(d.key for d in space.dimensions) or 'there are only rows'}. Explore a rate, a temperature or "
            "a loss weight, or choose another rule."
        )
    if space.search.trials < 2:
        raise UsageError(f"`stop.rule: pbt` needs a population, but search.trials={space.search.trials}.")


def explore(settings: Mapping[str, Any], space: SearchSpace, chance: random.Random) -> dict[str, Any]:
    """Return settings in which every explored knob that may change during training is changed within its bounds.

    If a change would make the value of a knob that may not change invalid, no knob changes.
    """
    alternative = next(a for a in space.alternatives if a.base.settings()["methods"] == list(settings["methods"]))
    changed = dict(settings)
    for dimension in alternative.dimensions:
        if dimension.spec.dynamic and dimension.key in changed:
            bound = alternative.upper_bound(dimension, changed, space.classes)
            changed[dimension.key] = _changed(dimension, changed[dimension.key], bound, chance)
    return changed if _is_legal(alternative, changed, space.classes) else dict(settings)


def _changed(dimension: Dimension, value: Any, bound: float | None, chance: random.Random) -> Any:
    if dimension.among is not None:
        allowed = [v for v in dimension.among if bound is None or v <= bound]
        at = allowed.index(value) if value in allowed else len(allowed) - 1
        return allowed[min(max(at + chance.choice((-1, 1)), 0), len(allowed) - 1)]
    assert dimension.low is not None and dimension.high is not None
    high = dimension.high if bound is None else min(dimension.high, bound)
    factor = chance.choice(FACTORS)
    new = value * factor
    if dimension.integer:  # change by at least one
        new = max(round(new), value + 1) if factor > 1 else min(round(new), value - 1)
    return min(max(new, dimension.low), high)


def _is_legal(alternative: Alternative, settings: Mapping[str, Any], classes: int) -> bool:
    bounds = {d.key: alternative.upper_bound(d, settings, classes) for d in alternative.dimensions if d.key in settings}
    return all(bound is None or settings[key] <= bound for key, bound in bounds.items())
