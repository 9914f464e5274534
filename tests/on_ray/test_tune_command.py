"""`python -m ltray.tune` from a user's view: killed, interrupted, resumed; NaN and early stopping."""

import signal

import pandas as pd
import pytest

from tests.on_ray import commands

pytestmark = [pytest.mark.ray, pytest.mark.ffcv]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return commands.write_space(tmp_path_factory.mktemp("space"))


@pytest.fixture(scope="module")
def uninterrupted(space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    printed = commands.run("tune", str(space), "--output", str(folder / "run"), data=folder)
    return folder / "run", printed


def outcome(folder):
    return [(t.number, t.state.name, t.params, t.intermediate_values) for t in commands.study_of(folder).get_trials()]


def test_search_writes_tables_and_one_test_evaluation(uninterrupted):
    folder, printed = uninterrupted
    table = pd.read_parquet(folder / "results.parquet")
    assert len(table) == 4 and table["paper"].sum() == 1
    assert set(table["protocol"]) == {"honest"} and set(table["seed"]) == {0}
    assert (table["rescom.hard_positives"] <= table["rescom.queue_size"]).all()
    assert pd.read_csv(folder / "results.csv").shape == table.shape
    history = pd.read_parquet(folder / "history.parquet")
    assert history.groupby("trial")["epoch"].max().to_dict() == table.set_index("trial")["epochs"].to_dict()
    assert (folder / "best" / "evaluation.json").is_file()
    assert "test accuracy of trial" in printed and "0 (paper)" in printed
    assert len(list(folder.glob("trials/*/events.out.tfevents.*"))) >= 4


def test_stopped_trials_are_pruned_in_the_study(uninterrupted):
    folder, printed = uninterrupted
    states = {number: state for number, state, _, _ in outcome(folder)}
    table = pd.read_parquet(folder / "results.parquet").set_index("trial")
    assert {n for n, state in states.items() if state == "PRUNED"} == set(table.index[table["epochs"] < 4])
    assert "stopped early" in printed


@pytest.mark.slow  # test_search_survives kills more often
def test_killed_and_resumed_search_decides_like_an_uninterrupted_one(space, uninterrupted, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run")]
    commands.run_until("tune", *arguments, data=tmp_path, reached=lambda text: "trial 2 starts" in text)
    before = {n: values for n, state, _, values in outcome(tmp_path / "run") if state != "RUNNING"}
    assert len(before) == 2
    printed = commands.run("tune", *arguments, "--resume", data=tmp_path)
    assert "continues the search" in printed and "trial 0 starts" not in printed
    assert outcome(tmp_path / "run") == [
        (number, state, params, values) for number, state, params, values in outcome(uninterrupted[0])
    ]


@pytest.mark.slow
def test_ctrl_c_saves_everything_and_exits_with_130(space, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run"), "search.trials=2"]
    printed, code = commands.run_until(
        "tune", *arguments, data=tmp_path, reached=lambda text: "trial 1 starts" in text, how=signal.SIGINT
    )
    assert code == 130
    assert "run the same command again to continue" in printed and "Traceback" not in printed
    states = [state for _, state, _, _ in outcome(tmp_path / "run")]
    assert states == ["COMPLETE", "RUNNING"]


@pytest.mark.slow
def test_non_finite_loss_fails_its_trial_immediately(space, tmp_path):
    # Every step multiplies the weights by 1 - lr·wd = -99.
    arguments = ["rescom.learning_rate=100", "rescom.weight_decay=1", "rescom.warmup_epochs=0", "search.trials=1"]
    printed = commands.run("tune", str(space), *arguments, "--output", str(tmp_path / "run"), data=tmp_path, code=1)
    assert "is not finite in epoch" in printed and "no trial finished with a valid result" in printed
    assert [state for _, state, _, _ in outcome(tmp_path / "run")] == ["FAIL"]


def test_budget_that_cannot_be_spent_is_refused_before_a_folder_is_created(space, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run"), "trial.gpus_per_worker=0", "--budget", "1gpuh"]
    assert "trials use no GPU here" in commands.run("tune", *arguments, data=tmp_path, code=2)
    assert not (tmp_path / "run").exists()


def test_resume_without_a_search_is_refused(space, tmp_path):
    printed = commands.run("tune", str(space), "--resume", "--output", str(tmp_path / "none"), data=tmp_path, code=2)
    assert "nothing to resume" in printed
