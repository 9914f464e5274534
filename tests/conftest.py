"""Shared fixtures: golden vectors of the authors' code and the real CIFAR sets."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from ltray.testing.worker_pool import WorkerPool

SHARED = Path(os.environ.get("LTRAY_SHARED", Path(__file__).resolve().parents[2] / "shared"))

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

Golden = Callable[[str], Mapping[str, np.ndarray]]


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Load `golden_<name>.npz`; folder/name where both folders hold the name."""

    def load(name: str) -> Mapping[str, np.ndarray]:
        folder, _, stem = name.rpartition("/")
        found = sorted((SHARED / "golden").glob(f"{folder or '*'}/golden_{stem}.npz"))
        if not (SHARED / "golden").is_dir():
            pytest.skip(f"no golden vectors in {SHARED / 'golden'}; set LTRAY_SHARED")
        assert len(found) == 1, f"golden_{stem}.npz: {found}"
        return dict(np.load(found[0], allow_pickle=False))

    return load


@pytest.fixture(scope="session")
def cifar_folder() -> Path:
    """Folder of the CIFAR Parquet files."""
    folder = Path(os.environ.get("LTRAY_SHARED_DATA", SHARED / "data"))
    if not (folder / "cifar100-train.parquet").is_file():
        pytest.skip(f"no CIFAR Parquet files in {folder}; set LTRAY_SHARED_DATA")
    return folder


@pytest.fixture(scope="session")
def two_workers() -> Iterator[WorkerPool]:
    """Two processes joined by gloo, shared by all tests."""
    with WorkerPool(2) as pool:
        yield pool
