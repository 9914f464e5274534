"""A proposal that differs from every earlier trial, where a sampler may propose a setting again.

A sampler does not know that a method without explored knobs, or a value of a choice on which no range depends, has
one setting only: it proposes the setting again and again if its value is high.
"""

import json
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import TrialState

from ltray.space.draws import FixedTrial, StudyTrial, given
from ltray.space.search_space import SearchSpace
from ltray.strategies.samplers import Proposal, new_sampler

DRAWS = 16  # of the search's sampler; after these, settings are drawn at random
RANDOM_DRAWS = 1000


def new_setting(
    study: optuna.Study, space: SearchSpace, proposal: Proposal, known: Collection[str]
) -> dict[str, Any] | None:
    """Return the next parameters in the study's form; the settings differ from those of every earlier trial.

    They depend only on the study's record, which is not changed.

    Args:
        study: The study.
        space: The search space; its sampler is not "grid".
        proposal: The inputs of the sampler.
        known: The settings of earlier trials, as JSON.

    Returns:
        The parameters; None if every setting has been tried.
    """
    copy = optuna.create_study(directions=study.directions)
    copy.add_trials([trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING])
    for attempt in range(DRAWS + RANDOM_DRAWS):
        name = space.search.sampler if attempt < DRAWS else "random"
        copy.sampler = new_sampler(name, replace(proposal, attempt=attempt))
        trial = copy.ask()
        if json.dumps(space.suggest(StudyTrial(trial, space.moving()))) not in known:
            return dict(trial.params)
        copy.tell(trial, state=TrialState.FAIL)  # samplers ignore it
    for point in space.distinct_points():
        walk = FixedTrial(given(point), space.moving())
        if json.dumps(space.suggest(walk)) not in known:
            return walk.params
    return None
