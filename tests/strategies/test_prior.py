"""The sampler `prior`: the published mixture on a toy, and recovery from a prior that is bad for the data."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ltray.strategies.densities import Around, Mutation, ParameterDensity, Uniform, at, position
from ltray.strategies.prior import STRENGTHS, Belief, Prior, PriorSampler, complete_trials

X = FloatDistribution(0.0, 1.0)
DOMAINS = (X, FloatDistribution(1e-4, 10.0, log=True), IntDistribution(2, 9), IntDistribution(1, 64, log=True))


def complete(x: float, value: float) -> FrozenTrial:
    return create_trial(params={"x": x}, distributions={"x": X}, value=value)


def proposals(prior: Prior, trials: list[FrozenTrial], *, count: int) -> list[float]:
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    found = []
    for seed in range(count):
        study.sampler = PriorSampler(prior, seed=seed)
        trial = study.ask()
        found.append(trial.suggest_float("x", 0.0, 1.0))
        study.tell(trial, state=TrialState.FAIL)
    return found


def search(prior: Prior, optimum: float, *, trials: int, seed: int) -> float:
    """Return the smallest distance from the optimum that a search finds."""
    study = optuna.create_study(direction="maximize")
    for number in range(trials):
        study.sampler = PriorSampler(prior, seed=1000 * seed + number)
        trial = study.ask()
        study.tell(trial, -sum(abs(trial.suggest_float(name, 0.0, 1.0) - optimum) for name in "xy"))
    return -study.best_value


@pytest.mark.parametrize(("strength", "share"), [("weak", 1 / 2), ("medium", 1 / 4), ("strong", 1 / 10)])
def test_before_eta_complete_trials_only_space_and_prior_are_used_in_priorbands_shares(
    strength: str, share: float
) -> None:
    prior = Prior({"x": Belief(0.2, strength)}, strength, trials=1000)
    assert prior.shares([complete(0.1, 1.0)] * 2) == pytest.approx((share, 1 - share, 0.0))
    width = STRENGTHS[strength].width
    normal = NormalDist(0.2, width)
    expected = (1 - share) * (normal.cdf(0.3) - normal.cdf(0.1)) / (normal.cdf(1) - normal.cdf(0)) + share * 0.2
    drawn = np.array(proposals(prior, [], count=1500))
    assert ((drawn > 0.1) & (drawn < 0.3)).mean() == pytest.approx(expected, abs=0.04)


def test_the_division_between_prior_and_best_is_priorbands() -> None:
    # PriorBand, sec. 5.3: S_π = Σ w_i π(λ_i) and S_λ̂ = Σ w_i N(λ_i; λ̂, 0.25) over the best third, weights by rank.
    ranked = [complete(x, -i) for i, x in enumerate((0.8, 0.75, 0.3, 0.2, 0.1, 0.0))]
    prior = Prior({"x": Belief(0.2, "medium")}, "medium", trials=1000)

    def truncated(x: float, mean: float, width: float) -> float:
        normal = NormalDist(mean, width)
        return normal.pdf(x) / (normal.cdf(1) - normal.cdf(0))

    by_prior = 2 * truncated(0.8, 0.2, 0.25) + truncated(0.75, 0.2, 0.25)
    by_best = 2 * truncated(0.8, 0.8, 0.25) + truncated(0.75, 0.8, 0.25)
    share = 0.75 * by_prior / (by_prior + by_best)
    assert prior.shares(ranked) == pytest.approx((0.25, share, 0.75 - share))


def test_the_prior_decays_as_pibo() -> None:
    # πBO, eq. 6: π(x)^(β/n) with β = N/10; of a normal density it is one with σ·√(n/β).
    prior = Prior({"x": Belief(0.5, "strong"), "c": Belief("a", "strong")}, "strong", trials=100)
    assert prior.density("x", 10) == Around(0.5, 0.125, 6.0)
    later = prior.density("x", 40)
    assert isinstance(later, Around) and later.width == pytest.approx(0.25) and later.odds == pytest.approx(6**0.25)
    ratio = later.log(0.5, X) - later.log(0.9, X)
    assert ratio == pytest.approx((Around(0.5, 0.125, 1).log(0.5, X) - Around(0.5, 0.125, 1).log(0.9, X)) / 4)


def test_a_prior_far_from_the_best_trials_loses_its_share() -> None:
    bad = [complete(0.9 + i / 1000, i) for i in range(9)]
    prior = Prior({"x": Belief(0.0, "strong")}, "strong", trials=1000)
    space, around_prior, around_best = prior.shares(list(reversed(bad)))
    assert space == pytest.approx(0.1) and around_prior < 1e-4 and around_best == pytest.approx(0.9, abs=1e-3)
    assert np.mean(np.abs(np.array(proposals(prior, bad, count=200)) - 0.908) < 0.3) > 0.7


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_good_prior_helps_and_a_bad_one_is_left(strength: str) -> None:
    def mean(centre: float) -> float:
        beliefs = {name: Belief(centre, strength) for name in "xy"}
        return float(np.mean([search(Prior(beliefs, strength, 25), 0.8, trials=25, seed=s) for s in range(12)]))

    good, bad = mean(0.8), mean(0.05)
    everywhere = float(np.mean([search(Prior({}, "weak", 25), 0.8, trials=25, seed=s) for s in range(12)]))
    assert good < everywhere + 0.02
    assert bad < 0.3  # a search that stayed at its prior would end near 1


def test_a_proposal_depends_only_on_seed_and_complete_trials() -> None:
    prior, trials = Prior({"x": Belief(0.2, "medium")}, "medium", 20), [complete(i / 10, -abs(i - 7)) for i in range(9)]
    running = create_trial(params={"x": 0.4}, distributions={"x": X}, state=TrialState.RUNNING)
    pruned = create_trial(params={"x": 0.4}, distributions={"x": X}, state=TrialState.PRUNED)
    first = proposals(prior, trials, count=20)
    assert first == proposals(prior, [running, *reversed(trials), pruned], count=20)
    assert len(set(first)) > 5


def test_trials_are_ranked_by_the_direction_and_equal_ones_by_number() -> None:
    for direction, numbers in (("maximize", [1, 2, 0]), ("minimize", [0, 1, 2])):
        study = optuna.create_study(direction=direction)
        study.add_trials([complete(0.1, 1.0), complete(0.2, 2.0), complete(0.3, 2.0)])
        assert [trial.number for trial in complete_trials(study)] == numbers


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("new", [lambda x: Uniform(), lambda x: Around(x, 0.2, 2.0), lambda x: Mutation(x, 0.5, 0.25)])
@given(seed=st.integers(0, 2**32 - 1))
def test_every_draw_is_in_the_domain(
    new: Callable[[float], ParameterDensity], domain: BaseDistribution, seed: int
) -> None:
    density = new(5 if isinstance(domain, IntDistribution) else 0.5)
    value = density.draw(domain, np.random.default_rng(seed))
    assert domain._contains(domain.to_internal_repr(value))
    assert math.isfinite(density.log(value, domain))
    assert isinstance(value, int) == isinstance(domain, IntDistribution)


@pytest.mark.parametrize("domain", DOMAINS[:2])
def test_a_density_integrates_to_one_on_the_domains_scale(domain: FloatDistribution) -> None:
    for density in (Around(5.0, 0.3, 1.0), Around(0.01, 0.1, 1.0), Mutation(0.5, 0.5, 0.25)):
        grid = [at((i + 0.5) / 2000, domain) for i in range(2000)]
        assert np.mean([math.exp(density.log(x, domain)) for x in grid]) == pytest.approx(1.0, abs=1e-3)


@given(share=st.floats(0, 1))
@pytest.mark.parametrize("domain", DOMAINS[:2])
def test_position_is_the_inverse_of_at(domain: FloatDistribution, share: float) -> None:
    assert position(at(share, domain), domain) == pytest.approx(share, abs=1e-9)


def test_choices_have_the_odds_of_the_strength() -> None:
    domain, density = CategoricalDistribution(["a", "b", "c"]), Around("b", 0.25, 4.0)
    drawn = [density.draw(domain, np.random.default_rng(seed)) for seed in range(600)]
    assert drawn.count("b") / 600 == pytest.approx(4 / 6, abs=0.06)
    assert sum(math.exp(density.log(one, domain)) for one in domain.choices) / 3 == pytest.approx(1.0)
    assert Around("z", 0.25, 4.0).log("a", domain) == 0.0
    kept = [Mutation("b", 0.5, 0.25).draw(domain, np.random.default_rng(seed)) for seed in range(600)]
    assert kept.count("b") / 600 == pytest.approx(0.5 + 0.5 / 3, abs=0.06)
    assert sum(math.exp(Mutation("b", 0.5, 0.25).log(c, domain)) for c in domain.choices) / 3 == pytest.approx(1.0)
