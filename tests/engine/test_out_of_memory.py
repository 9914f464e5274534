"""A step that does not fit into memory ends in a sentence with a batch that fits."""

import gc
import re
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from ltray.engine.loop import train
from ltray.engine.memory_session import MemorySession
from ltray.engine.out_of_memory import is_out_of_memory
from ltray.engine.session import Run
from ltray.errors import UsageError
from ltray.recipe import Recipe
from ltray.stage import Batch, Stage
from ltray.testing.overfit import textures

CPU = torch.device("cpu")
MEGABYTE = 1 << 20
LIMIT = 96 * MEGABYTE


class Hungry(Stage):
    """Needs `bytes_each` bytes for every image of a batch, in its forward pass."""

    def __init__(self, batch_size, bytes_each, allocate):
        super().__init__(Recipe(epochs=1, warmup_epochs=0, milestones=(), batch_size=batch_size))
        self.weight = nn.Parameter(torch.ones(()))
        self.bytes_each, self.allocate, self.tried = bytes_each, allocate, []
        self.network = nn.Linear(1, 3)

    def forward(self, batch):
        """Return one term."""
        self.tried.append(len(batch.labels))
        return {"only": self.weight * self.allocate(len(batch.labels) * self.bytes_each)}


class Batches:
    """A loader of one batch of the stage's size."""

    steps = 1

    def __init__(self, size):
        self.size = size

    def epoch(self, epoch, first_step=0):
        """Yield one batch."""
        rows = torch.zeros(self.size, dtype=torch.int64)
        yield Batch({"image": rows}, rows, rows)


def run(stage, monkeypatch):
    data = textures()
    monkeypatch.setattr(data, "training", lambda stage, selected, *, seed: Batches(stage.recipe.batch_size))
    return train([stage], data, MemorySession(), Run(seed=0, device=CPU, selection="test"))


def refusing(limit, error):
    def allocate(size):
        if size > limit:
            raise error
        return torch.ones(())

    return allocate


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("could not create a memory object"),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_every_kind_of_error_names_the_batch_that_fits(error, monkeypatch):
    stage = Hungry(200, 1, refusing(60, error))
    with pytest.raises(
        UsageError, match=r"training step of Hungry with batch_size=200\. A step of 50 fits: set batch_"
    ):
        run(stage, monkeypatch)
    assert stage.tried == [200, 100, 50] and stage.recipe.batch_size == 200


def test_no_batch_that_fits_is_stated(monkeypatch):
    with pytest.raises(UsageError, match="Not even a step of one image fits"):
        run(Hungry(5, 1, refusing(0, MemoryError())), monkeypatch)


def test_other_errors_are_not_changed(monkeypatch):
    with pytest.raises(RuntimeError, match="shapes"):
        run(Hungry(5, 1, refusing(0, RuntimeError("shapes do not fit"))), monkeypatch)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_allocator_of_the_processor_reports_the_limit_of_the_process(monkeypatch):
    """The real error: more memory than the process may have."""

    def allocate(size):
        return torch.ones(size, dtype=torch.uint8).float().mean()

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT, hard))
    try:
        with pytest.raises(UsageError, match=r"memory of this process \(at most .*iB\) is not sufficient") as caught:
            run(Hungry(4096, MEGABYTE // 4, allocate), monkeypatch)
        fits = int(re.search(r"A step of (\d+) fits", str(caught.value))[1])
        del caught  # its frames have the tensors of the step that failed
        gc.collect()
        allocate(fits * 7 // 8 * MEGABYTE // 4)  # other threads of the process may have taken some memory since
        with pytest.raises(RuntimeError):
            allocate(2 * fits * MEGABYTE // 4)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
