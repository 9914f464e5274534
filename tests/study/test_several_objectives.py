"""Several objectives: all values are of one epoch, the Pareto front, and no comparison at rungs."""

import io

import optuna
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from rich.console import Console

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK
from ltray.results.printed_trials import render
from ltray.results.tables import trial_table
from ltray.space.search_space import SearchSpace
from ltray.study.progress import TrialProgress
from ltray.study.study import PROGRESS, SETTINGS, begin, front, leader, progress_of, recorded_values

SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
search: {trials: 5, objectives: [acc_all, acc_few, seconds]}
stop: {rule: none}
"""


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return SearchSpace.read(path).bind(10)


def report(epoch, overall, few, seconds):
    return {
        "total_epochs": epoch,
        PLANNED_EPOCHS: 3,
        CHECKPOINT_SCORE: overall,
        "val/acc_all": overall,
        "val/acc_few": few,
        "val/acc_all_best": 1.0,
        "train/seconds": seconds,
    }


def searcher_of(study, space):
    return StudySearch(study, space, metric="val/acc_all", trials=5, stopper=GracefulStopper())


def test_objectives_of_a_trial_are_metrics_of_one_epoch_also_after_a_restart(space):
    study = optuna.create_study(directions=space.search.directions())
    begin(study, space, [])
    first = searcher_of(study, space)
    first.suggest("a")
    first.on_trial_result("a", report(1, 0.4, 0.9, 2.0))  # best value of `few`, not of `all`
    first.on_trial_result("a", report(2, 0.7, 0.3, 2.0))
    again = searcher_of(study, space)  # the driver died
    assert again.suggest("b")[TASK].attempt == 1
    again.on_trial_result("b", report(2, 0.7, 0.3, 2.0))  # reported twice, counted once
    again.on_trial_complete("b", report(3, 0.6, 0.5, 4.0))
    (trial,) = [t for t in study.get_trials() if t.state.name == "COMPLETE"]
    assert trial.values == pytest.approx([0.7, 0.3, 8.0])
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MAXIMIZE", "MINIMIZE"]


@pytest.mark.parametrize("first", ["acc_all", "acc_few"])
def test_best_epoch_of_a_trial_is_by_the_first_objective(tmp_path, first):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("[acc_all, acc_few, seconds]", f"[{first}, seconds]"))
    space = SearchSpace.read(path).bind(10)
    settings = space.suggest(optuna.create_study().ask())
    experiment = Experiment.from_settings(settings)
    assert experiment.metric == space.base.metric == f"val/{first}"
    assert Experiment.from_settings(experiment.settings()) == experiment
    assert ("objective" in settings) == ("objective" in experiment.settings()) == (first != "acc_all")


@pytest.mark.parametrize("fix", [True, False])
def test_objective_is_set_in_one_place(tmp_path, fix):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE + ("fix: {objective: acc_few}" if fix else ""))
    with pytest.raises(UsageError, match=r"set search.objectives=\[acc_few\]"):
        SearchSpace.read(path, {} if fix else {"objective": "acc_few"})


def test_study_records_early_stopping_decisions_with_their_values(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("[acc_all, acc_few, seconds]", "[acc_all]"))
    space = SearchSpace.read(path).bind(10)
    study = optuna.create_study(directions=space.search.directions())
    begin(study, space, [])
    searcher = searcher_of(study, space)
    searcher.suggest("a")
    searcher.on_trial_result("a", report(1, 0.4, 0.2, 1.0))
    searcher.on_trial_result("a", report(2, 0.6, 0.3, 1.0))
    assert (progress_of(study)[0].continued, progress_of(study)[0].value) == (2, 0.6)
    searcher._stopper.ended.add("a")  # interrupted: the trial is not finished, and this epoch has no decision
    searcher.on_trial_complete("a", report(2, 0.6, 0.3, 1.0) | {"total_epochs": 3, "val/acc_all": 0.5})
    known = progress_of(study)[0]
    assert (known.epoch, known.continued, known.stopped, known.value) == (3, 2, 0, 0.5)


def test_value_in_the_progress_is_used(space):
    study = optuna.create_study()
    written = {SETTINGS: "{}", PROGRESS: TrialProgress(epoch=4, value=0.5).text()}
    study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING, user_attrs=written))
    assert recorded_values(study) == {0: {4: 0.5}}


points = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=12)


@given(points)
def test_pareto_front_equals_that_of_optuna(values):
    study = optuna.create_study(directions=["maximize", "minimize"])
    for pair in values:
        study.add_trial(optuna.trial.create_trial(values=pair, user_attrs={SETTINGS: "{}"}))
    assert sorted(front(study)) == sorted(trial.number for trial in study.best_trials)


def test_table_marks_the_pareto_front_and_sorts_by_the_first_objective(space):
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.set_metric_names(["acc_few", "seconds"])
    epochs = []
    for number, (overall, few, seconds) in enumerate(
        [(0.9, 0.2, 5.0), (0.5, 0.6, 9.0), (0.6, 0.4, 6.0), (0.7, 0.3, 8.0)]
    ):
        settings = '{"rescom.temperature": 0.1}'
        study.add_trial(optuna.trial.create_trial(values=[few, seconds], user_attrs={SETTINGS: settings}))
        epochs.append({"trial": number, "epoch": 1, **report(1, overall, few, seconds)})
    table = trial_table(study, pd.DataFrame(epochs), {}, selection="val")
    assert table["trial"].tolist() == [1, 2, 3, 0] and table["front"].tolist() == [True, True, False, True]
    assert leader(study).number == 1
    console = Console(file=io.StringIO(), width=160)
    console.print(render(table, space.headings(), selection="val", most=1))
    printed = console.file.getvalue()
    assert printed.count("●") == 3 and "9.0" in printed  # the complete front, also with fewer rows requested
