"""A closing search: running trials stop after their epoch or immediately, and remain unfinished in the study."""

import signal
from dataclasses import replace

import optuna
import pytest
from ray.tune.error import TuneError

from ltray.errors import UsageError
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.callbacks.budget import BudgetCallback
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.search import usage_error_in
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper, signals_to
from ltray.on_ray.tasks import TASK
from ltray.reporting import FAILURE, LATER
from ltray.space.search_space import SearchSpace
from ltray.study.budget import Budget, Spent
from ltray.study.study import open_study

SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
search: {sampler: random, trials: 9}
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return SearchSpace.read(path).bind(10)


def result(epoch):
    return {EPOCHS: epoch, PLANNED_EPOCHS: 4, "val/acc_all": 0.5, CHECKPOINT_SCORE: 0.5}


def test_closing_search_ends_trials_after_their_epoch():
    stopper = GracefulStopper()
    assert not stopper("a", result(2)) and not stopper.ended
    stopper.after_this_epoch("the budget is spent")
    assert stopper("a", result(3)) and not stopper("b", result(4)) and not stopper("c", {"failure": "NaN"})
    assert stopper.ended == {"a"} and not stopper.stop_all()


def test_repeated_ctrl_c_stops_after_the_epoch_then_immediately_then_aborts():
    stopper, before = GracefulStopper(), signal.getsignal(signal.SIGINT)
    with signals_to(stopper):
        signal.raise_signal(signal.SIGINT)
        assert stopper.interrupted and stopper("a", result(1)) and not stopper.stop_all()
        signal.raise_signal(signal.SIGINT)
        assert stopper.stop_all()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_ends_trials_immediately():
    stopper = GracefulStopper()
    stopper.after_this_epoch("the budget is spent")
    with signals_to(stopper):
        signal.raise_signal(signal.SIGTERM)
    assert stopper.stop_all() and stopper.interrupted and stopper.reason == "interrupted"


def test_trial_ended_by_closing_is_unfinished_and_resumed_first(space, tmp_path):
    study, stopper = open_study(tmp_path, space), GracefulStopper()
    searcher = StudySearch(study, space, metric="val/acc_all", trials=9, stopper=stopper)
    first = searcher.suggest("a")
    stopper.after_this_epoch("interrupted")
    assert stopper("a", result(2))
    searcher.on_trial_complete("a", result(2))
    assert searcher.suggest("b") == "FINISHED"
    assert [(t.state.name, t.intermediate_values) for t in study.get_trials()] == [("RUNNING", {2: 0.5})]
    again = StudySearch(study, space, metric="val/acc_all", trials=9, stopper=GracefulStopper())
    assert again.suggest("c") == {TASK: replace(first[TASK], attempt=1)}


def test_trial_that_finishes_during_closing_is_complete(space, tmp_path):
    study, stopper = open_study(tmp_path, space), GracefulStopper()
    searcher = StudySearch(study, space, metric="val/acc_all", trials=9, stopper=stopper)
    searcher.suggest("a")
    stopper.after_this_epoch("interrupted")
    assert not stopper("a", result(4))
    searcher.on_trial_complete("a", result(4))
    assert study.trials[0].state == optuna.trial.TrialState.COMPLETE


class Trial:
    def __init__(self, trial_id):
        self.trial_id = trial_id


def test_budget_callback_sums_over_running_trials_and_closes_the_search(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("ltray.on_ray.callbacks.budget.time.monotonic", lambda: clock[0])
    Spent(seconds=3600.0, cpu_seconds=7200.0).write(tmp_path)  # by a killed command
    stopper = GracefulStopper()
    meter = BudgetCallback(tmp_path, stopper, budget=Budget(2.1, "cpuh"), each={"CPU": 3.0, "GPU": 0.5}, started=90.0)
    meter.on_trial_start(1, [], Trial("a"))
    clock[0] += 20
    meter.on_trial_start(2, [], Trial("b"))
    clock[0] += 40
    meter.on_trial_complete(3, [], Trial("a"))
    assert not stopper.reason  # 2 h before, 3 cores x (20 + 2 x 40) s since
    assert meter.spent.gpu_seconds == 50.0 and meter.spent.cpu_seconds == 7500.0
    clock[0] += 40
    meter.on_step_end(4, [])
    assert stopper.reason == "the budget of 2.1 CPU hours is used up"
    assert Spent.read(tmp_path) == Spent(seconds=3710.0, cpu_seconds=7620.0, gpu_seconds=70.0)


def test_trial_with_a_full_disk_is_unfinished_and_ends_the_search(space, tmp_path):
    study, stopper = open_study(tmp_path, space), GracefulStopper()
    searcher = StudySearch(study, space, metric="val/acc_all", trials=9, stopper=stopper)
    first = searcher.suggest("a")
    searcher.on_trial_result("a", result(1))
    searcher.on_trial_complete("a", {FAILURE: "/x: cannot be written.", LATER: True})
    assert searcher.suggest("b") == "FINISHED" and stopper.failure == "/x: cannot be written."
    assert [(t.state.name, t.intermediate_values) for t in study.get_trials()] == [("RUNNING", {1: 0.5})]
    again = StudySearch(study, space, metric="val/acc_all", trials=9, stopper=GracefulStopper())
    assert again.suggest("c") == {TASK: replace(first[TASK], attempt=1)}


def test_error_of_a_failed_tune_callback_is_found():
    try:
        try:
            raise UsageError("the logger 'mine:Logger' failed")
        except UsageError:
            raise TuneError("a traceback")  # noqa: B904, as Tune does
    except TuneError as error:
        assert str(usage_error_in(error)) == "the logger 'mine:Logger' failed"
    assert usage_error_in(TuneError("of Tune itself")) is None
