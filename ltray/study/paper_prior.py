"""The prior of a search, from the declarations of its knobs: the papers' values, on the knobs' ranges and scales."""

from typing import Any

from optuna.distributions import CategoricalDistribution

from ltray.space.draws import Choose, Distribution, FixedTrial, lowest, study_name
from ltray.space.search_space import SearchSpace
from ltray.strategies.prior import Belief, Prior


def prior_of(space: SearchSpace) -> Prior:
    """Return the prior around the papers' setting; among several methods none is expected to be the best.

    A number outside the range counts as the nearest value in it; a choice that is not in the space has no prior.

    Args:
        space: The search space, bound to its classes.
    """
    beliefs: dict[str, Belief] = {}
    moving = space.moving()
    for alternative in () if space.rows else space.alternatives:
        papers = alternative.paper_params()
        walk = FixedTrial(_nearest(papers), moving)
        alternative.suggest(walk, space.classes)
        for dimension in alternative.dimensions:
            name = study_name(dimension.key, moving)
            if name not in walk.params or (
                dimension.among is not None and papers.get(dimension.key) not in dimension.among
            ):
                continue
            beliefs[name] = Belief(walk.params[name], dimension.prior or space.search.prior)
    return Prior(beliefs, space.search.prior, space.search.trials)


def _nearest(papers: dict[str, Any]) -> Choose:
    def choose(name: str, distribution: Distribution) -> Any:
        if name not in papers:
            return lowest(name, distribution)
        if isinstance(distribution, CategoricalDistribution):
            return papers[name] if papers[name] in distribution.choices else distribution.choices[0]
        return min(max(papers[name], distribution.low), distribution.high)

    return choose
