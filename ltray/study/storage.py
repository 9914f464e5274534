"""An Optuna storage that writes to a database and reads from memory.

Only the command that runs a search writes its study. Optuna's cache reads every unfinished trial
from the database for every query, five times per proposal: with a hundred concurrent trials, each
proposal then takes a second longer.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ltray.study._compat import FrozenStudy, id_of_study, id_of_trial, storage_of, study_of_trial
from ltray.study.trial_digest import DIGEST, check_digest, digest_of_trial, with_digest


class MirroredStorage(BaseStorage):
    """One study of a database, with a copy in memory from which everything is read.

    Every write goes to the database first and is complete when the call returns. A trial that has ended has a
    digest, which is checked when the database is opened again. The id of a trial is its id in memory, which is
    its number.

    Args:
        database: The durable storage of the study. No other process writes to it at the same time.
    """

    def __init__(self, database: RDBStorage) -> None:
        self._database, self._memory = database, InMemoryStorage()
        self._study_ids: dict[int, int] = {}  # in memory -> in the database
        self._trial_ids: list[int | None] = []  # in the database, by number; None: not written yet
        self._holds_back = False
        for study in database.get_all_studies():
            self._copy(study)

    def _copy(self, study: FrozenStudy) -> None:
        own = self._memory.create_new_study(study.directions, study.study_name)
        self._study_ids[own] = id_of_study(study)
        for key, value in study.user_attrs.items():
            self._memory.set_study_user_attr(own, key, value)
        for key, value in study.system_attrs.items():
            self._memory.set_study_system_attr(own, key, value)
        for trial in self._database.get_all_trials(id_of_study(study), deepcopy=False):
            check_digest(trial)
            self._trial_ids.append(id_of_trial(trial))
            self._memory.create_new_trial(own, trial)

    @contextmanager
    def one_transaction(self) -> Iterator[None]:
        """Write a trial that is created in the block in one transaction at its end, without a commit per parameter."""
        self._holds_back = True
        try:
            yield
        finally:
            self._holds_back = False
        for number in [n for n, there in enumerate(self._trial_ids) if there is None]:
            there = self._study_ids[study_of_trial(self._memory, number)]
            self._trial_ids[number] = self._database.create_new_trial(there, self._memory.get_trial(number))

    # Writes.

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Create a study."""
        there = self._database.create_new_study(directions, study_name)
        own = self._memory.create_new_study(directions, study_name)
        self._study_ids[own] = there
        return own

    def delete_study(self, study_id: int) -> None:
        """Raise an error: ids in memory are the trials' numbers only if nothing is deleted."""
        raise NotImplementedError("a search's study is never deleted")

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a study."""
        self._database.set_study_user_attr(self._study_ids[study_id], key, value)
        self._memory.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set a system attribute of a study."""
        self._database.set_study_system_attr(self._study_ids[study_id], key, value)
        self._memory.set_study_system_attr(study_id, key, value)

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Create a trial."""
        if self._holds_back and template_trial is None:
            self._trial_ids.append(None)
            return self._memory.create_new_trial(study_id)
        if template_trial is not None:
            template_trial = with_digest(template_trial)
        there = self._database.create_new_trial(self._study_ids[study_id], template_trial)
        self._trial_ids.append(there)
        return self._memory.create_new_trial(study_id, self._database.get_trial(there))

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter of a trial."""
        if (there := self._trial_ids[trial_id]) is not None:
            self._database.set_trial_param(there, param_name, param_value_internal, distribution)
        self._memory.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set the state of a trial, and its values."""
        there = self._trial_ids[trial_id]
        if there is not None and state.is_finished():  # a trial that has ended accepts no more attributes
            self.set_trial_user_attr(trial_id, DIGEST, digest_of_trial(self._memory.get_trial(trial_id), state, values))
        done = there is None or self._database.set_trial_state_values(there, state, values)
        return done and self._memory.set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set the value of a trial at a step."""
        if (there := self._trial_ids[trial_id]) is not None:
            self._database.set_trial_intermediate_value(there, step, intermediate_value)
        self._memory.set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a trial."""
        if (there := self._trial_ids[trial_id]) is not None:
            self._database.set_trial_user_attr(there, key, value)
        self._memory.set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute of a trial."""
        if (there := self._trial_ids[trial_id]) is not None:
            self._database.set_trial_system_attr(there, key, value)
        self._memory.set_trial_system_attr(trial_id, key, value)

    # Reads.

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return a study's id."""
        return self._memory.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return a study's name."""
        return self._memory.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return the directions of a study."""
        return self._memory.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the user attributes of a study."""
        return self._memory.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return the system attributes of a study."""
        return self._memory.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return every study."""
        return self._memory.get_all_studies()

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        return self._memory.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return the trials of a study, by number."""
        return self._memory.get_all_trials(study_id, deepcopy, states)


def one_transaction(study: optuna.Study) -> AbstractContextManager[None]:
    """Write a trial that is created inside the block in one transaction, if the study has a durable storage."""
    storage = storage_of(study)
    return storage.one_transaction() if isinstance(storage, MirroredStorage) else nullcontext()
