"""Trials with several seeds: complete runs, their mean as value, exact resume, and the values that rules use."""

import json
import statistics
from functools import partial
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ltray.experiment
from ltray.data.dataset import open_data
from ltray.engine.memory_session import MemorySession
from ltray.errors import UsageError
from ltray.knobs import HIGHEST_SEED
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.scheduler import EPOCHS, RuleScheduler
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK, TrialTask
from ltray.report.sections.trials import trials as report_trials
from ltray.results.finalists import rounds
from ltray.results.printed_trials import render
from ltray.results.tables import trial_table
from ltray.space.search_settings import Finalists
from ltray.space.search_space import SearchSpace
from ltray.strategies.stopping_rules import MedianStopping
from ltray.study.progress import TrialProgress
from ltray.study.run_of_several import RUN, RUN_EPOCH, RUN_SEED
from ltray.study.seed_runs import SeedRuns, mean_and_error, seeds_from
from ltray.study.study import open_study, recorded_values
from ltray.study.trial_plan import TrialPlan
from ltray.testing import contract
from tests.study.test_trial_plan import TAIL

SETTINGS = {"methods": ["ldam", "tau_norm"], "ldam.epochs": 1, "ldam.milestones": [1], "ldam.warmup_epochs": 0}
CLOCKS = ("train/seconds", "train/images_per_second")
METRIC = "val/acc_all"
SPACE = """
dataset: digits-lt
methods: [ldam]
explore: {learning_rate: auto}
fix: {epochs: 2, schedule: cosine}
search: {trials: 3, first_try: none}
trial: {seeds: 3}
"""


@pytest.fixture
def memory_data(monkeypatch):
    monkeypatch.setattr(ltray.experiment, "open_data", partial(open_data, source="memory"))


def run(session, count=3):
    SeedRuns(count).train(contract.small_experiment(SETTINGS), session, contract.CPU)
    return [{k: v for k, v in report.items() if k not in CLOCKS} for report in session.reports]


@pytest.mark.slow
def test_runs_of_seeds_equal_single_runs_and_resume_exactly(memory_data):
    uninterrupted = MemorySession()
    reports = run(uninterrupted)
    assert [(r[RUN], r[RUN_SEED], r[RUN_EPOCH], r[EPOCHS]) for r in reports] == [
        (index, index, epoch, 2 * index + epoch) for index in range(3) for epoch in (1, 2)
    ]
    assert {r[PLANNED_EPOCHS] for r in reports} == {6}
    bests = []
    for seed in range(3):
        single_run = contract.run(contract.small_experiment(SETTINGS | {"seed": seed}), MemorySession())
        own = [r for r in reports if r[RUN_SEED] == seed]
        assert [r[METRIC] for r in own] == [r[METRIC] for r in single_run.reports]
        bests.append(single_run.reports[-1][f"{METRIC}_best"])
        assert own[-1][f"{METRIC}_best"] == pytest.approx(statistics.mean(bests))
        assert own[-1][CHECKPOINT_SCORE] == single_run.reports[-1][CHECKPOINT_SCORE]
    for cut in (1, 2, 5):  # within a run, between two runs, within the last one
        session = contract.InterruptedSession(cut)
        with pytest.raises(contract.Interrupted):
            run(session)
        resumed = MemorySession(session.saved)
        assert run(resumed) == reports[cut:]
        contract.assert_same_state(
            uninterrupted.resume().stages, resumed.resume().stages, f"after an interruption at epoch {cut}"
        )


@given(st.integers(0, HIGHEST_SEED), st.integers(1, 9), st.integers(1, 9))
def test_seeds_are_distinct_and_finalists_use_other_ones(first, used, fresh):
    searched = seeds_from(first, used)
    assert searched[0] == first and len({*searched}) == used and all(0 <= seed <= HIGHEST_SEED for seed in searched)
    finalists = rounds(Finalists(best=1, seeds=fresh + 1), seed=first, data_seed=0, used=used)
    assert not {cell[0] for cells in finalists for cell in cells} & {*searched}


@given(st.permutations([0.5, 0.25, 0.7, 0.7]))
def test_mean_and_error_do_not_depend_on_the_order(values):
    mean, error = mean_and_error(dict(enumerate(values)))
    assert mean == mean_and_error({0: 0.25, 1: 0.5, 2: 0.7, 3: 0.7})[0]
    assert error == pytest.approx(statistics.stdev(values) / 2)
    assert str(mean_and_error({0: 0.5})) == "(0.5, nan)"


def space_of(tmp_path, text=SPACE, **overrides):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return SearchSpace.read(path, overrides)


def epoch_of(total, value, run, *, epochs=2, count=3):
    """Return the report of an epoch of a trial of several seeds; the best value is that of the run's epochs so far."""
    return {
        EPOCHS: total, PLANNED_EPOCHS: epochs * count, CHECKPOINT_SCORE: value, "stage": 0, "train/seconds": 1.0,
        METRIC: value, RUN: run, RUN_SEED: run, RUN_EPOCH: total - epochs * run, "val/images": 40.0,
    }  # fmt: skip


VALUES = [0.2, 0.5, 0.6, 0.4, 0.7, 0.7]  # two epochs a seed: the best are 0.5, 0.6 and 0.7


def finished(tmp_path, again=None):
    """Return the study of a search with one complete trial and one stopped after its first seed's first epoch."""
    space = space_of(tmp_path).bind(10)
    study = open_study(tmp_path, space)

    def new_search():
        return StudySearch(study, space, metric=METRIC, trials=3, stopper=GracefulStopper())

    search = new_search()
    search.suggest("a")
    for total, value in enumerate(VALUES[:-1], start=1):
        search.on_trial_result("a", epoch_of(total, value, (total - 1) // 2))
        if total == again:  # the driver dies; the next one gets the epoch again
            search = new_search()
            search.suggest("a")
            search.on_trial_result("a", epoch_of(total, value, (total - 1) // 2))
    search.on_trial_complete("a", epoch_of(6, VALUES[-1], 2))
    search.suggest("b")
    search.on_trial_complete("b", epoch_of(1, 0.9, 0))
    rows = [{"trial": 0, "epoch": t, **epoch_of(t, v, (t - 1) // 2)} for t, v in enumerate(VALUES, start=1)]
    return study, pd.DataFrame([*rows, {"trial": 1, "epoch": 1, **epoch_of(1, 0.9, 0)}])


@pytest.mark.parametrize("again", [None, *range(1, 6)])
def test_trial_value_is_the_mean_of_its_runs_also_after_a_restart(tmp_path, again):
    study, _ = finished(tmp_path, again)
    complete, stopped = study.get_trials()
    assert [complete.state.name, stopped.state.name] == ["COMPLETE", "PRUNED"]
    assert complete.value == pytest.approx(0.6)
    progress = TrialProgress.read(complete.user_attrs["progress"])
    assert (progress.best_epoch, progress.seconds, len(progress.runs)) == (5, 6.0, 3)
    assert complete.intermediate_values == {1: 0.2, 2: 0.5}, "rules compare only the runs of the first seeds"
    assert recorded_values(study) == {0: {1: 0.2, 2: 0.5}, 1: {1: 0.9}}


def test_tables_show_the_mean_over_seeds_with_its_standard_error(tmp_path):
    study, epochs = finished(tmp_path)
    table = trial_table(study, epochs, {"seed": 0}, selection="val")
    first = table.iloc[0]
    error = statistics.stdev([0.5, 0.6, 0.7]) / 3**0.5
    assert (first["trial"], first["seeds"], first["by_seed"]) == (0, 3, "0.5, 0.6, 0.7")
    assert first[METRIC] == pytest.approx(0.6) and first[f"{METRIC}_seeds_se"] == pytest.approx(error)
    assert first["seconds"] == 6.0 and pd.isna(table.iloc[1][f"{METRIC}_seeds_se"])
    shown = render(table, {}, selection="val", most=12)
    cells = [list(column.cells) for column in shown.columns if column.header in ("all", "± seeds", "seeds")]
    assert cells == [["60.0", "90.0"], ["5.8", "–"], ["3", "1"]]
    assert "means over a trial's seeds" in shown.caption
    once = trial_table(study, epochs.drop(columns=[RUN, RUN_SEED, RUN_EPOCH]), {"seed": 0}, selection="val")
    assert "seeds" not in once and once.iloc[0][METRIC] == 0.7 and "± seeds" not in str(render(
        once, {}, selection="val", most=12).caption)  # fmt: skip


def test_report_shows_means_over_seeds(tmp_path):
    study, epochs = finished(tmp_path)

    class Record:
        trials = trial_table(study, epochs, {"seed": 0}, selection="val")
        objectives, selection, protocol, metric, varied = ["acc_all"], "val", "honest", METRIC, []
        selected_how = "on validation images"

    page = report_trials(Record()).html()
    assert "± seeds" in page and "5.8" in page and "means over a trial" in page


def test_rule_decides_only_in_the_run_of_the_first_seed():
    scheduler = RuleScheduler(
        MedianStopping(1), metric=METRIC, recorded={n: {1: 0.8, 2: 0.8, 3: 0.8, 4: 0.8} for n in range(1, 5)}
    )
    trial = SimpleNamespace(config={TASK: TrialTask(0, 0, {})})
    assert scheduler.on_trial_result(None, trial, epoch_of(1, 0.9, 0)) == "CONTINUE"
    assert scheduler.on_trial_result(None, trial, epoch_of(3, 0.1, 1)) == "CONTINUE"
    assert scheduler._records[0] == {1: 0.9}
    trial.config = {TASK: TrialTask(9, 0, {})}
    assert scheduler.on_trial_result(None, trial, epoch_of(2, 0.1, 0)) == "STOP"


def test_plan_counts_all_runs_and_has_rungs_in_the_first(tmp_path):
    space = space_of(tmp_path, **{"ldam.epochs": 9})
    once, thrice = (TrialPlan.of(space.stop, space.experiments(), TAIL, seeds=n) for n in (1, 3))
    assert thrice.epochs == 3 * once.epochs and thrice.rungs == once.rungs and max(thrice.rungs) < once.epochs
    assert thrice.runs == SeedRuns(3) and once.runs is None
    assert "first seed" in thrice.describe(space.stop) and "first seed" not in once.describe(space.stop)


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        ({"stop.rule": "pbt", "search.sampler": "random"}, "changes a trial's settings during its run"),
        ({"stop.fidelity": "short_runs"}, "either 3 complete runs on different seeds or several short runs"),
    ],
)
def test_several_seeds_are_refused_with_pbt_and_short_runs(tmp_path, stop, message):
    with pytest.raises(UsageError, match=message):
        space_of(tmp_path, **stop)
    assert space_of(tmp_path, **stop, **{"trial.seeds": 1}).trial.seeds == 1


def test_number_of_seeds_is_not_a_resource(tmp_path):
    trial = space_of(tmp_path).trial
    assert "seeds" not in trial.resources() and trial.resources().keys() | {"seeds"} == trial.as_dict().keys()
    assert json.dumps(trial.resources())
