"""The study's copy in memory is equal to the database, and reads do not access the database."""

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from ltray.study.storage import MirroredStorage, one_transaction


def database(folder):
    return optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.sqlite3'}")


@pytest.fixture
def study(tmp_path):
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True, constant_liar=True, n_startup_trials=2)
    return optuna.create_study(
        storage=MirroredStorage(database(tmp_path)), study_name="s", direction="maximize", sampler=sampler
    )


def draw(study):
    with one_transaction(study):
        trial = study.ask()
        trial.suggest_float("temperature", 0.05, 0.5, log=True)
        trial.suggest_int("queue", 2, 32)
        trial.set_user_attr("settings", f"of {trial.number}")
        return trial


def record(trials):
    return [
        (t.number, t.state, t.values, t.params, t.distributions, t.user_attrs, t.system_attrs, t.intermediate_values)
        for t in trials
    ]


def test_memory_and_database_are_equal_also_after_a_restart(study, tmp_path):
    study.enqueue_trial({"temperature": 0.2, "queue": 8}, user_attrs={"paper": True})
    study.set_user_attr("note", 1)
    for number in range(6):
        trial = draw(study)
        for step in (1, 2):
            trial.report(0.1 * number, step)
        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, None)
        state = states[number % 4]
        if state is not None:
            study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state=state)
    assert study.trials[0].params == {"temperature": 0.2, "queue": 8}
    for again in (database(tmp_path), MirroredStorage(database(tmp_path))):
        other = optuna.load_study(storage=again, study_name="s")
        assert record(other.trials) == record(study.trials)
        assert other.user_attrs == {"note": 1} and other.best_trial.number == study.best_trial.number


def test_proposal_is_one_transaction_for_any_number_of_trials(study):
    counts = []

    def count(*_: object) -> None:
        counts[-1] += 1

    sqlalchemy.event.listen(sqlalchemy.Engine, "commit", count)
    try:
        for _ in range(20):
            counts.append(0)
            draw(study)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "commit", count)
    assert set(counts[1:]) == {counts[-1]}
    assert counts[-1] <= 2, counts  # one transaction reads, one writes


def test_failed_proposal_leaves_the_study_usable(study):
    with pytest.raises(ZeroDivisionError), one_transaction(study):
        study.ask()
        raise ZeroDivisionError
    assert draw(study).number == 1
