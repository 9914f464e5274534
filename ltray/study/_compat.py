"""The private parts of Optuna that ltray uses, in one place; tested with Optuna 5.0.

Optuna has no public way to make a sampler a function of the record, so that ltray replaces some of its methods; ids in
a storage have no public name. `check_samplers` refuses a version of Optuna that would not call those methods.
"""

import logging
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, QMCSampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial

__all__ = ["FrozenStudy"]

REPLACED: Mapping[type[BaseSampler], tuple[str, ...]] = {
    QMCSampler: ("_find_sample_id",),
    CmaEsSampler: ("_restore_optimizer", "_init_optimizer", "_get_solution_trials"),
}
"""Methods of Optuna's samplers that `ltray.strategies.samplers` replaces."""


def check_samplers(replaced: Mapping[type[BaseSampler], tuple[str, ...]] = REPLACED) -> None:
    """Check that the samplers have the methods that are replaced: otherwise Optuna would not call the replacements.

    Args:
        replaced: Names of methods by class.

    Raises:
        ImportError: A method is missing.
    """
    for sampler, names in replaced.items():
        for name in names:
            if not callable(getattr(sampler, name, None)):
                raise ImportError(
                    f"Optuna {optuna.__version__} has no {sampler.__name__}.{name}, which ltray replaces: install a "
                    "version listed in requirements/constraints.txt or pyproject.toml of ltray."
                )


check_samplers()


def storage_of(study: optuna.Study) -> BaseStorage:
    """Return the storage of a study."""
    return study._storage


def id_of_study(study: FrozenStudy) -> int:
    """Return a study's id in the storage from which it was read."""
    return study._study_id


def id_of_trial(trial: FrozenTrial) -> int:
    """Return a trial's id in the storage from which it was read."""
    return trial._trial_id


def study_of_trial(storage: InMemoryStorage, trial_id: int) -> int:
    """Return the id of a trial's study."""
    return storage._trial_id_to_study_id_and_number[trial_id][0]


def live(study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
    """Return a trial of a study that can be written to, from one that was read."""
    return optuna.Trial(study, trial._trial_id)


def as_recorded(study: optuna.Study, trial: optuna.Trial) -> FrozenTrial:
    """Return a trial as the study's storage contains it."""
    return study._storage.get_trial(trial._trial_id)


def fix_parameters(study: optuna.Study, trial: FrozenTrial, values: Mapping[str, Any]) -> None:
    """Set the values, by parameter, that an unfinished trial of a study uses when it draws them."""
    study._storage.set_trial_system_attr(trial._trial_id, "fixed_params", dict(values))


def silence_gaussian_process() -> None:
    """Suppress Optuna's note that an optional package would save a second per proposal."""
    logging.getLogger("optuna._gp.batched_lbfgsb").setLevel(logging.ERROR)
