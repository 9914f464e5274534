"""A real search killed at random, interrupted, limited by a budget, with two workers per trial: no result is lost."""

import json
import os
import random
import signal
import time

import pandas as pd
import pytest

from ltray.checkpoints import complete_checkpoints
from tests.on_ray import commands

pytestmark = [pytest.mark.ray, pytest.mark.ffcv, pytest.mark.slow]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    return commands.write_space(tmp_path_factory.mktemp("space"), "rescom.batch_size: 16")


@pytest.fixture(scope="module")
def uninterrupted(space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    commands.run("tune", str(space), "--output", str(folder / "run"), data=folder)
    return folder / "run"


def outcome(folder):
    trials = commands.study_of(folder).get_trials()
    return [(t.number, t.state.name, t.params, t.intermediate_values, t.value) for t in trials]


def tables(folder):
    """Return the tables without clock readings."""
    history, results = (pd.read_parquet(folder / f"{name}.parquet") for name in ("history", "results"))
    clocks = [c for c in (*history, *results) if c in ("seconds", "train/seconds", "train/images_per_second")]
    evaluation = json.loads((folder / "best" / "evaluation.json").read_text())
    drop = {"columns": clocks, "errors": "ignore"}
    return history.drop(**drop), results.drop(**drop), evaluation["metrics"]


def assert_equal(first, second):
    assert outcome(first) == outcome(second)
    (history, results, test), (history_2, results_2, test_2) = tables(first), tables(second)
    pd.testing.assert_frame_equal(history, history_2)
    pd.testing.assert_frame_equal(results, results_2)
    assert test == test_2


def killed_five_times(arguments, folder, *, longest):
    """Run a search, killing it five times at random, `longest` seconds after its data are open at most."""
    chance = random.Random(str(folder))
    deaths = 0
    while deaths < 5:
        with commands.started("tune", *arguments, data=folder, reached=lambda text: "classes" in text) as (
            process,
            log,
        ):
            deadline = time.monotonic() + chance.uniform(2.0, longest)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            if process.poll() is not None:
                break  # it finished before the fifth kill
            process.send_signal(
                signal.SIGKILL
            )  # the next one starts immediately, while processes of this one may still run
            process.wait()
        deaths += 1
    commands.run("tune", *arguments, data=folder)
    assert deaths > 0


def test_search_killed_five_times_equals_an_uninterrupted_one(space, uninterrupted, tmp_path):
    killed_five_times([str(space), "--output", str(tmp_path / "run")], tmp_path, longest=25.0)
    assert_equal(uninterrupted, tmp_path / "run")


@pytest.mark.data
@pytest.mark.timeout(1500)
def test_search_on_cifar_killed_five_times_equals_an_uninterrupted_one(space, cifar_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LTRAY_SHARED_DATA", str(cifar_folder))
    # The 10,000 test images would take longer than everything else; the papers' queue is longer than the space's.
    smaller = ["dataset.validation_per_class=10", "dataset.test_per_class=10", "search.first_try=none"]
    arguments = [str(space), "dataset=cifar10-lt", *smaller]
    commands.run("tune", *arguments, "--output", str(tmp_path / "uninterrupted"), data=tmp_path)
    killed_five_times([*arguments, "--output", str(tmp_path / "run")], tmp_path, longest=40.0)
    assert_equal(tmp_path / "uninterrupted", tmp_path / "run")


def test_search_killed_in_its_final_evaluation_only_evaluates(space, uninterrupted, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run")]
    commands.run_until("tune", *arguments, data=tmp_path, reached=lambda text: "accuracy on validation images" in text)
    assert "interrupted" in commands.run("status", str(tmp_path / "run"), data=tmp_path)
    printed = commands.run("tune", str(tmp_path / "run"), data=tmp_path)
    assert "starts" not in printed and "test accuracy of trial" in printed
    assert_equal(uninterrupted, tmp_path / "run")


def killed_in_trial_1(arguments, folder, name):
    """Kill a process of a search after a moment of its second trial; return exit code and output."""
    with commands.started("tune", *arguments, data=folder, reached=lambda text: "trial 1 starts" in text) as (
        process,
        log,
    ):
        time.sleep(random.Random(str(folder)).uniform(0.0, 3.0))
        commands.kill(process, name)
        code = process.wait(timeout=commands.LIMIT)
    printed = log.read_text()
    assert "Traceback" not in printed
    return code, printed


def test_killed_worker_is_retried(space, uninterrupted, tmp_path):
    code, printed = killed_in_trial_1([str(space), "--output", str(tmp_path / "run")], tmp_path, "ImplicitFunc")
    assert code == 0 and "retries left" in printed, printed
    assert_equal(uninterrupted, tmp_path / "run")


def test_killed_raylet_is_reported_and_the_same_command_resumes(space, tmp_path):
    # Ray detects it after half a minute; a shorter search would end normally before.
    arguments = [str(space), "--output", str(tmp_path / "run"), "epochs=100", "stop.rule=none", "search.trials=3"]
    code, printed = killed_in_trial_1(arguments, tmp_path, "/raylet")
    assert code == 1 and "the same command" in printed, printed
    completed = [trial for trial in outcome(tmp_path / "run") if trial[1] == "COMPLETE"]
    commands.run("tune", *arguments, data=tmp_path)
    ended = outcome(tmp_path / "run")
    assert ended[: len(completed)] == completed
    assert [(state, len(epochs)) for _, state, _, epochs, _ in ended] == [("COMPLETE", 100)] * 3


def test_second_command_on_the_folder_is_refused(space, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run")]
    with commands.started("tune", *arguments, data=tmp_path, reached=lambda text: "trial 0 starts" in text) as (
        process,
        _,
    ):
        printed = commands.run("tune", *arguments, data=tmp_path, code=2)
        assert f"in use by process {process.pid} on " in printed
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=commands.LIMIT) == 130


@pytest.mark.parametrize(
    ("signals", "epoch"), [([signal.SIGINT], 1), ([signal.SIGINT, signal.SIGINT], None), ([signal.SIGTERM], None)]
)
def test_interrupted_search_saves_everything_and_resumes(space, uninterrupted, tmp_path, signals, epoch):
    arguments = [str(space), "--output", str(tmp_path / "run")]
    with commands.started(
        "tune", *arguments, data=tmp_path, reached=lambda text: "trial 1 starts" in text, start_new_session=True
    ) as (process, log):
        for number in signals:
            os.killpg(process.pid, number)  # like a terminal: Ray's processes get the signal, too
            time.sleep(0.3)
        code = process.wait(timeout=commands.LIMIT)
    printed = log.read_text()
    assert code == 130, printed
    assert "run the same command again to continue" in printed and "Traceback" not in printed
    assert [state for _, state, *_ in outcome(tmp_path / "run")] == ["COMPLETE", "RUNNING"]
    if epoch:
        assert "trial 1 is paused at epoch" in printed
        assert complete_checkpoints(tmp_path / "run" / "trials" / "0001")
    assert pd.read_csv(tmp_path / "run" / "results.csv")["state"].to_list() == ["complete", "interrupted"]
    told = commands.run("status", str(tmp_path / "run"), data=tmp_path)
    assert "; interrupted" in told and "1 of 4 trials ended: 1 complete" in told and "best: trial 0" in told
    assert "trials that continue" in told and f"to continue: python -m ltray.tune {tmp_path / 'run'}" in told
    commands.run("tune", str(tmp_path / "run"), data=tmp_path)
    assert "4 of 4 trials ended" in commands.run("status", str(tmp_path / "run"), data=tmp_path)
    assert_equal(uninterrupted, tmp_path / "run")


def test_search_stops_at_its_budget_and_continues_with_a_larger_one(space, uninterrupted, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run")]
    printed = commands.run("tune", *arguments, "--budget", "2trials", data=tmp_path)
    assert "the budget of 2 trials is used up: 2 of 4 trials are left" in printed and "test accuracy" in printed
    spent = json.loads((tmp_path / "run" / "spent.json").read_text())
    assert spent["cpu_seconds"] > 0 and spent["gpu_seconds"] == 0
    hours = (spent["cpu_seconds"] + 1) / 3600  # cores; used up in the first second of the next trial
    printed = commands.run("tune", *arguments, "--budget", f"{hours}cpuh", data=tmp_path)
    assert "trial 2 is paused at epoch 1 of 4" in printed and "trial 3" not in printed
    printed = commands.run("tune", *arguments, "--budget", f"{hours}cpuh", data=tmp_path)
    assert "starts" not in printed and "a larger --budget continues" in printed
    printed = commands.run("tune", *arguments, "--budget", "0.1gpuh", data=tmp_path, code=2)
    assert "trials use no GPU here" in printed
    commands.run("tune", *arguments, "--budget", "9h", data=tmp_path)
    assert_equal(uninterrupted, tmp_path / "run")


TWO = ["trial.workers=2", "trial.cpus_per_worker=1", "search.seed=3"]


@pytest.fixture(scope="module")
def one_worker(space, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    commands.run("tune", str(space), "--output", str(folder / "run"), "search.seed=3", data=folder)
    return folder / "run"


def test_killed_and_resumed_trials_of_two_workers_search_like_one_worker(space, one_worker, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run"), *TWO]
    commands.run_until("tune", *arguments, data=tmp_path, reached=lambda text: "trial 1 starts" in text)
    printed = commands.run("tune", *arguments, data=tmp_path)
    assert "trial 0 starts" not in printed
    one, two = outcome(one_worker), outcome(tmp_path / "run")
    assert [t[1] for t in two].count("PRUNED") >= 1 and [t[2] for t in two][:2] == [t[2] for t in one][:2]
    assert not list((tmp_path / "run" / "workers").iterdir())  # finished runs leave no files
    assert all(one[n][3] == pytest.approx(two[n][3], abs=0.1) for n in (0, 1) if one[n][1] == two[n][1])
    history = [pd.read_parquet(f / "history.parquet").query("epoch == 1") for f in (one_worker, tmp_path / "run")]
    for name in ("loss/classification", "loss/contrastive"):
        first, second = (table.set_index("trial")[name].head(2) for table in history)
        # Float32 sums depend on the order, and so do mined keys; test_every_method compares in float64, to 1e-6.
        assert second.to_numpy() == pytest.approx(first.to_numpy(), rel=5e-2)


def test_killed_trial_of_two_workers_releases_its_cores(space, tmp_path):
    arguments = [str(space), "--output", str(tmp_path / "run"), *TWO, "search.trials=1", "trial.retries=2"]
    with commands.started("tune", *arguments, data=tmp_path, reached=lambda text: "trial 0 starts" in text) as (
        process,
        log,
    ):
        for count, delay in ((1, 4.0), (2, 15.0)):  # as its workers start, and as they train
            time.sleep(delay)
            commands.kill(process, "ImplicitFunc")
            while log.read_text().count("retries left") < count:
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        assert process.wait(timeout=commands.LIMIT) == 0, log.read_text()
    assert [state for _, state, *_ in outcome(tmp_path / "run")] == ["COMPLETE"]
    assert sorted(outcome(tmp_path / "run")[0][3]) == [1, 2, 3, 4]
