"""One conversion with many readers: concurrent processes, two nodes with own copies, hundreds of loaders."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ltray.data.beton.convert import convert
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.store import converted
from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.files import digest_of
from ltray.recipe import Recipe
from ltray.stage import Stage, View

pytestmark = [pytest.mark.slow, pytest.mark.ffcv]

READS = """
import hashlib, sys, torch
from ltray.data.beton.store import converted
from ltray.data.definition import DatasetDefinition
from ltray.data.dataset import open_data
definition = DatasetDefinition.read("digits-lt")
found = hashlib.sha256()
for _ in range(5):
    data = open_data(definition, device=torch.device("cpu"))
    for part in (data.selection(), data.test()):
        for images, labels in part:
            found.update(images.numpy().tobytes() + labels.numpy().tobytes())
print(converted(definition).pools["train"].beton, found.hexdigest())
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert the digits into a folder that is shared by all nodes."""
    root = tmp_path_factory.mktemp("shared")
    convert(DatasetDefinition.read("digits-lt"), progress=ProgressBars(shown=False), root=root)
    return root


def readers(shared: Path, nodes: list[Path | None]) -> list[list[str]]:
    """Read in one process per entry, concurrently; returns (file, digest of the images) of each."""
    processes = []
    for node in nodes:
        environment = os.environ | {"LTRAY_DATA": str(shared), "OMP_NUM_THREADS": "1"}
        environment |= {"LTRAY_LOCAL": str(node)} if node else {}
        command = [sys.executable, "-c", READS]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
    results = [process.communicate()[0].strip().rsplit(" ", 1) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(nodes)
    return results


def test_concurrent_processes_read_the_same_images(shared: Path) -> None:
    results = readers(shared, [None] * 4)
    assert {file for file, _ in results} == {str(shared / "digits-8px" / "train.beton")}
    assert len({digest for _, digest in results}) == 1


def test_every_node_reads_its_own_copy_and_replaces_a_damaged_one(shared: Path, tmp_path: Path) -> None:
    nodes = [tmp_path / "node a", tmp_path / "node b"]
    results = readers(shared, [*nodes, *nodes])  # two concurrent processes per node
    copies = {Path(file) for file, _ in results}
    assert len(copies) == 2 and all(any(copy.is_relative_to(node) for copy in copies) for node in nodes)
    original = digest_of(shared / "digits-8px" / "train.beton")
    assert {digest_of(copy) for copy in copies} == {original}
    assert {digest for _, digest in results} == {readers(shared, [None])[0][1]}
    damaged = sorted(copies)[0]
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-8] + b"damaged!")
    again = readers(shared, nodes)
    assert {digest for _, digest in again} == {digest for _, digest in results}
    assert digest_of(damaged) == original
    assert not list(tmp_path.rglob("*.partial"))


class OneView(Stage):
    """A stage with one view of each image."""

    def __init__(self) -> None:
        super().__init__(Recipe(batch_size=64))
        self.views = (View("image", "standard"),)


def test_memory_and_open_files_do_not_grow_over_hundreds_of_loaders(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(shared))
    definition = DatasetDefinition.read("digits-lt")

    def use_one() -> None:
        data = open_data(definition, device=torch.device("cpu"))
        next(data.training(OneView(), None, seed=1).epoch(0))
        next(iter(data.selection()))

    def resources_in_use() -> tuple[int, int, int]:
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(lines["VmRSS"].split()[0]), len(os.listdir("/proc/self/fd")), int(lines["Threads"])

    for _ in range(50):
        use_one()
    memory, files, threads = resources_in_use()
    for _ in range(400):
        use_one()
    later = resources_in_use()
    assert later[0] - memory < 30_000  # kB
    assert later[1:] == (files, threads)
    assert converted(definition).pools["train"].beton.is_file()
