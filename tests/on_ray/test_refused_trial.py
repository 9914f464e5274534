"""A trial with unusable settings, data or files fails immediately with the reason, without retry."""

import errno
import os
import socket
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import ray
import torch
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from ltray.data.pin import Pins
from ltray.errors import CannotWrite, UsageError
from ltray.experiment import Experiment
from ltray.on_ray import waves
from ltray.on_ray.session import RaySession
from ltray.on_ray.tasks import Placement
from ltray.on_ray.workers import _Relay
from ltray.reporting import FAILURE, LATER, train_and_report
from ltray.run_folder import RunFolder
from tests.on_ray import commands

SETTINGS = {"dataset": "digits-lt", "methods": ["rescom"]}


def new_session(reported, *, raises=False):
    """Return a session of Ray that appends its reports to a list."""
    return RaySession(SimpleNamespace(report=reported.append), None, Path("reports"), raises)


@pytest.mark.parametrize("wrong", [{"rescom.hard_positives": 99}, {"rescom.temprature": 0.1}])
def test_trial_that_cannot_be_built_reports_the_reason(wrong):
    reported = []
    train_and_report(SETTINGS | wrong, new_session(reported), torch.device("cpu"), pins=Pins({}))
    (report,) = reported
    assert next(iter(wrong)).partition(".")[2] in report[FAILURE]


def test_worker_of_ray_train_raises_instead_of_reporting():
    reported = []
    session = new_session(reported, raises=True)
    with pytest.raises(UsageError, match="hard_positives"):
        train_and_report(SETTINGS | {"rescom.hard_positives": 99}, session, torch.device("cpu"), pins=Pins({}))
    assert reported == []


def wrapped(cause):
    """Wrap an exception of a worker like Ray Train."""
    return UserExceptionWithTraceback(cause, "a traceback")


@pytest.mark.parametrize(
    "raised",
    [{0: wrapped(UsageError("no images"))}, {0: wrapped(OSError("lost")), 1: UsageError("no images")}],
)
def test_unusable_input_of_a_worker_ends_the_run(raised):
    put = []
    _Relay(SimpleNamespace(put=put.append)).after_exception(None, raised)
    assert [message for message in put if message] == [({FAILURE: "no images"}, None)]


def test_full_disk_is_reported_as_resumable():
    put = []
    _Relay(SimpleNamespace(put=put.append)).after_exception(None, {0: wrapped(CannotWrite("the disk is full"))})
    assert put[0] == ({FAILURE: "the disk is full", LATER: True}, None)


@pytest.mark.parametrize("workers", [1, 2])
def test_full_disk_is_not_recorded_as_a_result_of_a_finalist(workers, tmp_path, monkeypatch):
    """Every later command would treat such a result as the end of the run."""

    def full(task):
        raise CannotWrite("the disk is full")

    def reports(*arguments, **named):
        yield {FAILURE: "the disk is full", LATER: True}, None

    monkeypatch.setattr(waves, "_in_this_process", full)
    monkeypatch.setattr(waves, "run_workers", reports)
    monkeypatch.setattr(RunFolder, "unrecorded", lambda self: [])
    placement = Placement(Path.cwd(), workers, {"CPU": 1.0}, 0, Pins({}))
    task = SimpleNamespace(folder=tmp_path / "run", placement=placement, settings={}, stamps={})
    with pytest.raises(CannotWrite, match="the disk is full"):
        waves._train._function(task)
    assert list((tmp_path / "run").iterdir()) == []


def test_dead_worker_is_retried():
    put = []
    _Relay(SimpleNamespace(put=put.append)).after_exception(None, {0: wrapped(OSError("lost")), 1: RuntimeError()})
    assert put == []


@pytest.mark.parametrize("raises", [True, False])
def test_full_disk_ends_a_run_immediately_and_names_the_folder(raises, tmp_path, monkeypatch):
    """A worker raises it, because Ray Train waits forever for a report after a failed one."""

    def full(metrics, checkpoint):
        raise OSError(errno.ENOSPC, "Error writing bytes to file. Detail: [errno 28] No space left on device")

    reported = []

    def report(metrics, checkpoint=None):
        (full if checkpoint else lambda metrics, checkpoint: reported.append(metrics))(metrics, checkpoint)

    api = SimpleNamespace(report=report, Checkpoint=SimpleNamespace(from_directory=str))
    session = RaySession(api, None, tmp_path, raises=raises)
    saved = SimpleNamespace(save=lambda folder: None)
    monkeypatch.setattr(Experiment, "train", lambda self, session, *arguments, **named: session.report({}, saved))
    settings = Experiment.from_settings({"dataset": "digits-lt", "methods": ["cross_entropy"]}).settings()
    pins = SimpleNamespace(of=lambda dataset: None)
    message = f"{tmp_path}: cannot be written: No space left on device. Free some space there"
    if raises:
        with pytest.raises(UsageError, match=message):
            train_and_report(settings, session, torch.device("cpu"), pins=pins)
        assert reported == []
    else:
        train_and_report(settings, session, torch.device("cpu"), pins=pins)
        assert reported[0][FAILURE].startswith(message) and reported[0][LATER]


def test_full_disk_in_a_cluster_is_named_with_its_node(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}, {"Alive": False}, {"Alive": True}])
    reported = []
    session = new_session(reported)
    monkeypatch.setattr(Experiment, "train", full_disk)
    settings = Experiment.from_settings({"dataset": "digits-lt", "methods": ["cross_entropy"]}).settings()
    train_and_report(settings, session, torch.device("cpu"), pins=SimpleNamespace(of=lambda dataset: None))
    assert reported == [{FAILURE: f"node {socket.gethostname()}: /x: full", LATER: True}]


def full_disk(*arguments, **named):
    raise CannotWrite("/x: full")


SPACE = """
dataset: digits-lt
methods: [cross_entropy]
explore: {cross_entropy.learning_rate: {from: 0.01, to: 0.3, log: true}}
fix: {cross_entropy.epochs: 2, cross_entropy.schedule: cosine}
search: {trials: 1}
stop: {rule: none}
trial: {workers: WORKERS, retries: 3}
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.ffcv
@pytest.mark.parametrize("workers", [1, 2])
def test_search_reports_the_reason_of_a_failed_trial(tmp_path, monkeypatch, workers):
    """A module that only Ray's workers import makes the experiment raise an error."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if any('default_worker' in word for word in sys.argv):\n"
        "    from ltray.errors import UsageError\n"
        "    from ltray.experiment import Experiment\n"
        "    def refuse(*words, **named):\n"
        "        open(r'" + str(tmp_path / "tries") + "', 'a').write('x')\n"
        "        raise UsageError('the images are gone')\n"
        "    Experiment.train = refuse\n"
    )
    (tmp_path / "small.yaml").write_text(SPACE.replace("WORKERS", str(workers)))
    arguments = [str(tmp_path / "small.yaml"), "--output", str(tmp_path / "run")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert "trial 0 failed: the images are gone" in commands.run("tune", *arguments, data=tmp_path, code=1)
    assert len((tmp_path / "tries").read_text()) <= workers
    assert pd.read_csv(tmp_path / "run" / "results.csv")["reason"].tolist() == ["the images are gone"]
