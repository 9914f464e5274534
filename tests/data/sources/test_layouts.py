"""Real images of CIFAR-10 in every supported layout: converted, verified, trained on."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.paths import CIFAR

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.ffcv, pytest.mark.data]

NAMES = ("airplane", "automobile", "bird")
COUNTS = {"train": (40, 20, 10), "test": (6, 6, 6)}
FORMATS = ("png", "jpeg", "webp", "bmp")
Item = tuple[str, int, bytes]
"""File name below the folder, label, content."""


def items(split: str) -> Iterator[Item]:
    """Yield some images in mixed formats and sizes."""
    table = pq.read_table(CIFAR / f"cifar10-{split}.parquet").slice(0, 2000)
    left = list(COUNTS[split])
    for number, (image, label) in enumerate(zip(table["img"].to_pylist(), table["label"].to_pylist(), strict=True)):
        if label < len(NAMES) and left[label]:
            left[label] -= 1
            kind = FORMATS[number % len(FORMATS)]
            content = io.BytesIO()
            with Image.open(io.BytesIO(image["bytes"])) as opened:
                opened.resize((32 + number % 9, 32 + number % 5)).save(content, kind)
            yield f"{NAMES[label]}/{number:04}.{kind}", label, content.getvalue()


def write(root: Path, split: str, prefix: str = "") -> list[Item]:
    """Write a split's images below root/prefix and return them, paths relative to the root."""
    written = [(f"{prefix}{name}", label, content) for name, label, content in items(split)]
    for name, _, content in written:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return written


def bare_folder(root: Path) -> dict[str, object]:
    """One folder per class; test and validation images are cut from it, an invalid file is left out."""
    write(root, "train")
    (root / NAMES[0] / "bad.png").write_bytes(b"no image")
    return {"source": "folder", "test_per_class": 3, "validation_per_class": 2}


def split_folders(root: Path) -> dict[str, object]:
    """Train and test folders, each with one folder per class."""
    for split in COUNTS:
        write(root, split, f"{split}/")
    return {"source": "folder", "validation_per_class": 2}


def lists(root: Path) -> dict[str, object]:
    """Lists in the format of ImageNet-LT and Places-LT."""
    for split in COUNTS:
        lines = [f"{name} {label}" for name, label, _ in write(root, split, f"{split}/")]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return {"source": "lists", "train_list": "train.txt", "test_list": "test.txt", "validation_per_class": 2}


def inaturalist(root: Path) -> dict[str, object]:
    """JSON in the format of iNaturalist 2018."""
    for split in COUNTS:
        listed = write(root, split, f"{split}/")
        content = {
            "images": [{"id": number, "file_name": name} for number, (name, _, _) in enumerate(listed)],
            "annotations": [{"image_id": n, "category_id": label} for n, (_, label, _) in enumerate(listed)],
            "categories": [{"id": label, "name": name} for label, name in enumerate(NAMES)],
        }
        (root / f"{split}.json").write_text(json.dumps(content))
    return {"source": "lists", "train_list": "train.json", "test_list": "test.json", "validation_per_class": 2}


def parquet_bytes(root: Path) -> dict[str, object]:
    """Parquet with the files' bytes."""
    return _parquet(root, lambda item: item[2])


def parquet_paths(root: Path) -> dict[str, object]:
    """Parquet with paths and names of classes."""
    return _parquet(root, lambda item: item[0])


def _parquet(root: Path, cell: Callable[[Item], object]) -> dict[str, object]:
    root.mkdir()
    for split in COUNTS:
        listed = write(root, split, f"{split}/")
        table = pa.table({"image": [cell(item) for item in listed], "label": [NAMES[label] for _, label, _ in listed]})
        pq.write_table(table, root / f"{split}.parquet")
    return {
        "source": "parquet",
        "train_list": "train.parquet",
        "test_list": "test.parquet",
        "validation_per_class": 2,
    }


LAYOUTS = (bare_folder, split_folders, lists, inaturalist, parquet_bytes, parquet_paths)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.__name__)
@pytest.mark.usefixtures("cifar_folder")
def test_layout_is_converted_verified_and_trained_on(layout: Callable[[Path], dict], tmp_path: Path) -> None:
    fields = {"name": layout.__name__, "folder": str(tmp_path / "images"), "image_size": 32} | layout(
        tmp_path / "images"
    )
    file = tmp_path / "mine.yaml"
    file.write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    environment = os.environ | {"LTRAY_DATA": str(tmp_path / "betons")}

    def command(*arguments: str) -> str:
        done = subprocess.run([sys.executable, "-m", *arguments], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    output_text = command("ltray.convert", str(file), "--verify", "--on-error", "skip")
    assert "verified: every converted image is equal to the one that was written" in output_text
    if layout is bare_folder:
        assert "1 left out" in output_text
    run = tmp_path / "run"
    arguments = ("--methods", "cross_entropy", "--dataset", str(file), "--output", str(run))
    command("ltray.train", *arguments, "epochs=1", "batch_size=16")
    assert (run / "best").is_dir()
