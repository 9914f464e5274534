"""No process with an unreliable check for deaths watches a run of Ray Train."""

import os
import sys
from pathlib import Path

import psutil
import pytest
import ray.train
from ray.exceptions import RayActorError
from ray.train.v2._internal.state import util
from ray.util.placement_group import placement_group_table

from ltray.experiment import Experiment
from ltray.on_ray import cluster, workers
from ltray.on_ray._compat_train import PlacementGroupCleanerCallback, Trainer
from ltray.on_ray.pins import pins_of
from ltray.on_ray.tasks import Placement
from ltray.on_ray.torch_backend import ConfinedTorchConfig
from ltray.on_ray.trainer import ProgressPolicy
from ltray.run_folder import RunFolder
from tests.on_ray import commands

# Makes the State API return an empty answer in every process of Ray that queries the state of a controller.
SILENCE = """
import importlib.abc, importlib.util, sys

class Silence(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "ray.train.v2._internal.state.util":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_silence(module):
            load(module)
            module.get_actor = lambda *words, **options: None

        spec.loader.exec_module = load_and_silence
        return spec

sys.meta_path.insert(0, Silence())
"""


@pytest.fixture
def trainer() -> Trainer:
    return Trainer(
        print,
        policy=ProgressPolicy(None, retries=1),
        torch_config=ConfinedTorchConfig(),
        scaling_config=ray.train.ScalingConfig(num_workers=1),
    )


def test_missing_answer_of_the_state_api_is_a_death_for_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason for the next test; if Ray changes this, its process may watch runs again."""
    monkeypatch.setattr(util, "get_actor", lambda *arguments, **options: None)
    assert not util.is_actor_alive("any", timeout=1)


def test_process_of_ray_that_queries_the_state_api_is_not_started(trainer: Trainer) -> None:
    kinds = {type(one) for one in trainer._create_default_callbacks()}
    assert len(kinds) > 2 and PlacementGroupCleanerCallback not in kinds
    theirs = {type(one) for one in super(Trainer, trainer)._create_default_callbacks()}
    assert theirs - kinds == {PlacementGroupCleanerCallback}


def test_failure_policy_is_the_given_one(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: dict[str, object] = {}
    base = Trainer.__mro__[1]
    monkeypatch.setattr(base, "_initialize_and_run_controller", lambda self, **given: parts.update(given))
    trainer._initialize_and_run_controller(failure_policy="Ray's", other=1)
    assert parts == {"failure_policy": trainer._policy, "other": 1}


def test_timeouts_are_long() -> None:
    assert float(os.environ["RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S"]) >= 3600
    assert float(os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"]) >= 600


@pytest.mark.ray
@pytest.mark.ffcv
@pytest.mark.slow
def test_run_survives_a_silent_state_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "silence").mkdir()
    (tmp_path / "silence" / "sitecustomize.py").write_text(SILENCE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "silence"), *sys.path]))
    arguments = [
        "--methods",
        "cross_entropy",
        "--dataset",
        "digits-lt",
        *commands.SMALL,
        "epochs=60",
        "schedule=cosine",
    ]
    printed = commands.run("train", *arguments, "--workers", "2", "--output", str(tmp_path / "run"), data=tmp_path)
    assert "interrupted" not in printed and "epoch 60/60" in printed
    assert [row["total_epochs"] for row in RunFolder(tmp_path / "run").history()] == list(range(1, 61))


@pytest.mark.ray
@pytest.mark.ffcv
@pytest.mark.slow
def test_resources_of_a_killed_controller_are_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path))
    settings = {"dataset": "digits-lt", "methods": ["cross_entropy"], "cross_entropy.epochs": 500}
    cluster.connect()
    try:
        reports = workers.run_workers(
            settings,
            Placement(Path.cwd(), 1, {"CPU": 1.0}, 0, pins_of([Experiment.from_settings(settings)])),
            folder=tmp_path / "run",
            earlier=None,
            notify=print,
        )
        next(reports)
        assert [name.startswith(f"{tmp_path.resolve()}/run ") for name in reserved()] == [True]
        family = psutil.Process().children(recursive=True)
        (controller,) = [one for one in family if "TrainController" in "".join(one.cmdline()[:1])]
        controller.kill()
        with pytest.raises(RayActorError):
            list(reports)
        assert reserved() == []
    finally:
        cluster.disconnect()


def reserved() -> list[str]:
    return [group["name"] for group in placement_group_table().values() if group["state"] == "CREATED"]
