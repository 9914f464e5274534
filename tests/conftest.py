"""Shared fixtures: golden vectors of the authors' code and the real CIFAR sets."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from ltray.data.dataset import open_data
from ltray.engine.loop import train
from ltray.engine.session import Session
from ltray.results.final_evaluation import keep_evaluated
from ltray.results.folder_session import FolderSession
from ltray.run_folder import checkpoint_of
from ltray.testing import contract
from ltray.testing.worker_pool import WorkerPool
from tests.paths import CIFAR, GOLDEN

settings.register_profile("patient", deadline=None)  # a slow machine is not a failure
settings.load_profile("patient")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # one process per core


Golden = Callable[[str], Mapping[str, np.ndarray]]


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Load `golden_<name>.npz`; folder/name if both folders have the name."""

    def load(name: str) -> Mapping[str, np.ndarray]:
        folder, _, stem = name.rpartition("/")
        found = sorted(GOLDEN.glob(f"{folder or '*'}/golden_{stem}.npz"))
        assert len(found) == 1, f"golden_{stem}.npz must exist exactly once below {GOLDEN}: {found}"
        return dict(np.load(found[0], allow_pickle=False))

    return load


@pytest.fixture(scope="session")
def cifar_folder() -> Path:
    """Folder of the CIFAR Parquet files; the test fails without them, because skipped tests are not noticed."""
    assert (CIFAR / "cifar100-train.parquet").is_file(), (
        f"no CIFAR Parquet files in {CIFAR}: set LTRAY_SHARED_DATA, or deselect these tests with -m 'not data'"
    )
    return CIFAR


@pytest.fixture(scope="session")
def two_workers() -> Iterator[WorkerPool]:
    """Two processes joined by gloo, shared by all tests."""
    with WorkerPool(2) as pool:
        yield pool


def from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let experiments read their images into memory, without a conversion."""
    monkeypatch.setattr("ltray.experiment.open_data", partial(open_data, source="memory"))


@pytest.fixture
def digits_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits read from memory, without a conversion."""
    from_memory(monkeypatch)


@pytest.fixture(scope="session")
def train_short() -> Callable[[Session], None]:
    """Train three epochs on a few digits in this process, from the session's checkpoint if it has one."""
    settings = {"dataset.largest_class": 8, "dataset.imbalance_factor": 4, "methods": ["cross_entropy"]}
    settings |= {"cross_entropy.epochs": 3, "cross_entropy.schedule": "cosine"}

    def short(session: Session) -> None:
        experiment = contract.small_experiment(settings)
        data, saved = contract.open_small(experiment), session.resume()
        stages = experiment.stages(data.tail, saved=saved)
        train(stages, data, session, experiment.run(contract.CPU, data, saved=saved), saved=saved)

    return short


@pytest.fixture(scope="session")
def short_run(train_short: Callable[[Session], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a short run, without its last evaluation."""
    folder = tmp_path_factory.mktemp("run")
    train_short(FolderSession(folder))
    return folder


@pytest.fixture
def finished_run(short_run: Path, digits_from_memory: None, tmp_path: Path) -> Path:
    """A copy of the short run, evaluated at its end."""
    folder = tmp_path / "finished"
    shutil.copytree(short_run, folder)
    keep_evaluated(folder, checkpoint_of(folder), contract.CPU)
    return folder


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own folders are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)
