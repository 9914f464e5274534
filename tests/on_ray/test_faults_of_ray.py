"""Defects of Ray's classes, shown with those classes and corrected in ltray's: one scenario each, no cluster."""

import math
from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search.optuna import OptunaSearch

from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.scheduler import EPOCHS, RuleScheduler
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK, TrialTask
from ltray.reporting import FAILURE
from ltray.space.search_space import SearchSpace
from ltray.strategies.stopping_rules import SuccessiveHalving
from ltray.study.study import REASON, begin, recorded_values

METRIC = "val/acc_all"
SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
search: {sampler: random, trials: 9, first_try: none}
"""


def epoch_result(epoch, value, planned=9):
    return {
        METRIC: value,
        EPOCHS: epoch,
        "training_iteration": epoch,
        PLANNED_EPOCHS: planned,
        CHECKPOINT_SCORE: value,
        "train/seconds": 1.5,
    }


def stock_search(tmp_path):
    search = OptunaSearch(
        {"rescom.temperature": optuna.distributions.FloatDistribution(0.05, 0.5, log=True)},
        metric=METRIC,
        mode="max",
        sampler=optuna.samplers.RandomSampler(seed=0),
    )
    return search, search._ot_study


def our_search(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    space = SearchSpace.read(path).bind(10)
    study = optuna.create_study(directions=space.search.directions())
    begin(study, space, [])
    return StudySearch(study, space, metric=METRIC, trials=9, stopper=GracefulStopper()), study


@pytest.fixture(params=["stock", "ours"])
def search(request, tmp_path):
    made = {"stock": stock_search, "ours": our_search}[request.param](tmp_path)
    return SimpleNamespace(searcher=made[0], study=made[1], stock=request.param == "stock")


def test_nan_fails_a_trial_and_the_class_of_ray_leaves_it_running(search):
    search.searcher.suggest("a")
    search.searcher.on_trial_result("a", epoch_result(1, 0.3))
    search.searcher.on_trial_complete("a", epoch_result(2, math.nan))
    stored_trial = search.study.trials[0].state
    assert stored_trial == (TrialState.RUNNING if search.stock else TrialState.FAIL)


def test_stopped_trial_is_pruned_with_its_step_and_complete_with_the_class_of_ray(search):
    search.searcher.suggest("a")
    for epoch in (1, 2, 3):
        search.searcher.on_trial_result("a", epoch_result(epoch, 0.1 * epoch))
    search.searcher.on_trial_complete("a", epoch_result(3, 0.1 * 3))
    stored_trial = search.study.trials[0]
    if search.stock:
        assert stored_trial.state == TrialState.COMPLETE
    else:
        assert stored_trial.state == TrialState.PRUNED
        assert (stored_trial.last_step, stored_trial.value) == (3, pytest.approx(0.3))
        assert stored_trial.intermediate_values == pytest.approx({1: 0.1, 2: 0.2, 3: 0.3})


def test_trial_value_is_its_best_epoch_and_the_last_with_the_class_of_ray(search):
    search.searcher.suggest("a")
    for epoch, value in ((7, 0.4), (8, 0.9)):
        search.searcher.on_trial_result("a", epoch_result(epoch, value))
    search.searcher.on_trial_complete("a", epoch_result(9, 0.6))
    assert search.study.trials[0].value == (0.6 if search.stock else 0.9)


def test_trials_of_a_dead_driver_continue_and_remain_running_with_the_class_of_ray(search, tmp_path):
    first = search.searcher.suggest("a")
    search.searcher.on_trial_result("a", epoch_result(1, 0.3))
    if search.stock:  # like `Tuner.restore`: the searcher is restored from its pickle, its study from the storage
        again = OptunaSearch(search.searcher._space, metric=METRIC, mode="max", storage=search.study._storage)
        again.suggest("b")
        again.on_trial_complete("b", epoch_result(9, 0.5))
        assert [t.state for t in search.study.trials] == [TrialState.RUNNING, TrialState.COMPLETE]
    else:
        again = StudySearch(search.study, search.searcher._space, metric=METRIC, trials=9, stopper=GracefulStopper())
        assert again.suggest("b") == {TASK: replace(first[TASK], attempt=1)}
        assert first[TASK].number == 0
        again.on_trial_result("b", epoch_result(1, 0.3))  # the epoch of its newest checkpoint is reported again
        again.on_trial_complete("b", epoch_result(9, 0.5))
        assert [t.state for t in search.study.trials] == [TrialState.COMPLETE]
        assert search.study.trials[0].intermediate_values == {1: 0.3, 9: 0.5}


def test_failed_run_has_its_reported_reason(tmp_path):
    searcher, study = our_search(tmp_path)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {FAILURE: "loss/contrast is not finite in epoch 2"})
    searcher.suggest("b")
    searcher.on_trial_complete("b", epoch_result(2, 0.5), error=True)
    searcher.suggest("c")
    searcher.on_trial_complete("c", None)
    assert [t.state for t in study.trials] == [TrialState.FAIL] * 3
    assert study.trials[0].user_attrs[REASON] == "loss/contrast is not finite in epoch 2"
    assert study.trials[2].user_attrs[REASON] == "the process exited without a result"


# The scheduler.


def trial(number):
    return SimpleNamespace(config={TASK: TrialTask(number, 0, {})}, trial_id=f"id-{number}")


def stock_scheduler(recorded):
    """Return ASHA after a restart: `Tuner.restore` makes a new scheduler."""
    return ASHAScheduler(
        time_attr=EPOCHS, metric=METRIC, mode="max", max_t=9, grace_period=1, reduction_factor=3, stop_last_trials=False
    )


def our_scheduler(recorded):
    return RuleScheduler(SuccessiveHalving((1, 3), 3), metric=METRIC, recorded=recorded)


@pytest.fixture(params=["stock", "ours"])
def new_scheduler(request):
    made = {"stock": stock_scheduler, "ours": our_scheduler}[request.param]
    return SimpleNamespace(stock=request.param == "stock", new=made)


def report(scheduler, number, epoch, value):
    scheduler.on_trial_add(None, trial(number))
    return scheduler.on_trial_result(None, trial(number), epoch_result(epoch, value))


def test_nan_ends_a_trial_and_does_not_with_the_class_of_ray(new_scheduler):
    scheduler = new_scheduler.new({})
    for number in range(3):
        report(scheduler, number, 1, 0.5)
    decided = report(scheduler, 3, 1, math.nan)
    assert decided == (TrialScheduler.CONTINUE if new_scheduler.stock else TrialScheduler.STOP)


def test_rungs_survive_a_restart_and_are_lost_with_the_class_of_ray(new_scheduler):
    values = {number: {1: 0.9} for number in range(5)}
    before = new_scheduler.new({})
    for number, curve in values.items():
        report(before, number, 1, curve[1])
    assert report(before, 5, 1, 0.1) == TrialScheduler.STOP  # the decision of an uninterrupted search
    decided = report(new_scheduler.new(values), 5, 1, 0.1)
    assert decided == (TrialScheduler.CONTINUE if new_scheduler.stock else TrialScheduler.STOP)


def test_rungs_are_restored_from_the_recorded_values(tmp_path):
    searcher, study = our_search(tmp_path)
    for name in "abcde":
        searcher.suggest(name)
        searcher.on_trial_result(name, epoch_result(1, 0.9))
    assert report(our_scheduler(recorded_values(study)), 5, 1, 0.1) == TrialScheduler.STOP
