"""The measurements on a GPU, in small on the CPU: data file, rows, numerics, training that continues, no Ray."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_data, gpu_packing
from benchmarks.gpu_numerics import numerics
from benchmarks.gpu_rows import Deadline, OutOfTime, Rows
from benchmarks.gpu_training import trained
from benchmarks.gpu_work import METHODS
from ltray.data.dataset import ImageData
from ltray.errors import UsageError
from tests.paths import ROOT

CPU = torch.device("cpu")
CLASSES = 4
FIELDS = {
    "name": "cifar100-lt",
    "profile": "cifar100_lt",
    "image_size": 32,
    "flip": True,
    "mean": (0.49, 0.48, 0.45),
    "std": (0.2, 0.2, 0.2),
}
NEEDED = ("torch", "torchvision", "pyarrow", "numba", "tensorboard", "scikit-learn")


def images(counts: tuple[int, ...], seed: int) -> gpu_data.StoredImages:
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    return gpu_data.StoredImages(pixels, labels.astype(np.int64))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file of four classes."""
    path = tmp_path_factory.mktemp("gpu") / "small.parquet"
    splits = {"train": images((24, 12, 8, 4), 0), "test": images((3,) * CLASSES, 1)}
    assert gpu_data.write(path, splits, fields=FIELDS, class_names="abcd") == path.stat().st_size
    return path


@pytest.fixture(scope="module")
def data(file: Path) -> ImageData:
    return gpu_data.read(file, CPU)


def test_file_has_the_images_that_were_written(data: ImageData) -> None:
    assert data.tail.counts == (24, 12, 8, 4) and data.class_names == ("a", "b", "c", "d")
    assert (data.definition.protocol, data.definition.profile) == ("paper", "cifar100_lt")
    written = images((3,) * CLASSES, 1)
    stored = gpu_data.stored(data, data.splits.test)
    order = data.splits.test.indices
    assert np.array_equal(stored.pixels, written.pixels[order]) and np.array_equal(stored.labels, written.labels[order])


def test_fewer_images_are_spread_over_the_classes(file: Path) -> None:
    few = gpu_data.read(file, CPU, images=12)
    assert few.tail.total == 12 and min(few.tail.counts) >= 1
    assert len(few.splits.test.indices) == 12


def test_damaged_and_missing_files_are_named(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "damaged.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    for path in (damaged, tmp_path / "missing.parquet"):
        with pytest.raises(UsageError, match=path.name):
            gpu_data.read(path, CPU)
    monkeypatch.setattr(gpu_data, "LARGEST", 100)
    with pytest.raises(UsageError, match="at most 100 can be copied"):
        gpu_data.write(
            tmp_path / "large", {"train": images((2,), 0), "test": images((2,), 0)}, fields={}, class_names="a"
        )
    assert not (tmp_path / "large").exists()


def test_row_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    rows = Rows(tmp_path, CPU)
    rows.add("a", {"seconds": 1.5})
    with rows.file.open("a") as output:
        output.write('{"name": "b", "sec')
    assert rows.done() == {"a"}
    rows.add("b", {"passed": True})
    assert [row["name"] for row in Rows(tmp_path, CPU).read()] == ["a", "b"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+\+00:00", rows.read()[0]["time"])
    assert {"device", "torch", "commit"} <= rows.read()[1].keys()


def test_losses_agree_with_float64(data: ImageData, monkeypatch: pytest.MonkeyPatch) -> None:
    found = numerics("bcl", data)
    assert found["passed"] and found["errors"]["float64"] == 0.0
    assert 0.0 < found["errors"]["float32"] < found["errors"]["bfloat16"]
    monkeypatch.setattr("benchmarks.gpu_numerics.LIMITS", {"float32": 0.0})
    assert not numerics("bcl", data)["passed"]


def test_training_continues_after_the_time_is_used_up(data: ImageData, tmp_path: Path) -> None:
    whole = trained("cross_entropy", data, tmp_path / "whole", Deadline(60), epochs=3)
    cuts = 0
    while True:
        try:
            cut = trained("cross_entropy", data, tmp_path / "cut", Deadline(0), epochs=3)
            break
        except OutOfTime:
            cuts += 1
            assert (tmp_path / "cut" / "checkpoint.pt").is_file()
    assert cuts == 2 and not (tmp_path / "cut").exists()
    same = ("epochs", "best_epoch", "test", "precision")
    assert {name: cut[name] for name in same} == {name: whole[name] for name in same}
    assert cut["seconds"] > 0 and set(cut["test"]) >= {"acc_all"}


def test_command_without_time_keeps_its_rows(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def parts(*_: object) -> list[gpu.Part]:
        def of(name: str) -> gpu.Part:
            return name, lambda: measured.append(name) or {"passed": name != "b"}

        return [of("a"), of("b")]

    monkeypatch.setattr(gpu, "parts", parts)
    arguments = ["--data", str(file), "--device", "cpu", "--output", str(tmp_path)]
    assert gpu.main([*arguments, "--minutes", "0"]) == 0
    assert measured == [] and "run the same command again to continue" in capsys.readouterr().out
    Rows(tmp_path, CPU).add("a", {})
    assert gpu.main(arguments) == 1
    assert measured == ["b"] and "complete, but failed: b" in capsys.readouterr().out
    assert gpu.main(["--data", str(tmp_path / "no"), "--output", str(tmp_path)]) == 2


def test_packed_processes_begin_together() -> None:
    program = (
        "print('ready', flush=True); input(); import time; t = time.time(); time.sleep(0.1); print(time.time() - t)"
    )
    found = gpu_packing.packed([sys.executable, "-c", program], (1, 2))
    assert set(found["seconds"]) == {"1", "2"} and found["times_one"]["1"] == 1.0
    with pytest.raises(RuntimeError, match="exit code 3"):
        gpu_packing.packed([sys.executable, "-c", "import sys; sys.exit(3)"], (1,))


def allowed() -> set[str]:
    """Return the top-level modules of the needed packages and of what they require."""
    found, queue = set[str](), list(NEEDED)
    while queue:
        name = re.split(r"[^\w.-]", queue.pop())[0].lower().replace("_", "-")
        if name in found:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        found.add(name)
        queue += [line for line in requires if "extra ==" not in line]
    modules = importlib.metadata.packages_distributions().items()
    return {module for module, owners in modules if {one.lower().replace("_", "-") for one in owners} & found}


BLOCKER = """
import sys
allowed = set(sys.argv.pop(1).split(",")) | set(sys.stdlib_module_names) | {"ltray", "benchmarks"}
class Hiding:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        return self.finder.find_spec(name, path, target) if top in allowed or top.startswith("_") else None
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path[:] = [Hiding(finder) for finder in sys.meta_path]
"""


def without_others(program: str, *arguments: str) -> str:
    """Run a program in which only the needed packages can be imported."""
    command = [sys.executable, "-c", BLOCKER + program, ",".join(sorted(allowed())), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_needed_packages_do_not_contain_the_others() -> None:
    assert {"torch", "numpy", "scipy", "PIL", "pyarrow", "sklearn", "numba", "tensorboard"} <= allowed()
    assert allowed().isdisjoint({"ray", "optuna", "ffcv", "yaml", "rich", "pandas", "psutil", "timm", "open_clip"})


def test_only_the_needed_packages_are_imported(file: Path) -> None:
    program = f"""
import torch
from benchmarks import gpu, gpu_data, gpu_packing
from benchmarks.gpu_work import METHODS, experiment_of
data = gpu_data.read({str(file)!r}, torch.device("cpu"))
for method in METHODS:
    (stage,) = experiment_of(method, data, epochs=1, precision="float32").stages(data.tail)
next(iter(data.training(stage, None, seed=0).epoch(0)))
for name in ("ray", "optuna", "ffcv", "yaml"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(name)
print(len(METHODS))
"""
    assert without_others(program) == f"{len(METHODS)}\n"


@pytest.mark.slow
def test_every_part_in_small_without_other_packages(file: Path, tmp_path: Path) -> None:
    program = "from benchmarks.gpu import main\nsys.exit(main(sys.argv[1:]))"
    small = ["--data", str(file), "--device", "cpu", "--epochs", "1", "--steps", "1", "--output", str(tmp_path)]
    text = without_others(program, *small, "--packed", "1", "2")
    assert "complete. Rows" in text
    rows = {row["name"]: row for row in map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())}
    kinds = [f"{kind}/{method}" for kind in ("numerics", "steps", "train") for method in METHODS]
    assert rows.keys() == {*kinds, "packed/bcl"}
    assert all(rows[f"numerics/{method}"]["passed"] for method in METHODS)
    assert all(rows[f"train/{method}"]["epochs"] == 1 for method in METHODS)
    steps = rows["steps/bcl"]
    assert steps["launches_per_step"] > 100 and steps["views_per_second"] > 0
    assert without_others(program, *small).startswith("complete")  # nothing is measured again
