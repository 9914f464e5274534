"""Samplers: Optuna's samplers, each as a function of the study's record.

Every proposal builds a new sampler from its own seed and the content of the study.
With the same record, a resumed search therefore makes the same proposal as an uninterrupted one.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial

from ltray.errors import chosen
from ltray.strategies.prior import Prior, PriorSampler

GIVEN = "given"  # mark of a trial in the study


@dataclass(frozen=True)
class Proposal:
    """The inputs from which a sampler is built.

    Attributes:
        number: Number of proposals before this one.
        sampled: Number of those that a sampler drew; the others were given.
        ranges: The distributions of a trial in the study, if they are equal for all trials.
        earlier: Trials of earlier studies.
        seed: The seed of the search's proposals.
        attempt: Number of draws for this proposal before this one, which equal earlier trials.
        prior: The prior around the papers' setting, which only `prior` uses.
    """

    number: int
    sampled: int
    ranges: Mapping[str, BaseDistribution]
    earlier: list[FrozenTrial]
    seed: int
    attempt: int = 0
    prior: Prior = Prior({}, "medium", 1)

    @property
    def varying(self) -> dict[str, BaseDistribution]:
        """The ranges that contain more than one value."""
        return {name: range_ for name, range_ in self.ranges.items() if not range_.single()}

    @property
    def own_seed(self) -> int:
        """The seed of this proposal."""
        return (self.seed * 1_000_003 + self.number + self.attempt * 2_654_435_761) % 2**32


def is_given(trial: FrozenTrial) -> bool:
    """Return whether a trial's setting was given instead of drawn by a sampler."""
    return GIVEN in trial.user_attrs


def new_sampler(name: str, proposal: Proposal) -> BaseSampler | None:
    """Build the sampler of one proposal; None for "grid", whose points are not drawn.

    Args:
        name: A key of `SAMPLERS`.
        proposal: The inputs of the sampler.

    Raises:
        UsageError: No sampler has this name.
    """
    build = chosen(name, SAMPLERS, "a sampler")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return build(proposal) if build else None


class QuasiRandom(QMCSampler):
    """Scrambled Sobol points: the n-th proposal is the n-th point of one sequence.

    Optuna's class stores the number of used points in the study before it returns a point: if the
    process is killed between the two, a point is lost. It also draws its first trial at random.
    """

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(qmc_type="sobol", scramble=True, seed=proposal.seed)
        self._proposal = proposal

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the complete space, also for the first trial."""
        return dict(self._proposal.ranges)

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._proposal.sampled + self._proposal.attempt


class Gaussian(GPSampler):
    """A Gaussian process over the complete space; its first ten trials are random."""

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(seed=proposal.own_seed)
        self._proposal = proposal

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return every knob that can vary."""
        return self._proposal.varying


class Evolution(CmaEsSampler):
    """CMA-ES whose state is computed from the record.

    Optuna's class stores a pickle of it in the study; ltray never unpickles a study. A
    generation consists of the first trials to end among those drawn from it. Trials that
    were stopped count with their last value: only ranks within a generation matter, and a
    stopped trial ranks below those that continued.
    """

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(seed=proposal.own_seed, consider_pruned_trials=True, source_trials=proposal.earlier or None)
        self._proposal = proposal
        self._ended: list[FrozenTrial] = []

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return every knob that can vary."""
        return self._proposal.varying

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> None:
        self._ended = completed_trials

    def _init_optimizer(self, trans: Any, direction: optuna.study.StudyDirection) -> Any:
        optimizer = super()._init_optimizer(trans, direction)
        size = optimizer.population_size
        while len(drawn := self._get_solution_trials(self._ended, optimizer.generation)) >= size:
            # CMA-ES minimises.
            optimizer.tell([(trans.transform(t.params), -float(t.value or 0.0)) for t in drawn[:size]])
        return optimizer

    def _get_solution_trials(self, trials: list[FrozenTrial], generation: int) -> list[FrozenTrial]:
        drawn = [t for t in super()._get_solution_trials(trials, generation) if not is_given(t)]
        return sorted(drawn, key=lambda t: (t.datetime_complete, t.number))


def _tree_of_parzen_estimators(proposal: Proposal) -> BaseSampler:
    return TPESampler(multivariate=True, group=True, constant_liar=True, seed=proposal.own_seed)


SAMPLERS: Mapping[str, Callable[[Proposal], BaseSampler] | None] = {
    "tpe": _tree_of_parzen_estimators,
    "prior": lambda proposal: PriorSampler(proposal.prior, seed=proposal.own_seed),
    "random": lambda proposal: RandomSampler(seed=proposal.own_seed),
    "qmc": QuasiRandom,
    "grid": None,
    "cmaes": Evolution,
    "gp": Gaussian,
}
"""The function that builds each sampler, by name; None: nothing is drawn, the study uses the next point of the grid."""

OWN_STATE = ("cmaes",)
"""Samplers that recognise their own proposals by attributes of the trial: a proposal cannot be replaced by another."""

REPEATING = ("prior",)
"""Samplers that may propose the values of an earlier trial again, also of ranges of floats."""
