"""A trial that failed finally: the study has the reason, and the search continues to its end."""

import time
from types import SimpleNamespace

import pandas as pd
import pytest

from ltray.on_ray.scheduler import RuleScheduler
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.on_ray.tasks import TASK, TrialTask
from ltray.space.search_space import SearchSpace
from ltray.study.study import REASON, open_study
from tests.on_ray import commands

SPACE = """
dataset: digits-lt
methods: [cross_entropy]
explore: {cross_entropy.learning_rate: {from: 0.01, to: 0.3, log: true}}
fix:
  cross_entropy.epochs: 4
  cross_entropy.schedule: cosine
  dataset.largest_class: 40
  dataset.imbalance_factor: 8
search: {trials: 2}
stop: {rule: none}
trial: {cpus_per_worker: 2, retries: 0}
"""


@pytest.mark.parametrize("message", ["OutOfMemoryError: no room", ""])
def test_reason_of_a_crash_is_recorded_before_the_trial_fails(tmp_path, message):
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "error.txt").write_text(f"Traceback\n{message}\n" if message else "")
    space = SearchSpace.read(tmp_path / "space.yaml").bind(10)
    study, errors = open_study(tmp_path, space), {}
    searcher = StudySearch(study, space, metric="val/acc_all", trials=2, stopper=GracefulStopper(), errors=errors)
    scheduler = RuleScheduler(None, metric="val/acc_all", recorded={}, errors=errors)
    trial = SimpleNamespace(trial_id="a", error_file=str(tmp_path / "error.txt"), config={TASK: TrialTask(0, 0, {})})
    searcher.suggest("a")
    scheduler.on_trial_error(None, trial)  # in the order of Tune's controller
    searcher.on_trial_complete("a", None, error=True)
    (stored_trial,) = [t for t in study.get_trials() if t.state.name == "FAIL"]
    assert stored_trial.user_attrs[REASON] == (message or "the process exited without an error message")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.ffcv
def test_search_with_a_crashed_trial_ends_with_its_tables(tmp_path):
    (tmp_path / "small.yaml").write_text(SPACE)
    arguments = [str(tmp_path / "small.yaml"), "--output", str(tmp_path / "run")]
    with commands.started("tune", *arguments, data=tmp_path, reached=lambda text: "trial 0 starts" in text) as (
        process,
        log,
    ):
        while not commands.processes(process, "ImplicitFunc"):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        commands.kill(process, "ImplicitFunc")
        assert process.wait(timeout=400) == 0, log.read_text()
    printed = log.read_text()
    assert "trial 0 failed: " in printed and "test accuracy of trial 1" in printed and "Traceback" not in printed
    table = pd.read_csv(tmp_path / "run" / "results.csv").set_index("trial")
    assert table["state"].to_dict() == {0: "failed", 1: "complete"} and len(table.loc[0, "reason"]) > 10
