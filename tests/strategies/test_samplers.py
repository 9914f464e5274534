"""Every name builds a sampler; tests/study/test_samplers.py tests the proposals with a study."""

import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler

from ltray.errors import UsageError
from ltray.space.search_settings import Search
from ltray.strategies.samplers import SAMPLERS, Proposal, new_sampler

PROPOSAL = Proposal(number=3, sampled=2, ranges={"x": FloatDistribution(0.0, 1.0)}, earlier=[], seed=5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_except_the_grid_is_built(name: str) -> None:
    assert Search(sampler=name).sampler == name
    assert isinstance(new_sampler(name, PROPOSAL), BaseSampler) == (name != "grid")


def test_every_proposal_has_its_own_seed() -> None:
    seeds = {Proposal(number, 0, {}, [], seed).own_seed for number in range(50) for seed in range(20)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize(("name", "hint"), [("tpee", "Did you mean `tpe`"), ("bohb", "Known: "), ("", "Known: ")])
def test_unknown_sampler_is_refused(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"`sampler` must be one of .* but got {name!r}.*{hint}"):
        Search(sampler=name)
    with pytest.raises(UsageError, match=f"{name!r} is not a sampler.*{hint}"):
        new_sampler(name, PROPOSAL)
