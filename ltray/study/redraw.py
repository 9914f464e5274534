"""Draws the settings of a trial whose driver was killed before it had drawn the last value."""

from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from ltray.space.search_space import SearchSpace
from ltray.study._compat import fix_parameters, live
from ltray.study.study import SETTINGS, ask, keep_settings


def undrawn(study: optuna.Study) -> list[FrozenTrial]:
    """Return the running trials without settings, by number."""
    return [
        t for t in study.get_trials(deepcopy=False) if t.state == TrialState.RUNNING and SETTINGS not in t.user_attrs
    ]


def redraw(study: optuna.Study, space: SearchSpace, frozen: FrozenTrial) -> tuple[optuna.Trial, dict[str, Any]]:
    """Set the settings that a trial would have had without the interruption.

    A sampler's later draws depend on its earlier ones. Therefore all values of the trial are drawn again on a copy of
    the record as it was, and then fixed in the real trial. The study may already contain some of them.

    Args:
        study: The study.
        space: The search space.
        frozen: One of `undrawn`.

    Returns:
        The trial and its settings, as `ask` does.
    """
    copy = optuna.create_study(directions=study.directions)
    known = study.get_trials(deepcopy=False)
    copy.add_trials([t for t in known if t.number < frozen.number and t.state != TrialState.WAITING])
    copy.add_trial(create_trial(state=TrialState.WAITING, system_attrs=frozen.system_attrs))
    drawn, _ = ask(copy, space)
    fix_parameters(study, frozen, drawn.params)
    trial = live(study, frozen)
    return trial, keep_settings(trial, space)
