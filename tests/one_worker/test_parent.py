"""One worker in a separate process: equal results, crashes, and the end of parent or child."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import torch

from ltray.checkpoints import complete_checkpoints
from ltray.engine.checkpoint import Checkpoint
from ltray.experiment import Experiment
from ltray.on_ray.pins import pins_of
from ltray.on_ray.tasks import Placement
from ltray.one_worker.launcher import suits
from ltray.one_worker.parent import ERRORS, WorkerCrashed, run_worker
from ltray.reporting import FAILURE
from ltray.results.folder_session import FolderSession
from ltray.space.search_settings import TrialResources
from tests.paths import ROOT

pytestmark = pytest.mark.ffcv

CPU = torch.device("cpu")
GIVEN = {
    "dataset": "digits-lt",
    "methods": ["cross_entropy"],
    "dataset.largest_class": 8,
    "dataset.imbalance_factor": 4,
    "cross_entropy.schedule": "cosine",
    "cross_entropy.epochs": 3,
}
BROKEN = """
import os
from ltray.recipe import Recipe
from ltray.stage import Method, Stage, View

class Broken(Stage):
    def __init__(self, knobs, context):
        super().__init__(knobs)
        self.views = (View("image"),)
        self.network = context.new_network("linear")

    def forward(self, batch):
        BREAK

METHOD = Method("broken", "nobody's paper", Recipe, lambda knobs, context: [Broken(knobs, context)])
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    """A short run on a few digits, converted into a temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTRAY_DATA", str(tmp_path_factory.mktemp("data")))
        found = Experiment.from_settings(GIVEN)
        found.opened(CPU)
        yield found


@pytest.fixture(scope="module")
def uninterrupted(experiment: Experiment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in this process."""
    folder = tmp_path_factory.mktemp("here")
    torch.set_num_threads(1)
    with closing(FolderSession(folder)) as session:
        experiment.train(session, CPU)
    return folder


def placement() -> Placement:
    """The placement of the worker; one crash without progress is allowed."""
    return Placement(ROOT, 1, {"CPU": 1.0}, 1, pins_of([Experiment.from_settings(GIVEN)]))


def newest(folder: Path) -> Checkpoint:
    """The last checkpoint of a run."""
    return Checkpoint.load(complete_checkpoints(folder)[-1][0])


def assert_equal(first: Path, second: Path) -> None:
    """Compare weights and optimizer state bit for bit."""
    one, two = newest(first), newest(second)
    assert one.position == two.position
    assert one.stages.keys() == two.stages.keys()
    assert all(torch.equal(one.stages[name], two.stages[name]) for name in one.stages)


def child() -> psutil.Process:
    """The worker's process."""
    (found,) = [one for one in psutil.Process().children() if "ltray.one_worker" in "".join(one.cmdline())]
    return found


def test_child_process_trains_equally_and_survives_a_kill(
    experiment: Experiment, uninterrupted: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    reports = run_worker(experiment.settings(), placement(), folder=tmp_path, notify=lines.append)
    epochs = [next(reports)["total_epochs"]]
    child().kill()
    epochs += [metrics["total_epochs"] for metrics in reports]
    assert epochs[0] == 1 and epochs[-1] == 3 and sorted(set(epochs)) == [1, 2, 3]
    (line,) = lines
    assert "ended with signal SIGKILL, perhaps because of too little memory; it continues from epoch" in line
    assert 1 <= len(complete_checkpoints(tmp_path)) <= 2
    assert_equal(uninterrupted, tmp_path)


def test_closing_the_iterator_ends_the_process(experiment: Experiment, tmp_path: Path) -> None:
    reports = run_worker(experiment.settings(), placement(), folder=tmp_path, notify=print)
    next(reports)
    process = child()
    reports.close()
    assert not process.is_running()


@pytest.mark.parametrize(
    ("breaks", "message"),
    [
        ("raise RuntimeError('a layer is broken')", "RuntimeError: a layer is broken"),
        pytest.param("os._exit(3)", "the worker's process ended with exit code 3", marks=pytest.mark.slow),
        pytest.param("os.abort()", "the worker's process ended with signal SIGABRT", marks=pytest.mark.slow),
    ],
)
def test_crash_in_every_attempt_ends_the_run_with_its_message(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: str, message: str
) -> None:
    (tmp_path / "brokenpackage.py").write_text(BROKEN.replace("BREAK", breaks))
    monkeypatch.syspath_prepend(str(tmp_path))
    given = {key: value for key, value in GIVEN.items() if not key.startswith("cross_entropy.")}
    settings = Experiment.from_settings(given | {"methods": ["brokenpackage:METHOD"], "broken.epochs": 1}).settings()
    lines: list[str] = []
    with pytest.raises(WorkerCrashed) as raised:
        list(run_worker(settings, placement(), folder=tmp_path, notify=lines.append))
    assert str(raised.value) == message
    (line,) = lines
    assert f"{message}; it restarts from the beginning (retries left: 0)" in line
    assert ("a layer is broken" in (tmp_path / ERRORS).read_text()) == ("Error" in message)


def test_settings_refused_by_the_child_are_reported_without_retry(experiment: Experiment, tmp_path: Path) -> None:
    settings = experiment.settings() | {"cross_entropy.batch_size": -1}
    (report,) = run_worker(settings, placement(), folder=tmp_path, notify=pytest.fail)
    assert "batch_size" in report[FAILURE]


PARENT = """
import sys
from pathlib import Path
from tests.one_worker.test_parent import GIVEN, placement, run_worker, Experiment, child
settings = Experiment.from_settings(GIVEN | {"cross_entropy.epochs": 300}).settings()
for _ in run_worker(settings, placement(), folder=Path(sys.argv[1]), notify=print):
    print(child().pid, flush=True)
"""


def test_child_ends_soon_after_its_parent_is_killed(experiment: Experiment, tmp_path: Path) -> None:
    message = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(message, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    epochs = len(complete_checkpoints(tmp_path))
    time.sleep(0.5)
    assert len(complete_checkpoints(tmp_path)) == epochs


@pytest.mark.parametrize(
    ("workers", "address", "expected"),
    [(1, "", True), (1, "local", True), (2, "", False), (1, "auto", False), (1, "192.0.2.7:6379", False)],
)
def test_one_worker_without_a_cluster_does_not_need_ray(
    monkeypatch: pytest.MonkeyPatch, workers: int, address: str, expected: bool
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr("ltray.one_worker.launcher.is_connected", lambda: False)
    assert suits(TrialResources(workers=workers)) == expected
    monkeypatch.setattr("ltray.one_worker.launcher.is_connected", lambda: True)
    assert not suits(TrialResources(workers=workers))
