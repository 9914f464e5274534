"""Conversion with the real FFCV: exact, idempotent, atomic, with named failures."""

import dataclasses
import hashlib
import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ltray.data.beton import writer as ffcv_writer
from ltray.data.beton.chunks import Prepared
from ltray.data.beton.convert import convert
from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.prepare import prepare
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.store import converted, folder_of
from ltray.data.beton.writer import BetonWriter, Job
from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.ffcv_pool import open_beton
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError

pytestmark = pytest.mark.ffcv

CPU = torch.device("cpu")
QUIET = ProgressBars(shown=False)


def encoded(seed: int) -> bytes:
    """Return a 32-pixel image as PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def cifar10_like(folder: Path, count: int, bad: dict[int, bytes] | None = None) -> DatasetDefinition:
    """Write Parquet files in the layout of CIFAR-10; some rows of the training file are invalid."""
    names = json.dumps({"info": {"features": {"label": {"names": [f"class {k}" for k in range(10)]}}}})
    for split, rows in {"train": count, "test": 20}.items():
        images = [{"bytes": encoded(row), "path": f"{row}.png"} for row in range(rows)]
        for row, content in (bad or {}).items():
            if split == "train":
                images[row]["bytes"] = content
        table = pa.table({"img": images, "label": [row % 10 for row in range(rows)]})
        pq.write_table(table.replace_schema_metadata({"huggingface": names}), folder / f"cifar10-{split}.parquet")
    return DatasetDefinition(name="t", source="cifar10", folder=str(folder), validation_per_class=1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetDefinition, Path]:
    """Convert the digits once; returns definition and root."""
    root = tmp_path_factory.mktemp("betons")
    definition = DatasetDefinition.read("digits-lt", {"image_size": 8})
    assert convert(definition, progress=QUIET, root=root)
    return definition, root


@pytest.fixture
def digits_here(
    digits: tuple[DatasetDefinition, Path], monkeypatch: pytest.MonkeyPatch
) -> tuple[DatasetDefinition, Path]:
    """Set LTRAY_DATA to the folder of the converted digits."""
    monkeypatch.setenv("LTRAY_DATA", str(digits[1]))
    return digits


def test_ffcv_and_memory_give_the_same_pixels(digits_here: tuple[DatasetDefinition, Path]) -> None:
    stored = open_data(digits_here[0], device=CPU, source="ffcv")
    memory = open_data(digits_here[0], device=CPU, source="memory")
    assert stored.tail == memory.tail and stored.class_names == memory.class_names
    assert stored.digest == memory.digest
    for mine, theirs in ((stored.test(), memory.test()), (stored.selection(), memory.selection())):
        for (pixels, labels), (expected, named) in zip(mine, theirs, strict=True):
            assert torch.equal(pixels, expected) and torch.equal(labels, named)


def test_second_conversion_writes_nothing(digits: tuple[DatasetDefinition, Path]) -> None:
    definition, root = digits
    beton = folder_of(definition, root) / "train.beton"
    before = beton.stat().st_mtime_ns
    assert not convert(definition, progress=QUIET, root=root)
    assert beton.stat().st_mtime_ns == before


def test_sidecar_describes_the_file(digits_here: tuple[DatasetDefinition, Path]) -> None:
    sidecar = converted(digits_here[0]).pools["train"]
    assert sum(sidecar.counts) == len(sidecar.labels) == 1797
    assert sidecar.class_names == tuple("0123456789")
    assert sidecar.image_sizes == ((8, 8), (8, 8))
    from sklearn.datasets import load_digits

    grey = np.round(load_digits().data * (255 / 16)).astype(np.uint8) / 255
    np.testing.assert_allclose(sidecar.mean, [grey.mean()] * 3, atol=1e-6)
    np.testing.assert_allclose(sidecar.std, [grey.std()] * 3, atol=1e-6)


def test_opening_data_keeps_the_thread_count_of_torch(digits_here: tuple[DatasetDefinition, Path]) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        open_data(digits_here[0], device=CPU).selection()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("wrong", [[-1], [0, 1797]])
def test_indices_outside_the_file_are_refused(digits_here: tuple[DatasetDefinition, Path], wrong: list[int]) -> None:
    with pytest.raises(IndexError, match="has 1797 images"):
        open_beton(converted(digits_here[0]).pools["train"], np.array(wrong), view=8, device=CPU)


def test_repeated_index_is_read_twice(digits_here: tuple[DatasetDefinition, Path]) -> None:
    pool = open_beton(converted(digits_here[0]).pools["train"], np.array([7, 7, 3]), view=8, device=CPU)
    (images,) = pool.stream(torch.arange(3), 3)
    assert torch.equal(images[0], images[1]) and not torch.equal(images[0], images[2])


@pytest.mark.slow
def test_loader_of_ffcv_reads_the_same_images(digits_here: tuple[DatasetDefinition, Path]) -> None:
    """In a separate process with FFCV's compiled pipeline: the file is a standard .beton file."""
    sidecar = converted(digits_here[0]).pools["train"]
    program = f"""
from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import Loader, OrderOption
import hashlib
loader = Loader({str(sidecar.beton)!r}, batch_size=1797, num_workers=1, order=OrderOption.SEQUENTIAL,
                drop_last=False, pipelines={{"image": [SimpleRGBImageDecoder()], "label": [IntDecoder()]}})
for images, labels in loader:
    print(hashlib.sha256(images.tobytes()).hexdigest(), *labels.reshape(-1).tolist())
"""
    output_text = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    pool = open_beton(sidecar, np.arange(1797), view=8, device=CPU)
    (images,) = pool.stream(torch.arange(1797), 1797)
    mine = hashlib.sha256(images.permute(0, 2, 3, 1).contiguous().numpy().tobytes()).hexdigest()
    assert output_text == [mine, *map(str, sidecar.labels)]


def test_damaged_file_is_refused_and_converted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "betons"))
    (tmp_path / "parquet").mkdir()
    definition = cifar10_like(tmp_path / "parquet", 40)
    convert(definition, progress=QUIET)
    beton = folder_of(definition) / "train.beton"
    beton.write_bytes(beton.read_bytes()[:-4096])
    with pytest.raises(UsageError, match="convert the data set again"):
        open_data(definition, device=CPU)
    assert convert(definition, progress=QUIET)
    assert open_data(definition, device=CPU).tail.counts == (3,) * 10


def test_unreadable_images_are_named_or_skipped(tmp_path: Path) -> None:
    (tmp_path / "parquet").mkdir()
    definition = cifar10_like(tmp_path / "parquet", 40, {13: encoded(13)[:200], 31: b"no image"})
    root = tmp_path / "betons"
    with pytest.raises(UsageError, match=r"2 of 60 images cannot be used:\s+cifar10-train.parquet, row 13: .*\s+.*31"):
        convert(definition, progress=QUIET, root=root)
    assert not list(root.rglob("*.beton*"))
    assert convert(definition, progress=QUIET, root=root, skip=True)
    sidecar = Sidecar.read(folder_of(definition, root) / "train.beton")
    assert sidecar.skipped == 2 and len(sidecar.labels) == 38
    assert sidecar.labels == tuple(row % 10 for row in range(40) if row not in (13, 31))
    assert "row 31" in (folder_of(definition, root) / "report.txt").read_text()


def job_of(folder: Path, count: int) -> Job:
    """Prepare some images to be written."""
    definition = cifar10_like(folder, count)
    opener = open_source(definition).pools["train"]
    prepared = Prepared(folder / "work", count)
    prepared.folder.mkdir()
    prepare(opener, prepared, storage=definition.storage, workers=1, advance=lambda count: None)
    return Job(folder / "a.beton", prepared, tuple(range(count)), tuple(opener().labels.tolist()))


def test_image_that_fails_during_writing_ends_the_writer(tmp_path: Path) -> None:
    used: set[str] = set()
    job = job_of(tmp_path, 600)
    (tmp_path / "work" / "000001.bin").write_bytes(b"cut")
    with pytest.raises(OSError, match="000001.bin was truncated"), BetonWriter() as writer:
        writer.write(job, lambda count: used.update(shared_memory(writer._process.pid)))
    assert_gone([writer._process.pid], used)


def test_killed_worker_ends_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    def kill_a_worker(count: int) -> None:
        monkeypatch.setattr(ffcv_writer, "SILENCE", 3.0)
        used.update(shared_memory(writer._process.pid))
        for worker in children(writer._process.pid):
            os.kill(worker, signal.SIGKILL)

    with pytest.raises(UsageError, match="a.beton: .* wrote nothing for 3 s.*same command"), BetonWriter() as writer:
        job = job_of(tmp_path, 4000)  # ten times the images: long enough to be interrupted
        writer.write(dataclasses.replace(job, indices=10 * job.indices, labels=10 * job.labels), kill_a_worker)
    assert used
    assert_gone([writer._process.pid], used)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGRTMIN + 1])
def test_killed_writer_is_reported_with_file_and_signal(kill: int, tmp_path: Path) -> None:
    name = "35" if kill == signal.SIGRTMIN + 1 else signal.Signals(kill).name
    with pytest.raises(UsageError, match=rf"a.beton: a process died .*signal {name}.*same command"):
        with BetonWriter() as writer:
            os.kill(writer._process.pid, kill)
            writer.write(Job(tmp_path / "a.beton", Prepared(tmp_path, 0), (), ()), lambda count: None)


@pytest.mark.slow
def test_write_error_in_a_worker_names_the_file_immediately(tmp_path: Path) -> None:
    job = job_of(tmp_path, 2000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    began = time.monotonic()
    with pytest.raises(OSError, match="File too large") as raised, BetonWriter() as writer:
        resource.prlimit(writer._process.pid, resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # as a full disk would
        writer.write(job, lambda count: None)
    assert raised.value.filename == str(job.target) and time.monotonic() - began < ffcv_writer.SILENCE / 3
    assert_gone([writer._process.pid], set())


@pytest.mark.slow
def test_killed_conversion_leaves_no_process_and_can_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "parquet").mkdir()
    definition = cifar10_like(tmp_path / "parquet", 6000)
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: t\nsource: cifar10\nfolder: {definition.folder}\nvalidation_per_class: 1\n")
    arguments = [sys.executable, "-m", "ltray.convert", str(file), "--output", str(tmp_path / "betons")]
    folder = folder_of(definition, tmp_path / "betons")
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: list(folder.glob(".work-*/train.beton")) != [], 120)
    started = descendants(process.pid)
    used = {name for pid in started for name in shared_memory(pid)}
    process.kill()
    process.wait()
    assert_gone(started, used)
    assert not (folder / "train.beton").exists()
    resumed = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert "train: reading 6,000 of 6,000 in 0." in resumed.stderr
    assert {path.name for path in folder.glob("*.beton*")} == {"train.beton", "test.beton"}
    assert not list(folder.glob(".work-*"))


def children(pid: int) -> list[int]:
    """Return the processes that `pid` started."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for file in listed for word in file.read_text().split()]


def descendants(pid: int) -> list[int]:
    """Return all processes below `pid`."""
    below = children(pid)
    return below + [further for child in below for further in descendants(child)]


def alive(pid: int) -> bool:
    """Return whether a process runs; a zombie does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def shared_memory(pid: int) -> set[str]:
    """Return the names of the shared memory that a process has mapped."""
    try:
        return set(re.findall(r"/dev/shm/(psm_\w+)", Path(f"/proc/{pid}/maps").read_text()))
    except OSError:
        return set()


def assert_gone(pids: list[int], used: set[str]) -> None:
    """Check that processes, their children and their shared memory no longer exist."""
    wait_for(lambda: not any(alive(pid) or children(pid) for pid in pids), 20)
    wait_for(lambda: not any((Path("/dev/shm") / name).exists() for name in used), 10)


def wait_for(true: Callable[[], bool], seconds: float) -> None:
    """Wait until `true()` holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.1)
