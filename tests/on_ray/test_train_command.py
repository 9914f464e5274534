"""`python -m ltray.train` from a user's view: killed, resumed, on two workers."""

import json
import random
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from ltray.checkpoints import complete_checkpoints
from ltray.engine.checkpoint import Checkpoint, metrics_of
from ltray.run_folder import RunFolder
from tests.on_ray import commands

pytestmark = pytest.mark.ffcv

WORDS = ["--methods", "rescom", "--dataset", "digits-lt", *commands.SMALL, "epochs=4", "rescom.batch_size=16"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    printed = commands.run("train", *WORDS, "--output", str(folder / "run"), data=folder)
    return folder / "run", printed


def last_checkpoint(folder):
    known = [p for p in folder.glob("checkpoint_*") if metrics_of(p)]
    return Checkpoint.load(max(known, key=lambda p: metrics_of(p)["total_epochs"]))


def assert_equal(first, second):
    one, two = last_checkpoint(first), last_checkpoint(second)
    assert one.position == two.position
    assert all(torch.equal(one.stages[name], two.stages[name]) for name in one.stages)
    clocks = ("train/seconds", "train/images_per_second")
    histories = [
        [{k: v for k, v in row.items() if k not in clocks} for row in RunFolder(f).history()] for f in (first, second)
    ]
    assert histories[0] == histories[1]


def test_run_prints_every_epoch_and_evaluates_once_on_test_images(uninterrupted):
    folder, printed = uninterrupted
    assert [f"epoch {e}/4" in printed for e in (1, 2, 3, 4)] == [True] * 4
    assert "chosen on validation images" in printed
    evaluation = json.loads((folder / "best" / "evaluation.json").read_text())
    assert sum(evaluation["seen"]) == 400
    assert evaluation["protocol"] == "honest"
    assert list(folder.glob("events.out.tfevents.*"))


def test_killed_run_resumes_bit_for_bit(uninterrupted, tmp_path):
    epoch = random.Random(str(tmp_path)).choice((1, 2, 3))
    arguments = [*WORDS, "--output", str(tmp_path / "run")]
    commands.run_until("train", *arguments, data=tmp_path, reached=lambda text: f"epoch {epoch}/4" in text)
    # As after a kill during a write: an incomplete list of checkpoints and an incomplete checkpoint.
    (tmp_path / "run" / "checkpoint_manager_snapshot.json").write_text('{"ray_version": "')
    torn = shutil.copytree(complete_checkpoints(tmp_path / "run")[-1][0], tmp_path / "run" / "checkpoint_torn")
    (torn / "checkpoint.pt").write_bytes(b"half")
    printed = commands.run("train", *arguments, data=tmp_path)
    assert "continues the run" in printed and f"epoch {epoch - 1}/4" not in printed
    assert_equal(uninterrupted[0], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_exits_with_130_and_resumes_bit_for_bit(uninterrupted, tmp_path, how):
    arguments = [*WORDS, "--output", str(tmp_path / "run")]
    printed, code = commands.run_until(
        "train", *arguments, data=tmp_path, reached=lambda text: "epoch 2/4" in text, how=how
    )
    assert code == 130 and "run the same command again to continue" in printed and "Traceback" not in printed
    commands.run("train", *arguments, data=tmp_path)
    assert_equal(uninterrupted[0], tmp_path / "run")


def test_worker_killed_at_a_random_step_does_not_change_the_run(uninterrupted, tmp_path):
    arguments = [*WORDS, "--output", str(tmp_path / "run")]
    chance = random.Random(str(tmp_path))
    epoch = chance.choice((1, 2))
    commands.run_with_a_worker_killed(
        "train",
        *arguments,
        data=tmp_path,
        reached=lambda text: f"epoch {epoch}/4" in text,
        name="ltray.one_worker",
        delay=chance.uniform(0.0, 1.0),
    )
    assert_equal(uninterrupted[0], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.ray
def test_one_worker_on_ray_equals_one_in_a_separate_process(uninterrupted, tmp_path):
    arguments = [*WORDS, "--output", str(tmp_path / "run")]
    script = f"from ltray.on_ray import cluster; cluster.connect(); from ltray.train import main; main({arguments!r})"
    subprocess.run([sys.executable, "-c", script], env=commands.environment(tmp_path), check=True)
    assert list(tmp_path.glob("run/checkpoint_20*"))  # named by Ray Train
    assert_equal(uninterrupted[0], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.ray
def test_two_workers_train_like_one(uninterrupted, tmp_path):
    commands.run("train", *WORDS, "--workers", "2", "--output", str(tmp_path / "run"), data=tmp_path)
    one, two = RunFolder(uninterrupted[0]).history(), RunFolder(tmp_path / "run").history()
    # Float32 sums depend on the order, and so do mined keys; test_every_method compares in float64, to 1e-6.
    for name in ("loss/classification", "loss/contrastive"):
        assert two[0][name] == pytest.approx(one[0][name], rel=5e-2)


def test_folder_with_another_run_is_refused(uninterrupted):
    folder = uninterrupted[0]
    arguments = [word.replace("epochs=4", "epochs=5") for word in WORDS]
    printed = commands.run("train", *arguments, "--output", str(folder), data=folder.parent, code=2)
    assert "`rescom.epochs` is 4 there and 5 now" in printed


@pytest.mark.slow
def test_a_finished_run_is_not_repeated(uninterrupted):
    folder = uninterrupted[0]
    before = (folder / "best" / "evaluation.json").stat().st_mtime_ns
    printed = commands.run("train", *WORDS, "--output", str(folder), data=folder.parent)
    assert "epoch 1/4" not in printed and "test: all" in printed
    assert (folder / "best" / "evaluation.json").stat().st_mtime_ns == before


def test_mistake_exits_with_2_without_traceback(tmp_path):
    printed = commands.run("train", "--methods", "rescmo", "--dataset", "digits-lt", data=tmp_path, code=2)
    assert "`rescmo` is not a method. Did you mean `rescom`" in printed
