"""A sampler that starts at the papers' setting: proposals from a prior around it, around the best trial, or anywhere.

Each proposal is drawn from one of three densities over the space, on each knob's own scale and range:

* the space (uniform), whose share of the proposals is fixed by the strength of the prior;
* the prior: a truncated normal distribution around the papers' value of each knob, or a higher probability of the
  paper's choice. Its density is raised to the power β/n after n complete trials, so that it widens;
* the neighbourhood of the best trial, once there are enough complete trials.

The last two divide the rest by how well each explains the best trials. If the papers' setting is bad for the data, the
best trials are elsewhere, and few proposals are made around it.

Sources: Mallik et al., PriorBand, NeurIPS 2023, sec. 5 (mixture, division by the scores of the best third, mutation of
the best setting with σ = 0.25); Hvarfner et al., πBO, ICLR 2022, eq. 6 (decay of the prior, β = N/10). PriorBand's
share of the space is 1/(1 + η^r) at rung r; here every trial begins equally, and the strength takes the rung's place.
"""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from ltray.strategies.densities import Around, Mutation, ParameterDensity, Uniform

ETA = 3  # of PriorBand: one in η trials is one of the best, and after η complete trials the best one is used
MUTATION_RATE, MUTATION_WIDTH = 0.5, 0.25
PRIOR, BEST = 1, 2  # indices of a proposal's shares; 0 is the space


@dataclass(frozen=True)
class Strength:
    """How much a prior is trusted.

    Attributes:
        space: Share of the proposals that are drawn from the complete space.
        width: Standard deviation around a number, as a share of its range on its scale.
        odds: How much more probable the paper's choice is than each other choice.
    """

    space: float
    width: float
    odds: float


STRENGTHS: Mapping[str, Strength] = {
    "weak": Strength(1 / 2, 0.5, 2.0),
    "medium": Strength(1 / (1 + ETA), 0.25, 4.0),
    "strong": Strength(1 / (1 + ETA**2), 0.125, 6.0),
}
"""The strengths of a prior by name."""


@dataclass(frozen=True)
class Belief:
    """The prior of one parameter.

    Attributes:
        value: The value that is expected to be good, in the study's form.
        strength: A key of `STRENGTHS`.
    """

    value: Any
    strength: str


@dataclass(frozen=True)
class Prior:
    """The prior of a search.

    Attributes:
        beliefs: By parameter; one without a belief has equal density everywhere.
        strength: A key of `STRENGTHS`, which determines the share of the complete space.
        trials: Number of trials of the search, N.
    """

    beliefs: Mapping[str, Belief]
    strength: str
    trials: int

    def density(self, name: str, complete: int) -> ParameterDensity:
        """Return the density of a parameter after a number of complete trials."""
        belief = self.beliefs.get(name)
        if belief is None:
            return Uniform()
        power = min(1.0, self.trials / 10 / max(complete, 1))  # β/n
        strength = STRENGTHS[belief.strength]
        return Around(belief.value, strength.width / math.sqrt(power), strength.odds**power)

    def shares(self, ranked: Sequence[FrozenTrial]) -> tuple[float, float, float]:
        """Return the shares of the space, of the prior and of the neighbourhood of the best trial.

        Args:
            ranked: The complete trials, the best one first.
        """
        space = STRENGTHS[self.strength].space
        if len(ranked) < ETA:
            return space, 1.0 - space, 0.0
        top = ranked[: len(ranked) // ETA]
        by_prior = [_log_density(t, lambda name: self.density(name, len(ranked))) for t in top]
        by_best = [_log_density(t, lambda name: around(ranked[0], name)) for t in top]
        highest = max(*by_prior, *by_best)
        scores = [
            math.fsum((len(top) - rank) * math.exp(log - highest) for rank, log in enumerate(logs))
            for logs in (by_prior, by_best)
        ]
        prior = (1.0 - space) * scores[0] / sum(scores)
        return space, prior, 1.0 - space - prior


class PriorSampler(BaseSampler):
    """Proposes from the mixture; a function of the study's complete trials and the seed.

    Args:
        prior: The prior of the search.
        seed: The seed of the proposal.
    """

    def __init__(self, prior: Prior, *, seed: int) -> None:
        self._prior, self._seed = prior, seed

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return nothing: every parameter is drawn by itself, so that a space may have conditions."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing; see `infer_relative_search_space`."""
        return {}

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one parameter from the density that this proposal uses."""
        ranked = complete_trials(study)
        shares = self._prior.shares(ranked)
        source = np.random.default_rng(self._seed).choice(len(shares), p=shares)
        density: ParameterDensity = Uniform()
        if source == PRIOR:
            density = self._prior.density(param_name, len(ranked))
        elif source == BEST:
            density = around(ranked[0], param_name)
        chance = np.random.default_rng([self._seed, zlib.crc32(param_name.encode())])
        return density.draw(param_distribution, chance)


def around(best: FrozenTrial, name: str) -> ParameterDensity:
    """Return the density of a parameter in the neighbourhood of a trial; uniform if the trial does not have it."""
    return Mutation(best.params[name], MUTATION_RATE, MUTATION_WIDTH) if name in best.params else Uniform()


def complete_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the complete trials by their first objective, the best one first; of equal trials the first one."""
    sign = -1.0 if study.directions[0] == optuna.study.StudyDirection.MAXIMIZE else 1.0
    found = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(found, key=lambda trial: (sign * trial.values[0], trial.number))


def _log_density(trial: FrozenTrial, density_of: Callable[[str], ParameterDensity]) -> float:
    """Return the logarithm of the density of a trial's parameters."""
    return math.fsum(density_of(name).log(value, trial.distributions[name]) for name, value in trial.params.items())
