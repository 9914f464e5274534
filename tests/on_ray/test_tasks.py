"""Objects that cross a process boundary: frozen, equal after pickling, and the only content of Tune's keys."""

import dataclasses
import pickle
from pathlib import Path

import pytest
import torch

from ltray.data.pin import Pins
from ltray.on_ray import tasks, trial
from ltray.on_ray.tasks import SEARCH, TASK, Placement, SearchTask, TrialTask, WaveTask, WorkerTask
from ltray.study.short_runs import ShortRuns

PLACEMENT = Placement(Path("/work"), 2, {"CPU": 1.5}, 1, Pins({}))
TASKS = [
    PLACEMENT,
    TrialTask(7, 1, {"seed": 0}),
    SearchTask(Path("/runs/trials"), PLACEMENT, ShortRuns((1, 2), "restart")),
    WaveTask({"seed": 3}, Path("/runs/finalists/0007"), PLACEMENT, {"trial": "0007"}, "tensorboard"),
    WorkerTask({"seed": 0}, Path("/runs/workers/0007"), PLACEMENT, None, None),
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_task_is_frozen_and_equal_after_pickling(task: Placement) -> None:
    assert pickle.loads(pickle.dumps(task)) == task
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(task, dataclasses.fields(task)[0].name, None)


def test_every_task_class_is_tested() -> None:
    own = {found for found in vars(tasks).values() if getattr(found, "__module__", "") == tasks.__name__}
    assert {found for found in own if dataclasses.is_dataclass(found)} == set(map(type, TASKS))


def test_task_has_the_folder_of_its_trial() -> None:
    assert [TrialTask(7, attempt, {}).folder_name for attempt in (0, 1, 12)] == ["0007", "0007.1", "0007.12"]
    assert TrialTask(12_345, 0, {}).name == "12345"


@pytest.mark.parametrize(("cores", "threads"), [(0.5, 1), (1.0, 1), (3.0, 3)])
def test_placement_uses_the_cores_of_its_workers(cores: float, threads: int) -> None:
    alone = Placement(Path("/work"), 1, {"CPU": cores}, 0, Pins({}))
    assert (alone.threads, alone.device) == (threads, torch.device("cpu"))
    assert Placement(Path("/work"), 1, {"CPU": cores, "GPU": 1.0}, 0, Pins({})).device == torch.device("cuda")


@pytest.mark.parametrize("workers", [1, 2])
def test_trial_works_in_the_folder_of_its_placement(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begun: list[tuple[str, TrialTask, SearchTask]] = []
    monkeypatch.setattr(trial, "_in_this_process", lambda task, search: begun.append(("alone", task, search)))
    monkeypatch.setattr(trial, "_with_workers", lambda task, search: begun.append(("workers", task, search)))
    (tmp_path / "working").mkdir()
    search = SearchTask(tmp_path, dataclasses.replace(PLACEMENT, working=tmp_path / "working", workers=workers), None)
    task = TrialTask(3, 0, {})
    trial.run_trial({TASK: task, SEARCH: search})
    assert begun == [("alone" if workers == 1 else "workers", task, search)]
    assert Path.cwd() == tmp_path / "working"
