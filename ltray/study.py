"""Optuna's study: the one durable record of a search, from which everything else resumes."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from ltray.search_settings import Search
from ltray.search_space import SearchSpace
from ltray.study_storage import MirroredStorage, one_transaction

FILE_NAME = "study.sqlite3"
PAPER, NAME, SETTINGS, REASON, ATTEMPT = "paper", "name", "settings", "reason", "attempt"


def open_study(folder: Path, space: SearchSpace) -> optuna.Study:
    """Open the study of a run folder, or create it, with the space's first trials waiting in it.

    Args:
        folder: The run folder; `study.sqlite3` in it can be read live by optuna-dashboard.
        space: The search space.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = MirroredStorage(optuna.storages.RDBStorage(f"sqlite:///{folder.resolve() / FILE_NAME}"))
    study = optuna.create_study(storage=storage, study_name=folder.name, direction="maximize", load_if_exists=True)
    known = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(deepcopy=False)]
    for first in space.first_trials():
        if dict(first.params) not in known:
            study.enqueue_trial(dict(first.params), user_attrs={PAPER: first.paper, NAME: first.name})
    return study


def ask(study: optuna.Study, space: SearchSpace) -> tuple[optuna.Trial, dict[str, Any]]:
    """Propose the next trial and its settings.

    The sampler starts from a seed of its own for each trial, so that a resumed search
    proposes what an undisturbed one would from the same record.
    """
    number = len([t for t in study.get_trials(deepcopy=False) if t.state != TrialState.WAITING])
    study.sampler = new_sampler(space.search, number)
    with one_transaction(study):
        trial = study.ask()
        return trial, keep_settings(trial, space)


def keep_settings(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    """Draw a trial's settings and write them down; what the study holds of them already stays."""
    settings = space.suggest(trial)
    trial.set_user_attr(SETTINGS, json.dumps(settings))
    return settings


def new_sampler(search: Search, number: int) -> optuna.samplers.BaseSampler:
    """Build the sampler for the proposal of trial `number`."""
    seed = (search.seed * 1_000_003 + number) % 2**32
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)


def unfinished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that a dead driver left running, in their order."""
    return [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.RUNNING and SETTINGS in t.user_attrs]


def proposed(study: optuna.Study) -> int:
    """Return how many trials have settings."""
    return sum(SETTINGS in t.user_attrs for t in study.get_trials(deepcopy=False))


def recorded_values(study: optuna.Study) -> dict[int, Mapping[int, float]]:
    """Return the value of every trial at every epoch, by trial number."""
    return {t.number: t.intermediate_values for t in study.get_trials(deepcopy=False) if t.intermediate_values}
