"""Folders, official list files and Parquet files in common layouts."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Originals
from ltray.data.sources.lists import ListFile, reference_counts
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError

CLASSES = ("airfield", "alley", "bakery")
COUNTS = (12, 8, 6)


def random_image(number: int) -> bytes:
    """Return a 32-pixel PNG that is unique to this number."""
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def fill(folder: Path, first: int = 0) -> list[tuple[str, int]]:
    """Write images into one folder per class; returns (path below `folder`, label)."""
    listed = []
    for label, (name, count) in enumerate(zip(CLASSES, COUNTS, strict=True)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"a {number:02}.png").write_bytes(random_image(first + len(listed)))
            listed.append((f"{name}/a {number:02}.png", label))
    return listed


def read_all(originals: Originals) -> list[bytes]:
    return [bytes(originals.read(index)) for index in range(len(originals.labels))]


def lists(folder: Path, **fields: str) -> DatasetDefinition:
    return DatasetDefinition(name="t", source="lists", folder=str(folder), protocol="paper", **fields)  # type: ignore[arg-type]


def test_folder_without_splits_is_one_pool(tmp_path: Path) -> None:
    listed = fill(tmp_path)
    (tmp_path / "airfield" / "notes.txt").write_text("no image")
    source = open_source(DatasetDefinition(name="t", source="folder", folder=str(tmp_path)))
    assert source.class_names == CLASSES and set(source.pools) == {"train"}
    originals = source.pools["train"]()
    assert originals.labels.tolist() == [label for _, label in listed]
    assert read_all(originals) == [(tmp_path / path).read_bytes() for path, _ in listed]
    assert originals.name(0) == str(tmp_path / "airfield" / "a 00.png")


@pytest.mark.parametrize(
    ("made", "pools"),
    [(("train", "val", "test"), {"train", "validation", "test"}), (("Training", "valid"), {"train", "test"})],
)
def test_split_folders_are_recognized(tmp_path: Path, made: tuple[str, ...], pools: set[str]) -> None:
    for number, name in enumerate(made):
        fill(tmp_path / name, 100 * number)
    assert set(open_source(DatasetDefinition(name="t", source="folder", folder=str(tmp_path))).pools) == pools


def test_numbered_classes_are_in_numeric_order(tmp_path: Path) -> None:
    for name in ("10", "9", "1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(random_image(1))
    source = open_source(DatasetDefinition(name="t", source="folder", folder=str(tmp_path)))
    assert source.class_names == ("1", "9", "10")


@pytest.mark.parametrize(
    ("names", "message"),
    [(("train/a", "train/b", "test/c"), "classes that train does not have: c"), (("test/a",), "but no train folder")],
)
def test_folders_that_are_not_a_data_set_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").write_bytes(random_image(1))
    with pytest.raises(UsageError, match=message):
        open_source(DatasetDefinition(name="t", source="folder", folder=str(tmp_path)))


@pytest.mark.parametrize("prefix", ["train", "data_256/a"])
def test_lines_of_imagenet_lt_and_places_lt(tmp_path: Path, prefix: str) -> None:
    listed = fill(tmp_path / prefix)
    text = "".join(f"{prefix}/{path} {label}\n" for path, label in listed)
    (tmp_path / "Places_LT_train.txt").write_text(text)
    source = open_source(lists(tmp_path, train_list="Places_LT_train.txt", test_list="Places_LT_train.txt"))
    assert source.class_names == CLASSES
    originals = source.pools["train"]()
    assert originals.labels.tolist() == [label for _, label in listed]
    assert read_all(originals) == [(tmp_path / prefix / path).read_bytes() for path, _ in listed]


def test_inaturalist_json_joins_images_to_categories(tmp_path: Path) -> None:
    listed = fill(tmp_path / "train_val2018")
    order = list(range(len(listed)))[::-1]
    content = {
        "images": [{"id": 500 + n, "file_name": f"train_val2018/{listed[n][0]}"} for n in range(len(listed))],
        "annotations": [{"id": n, "image_id": 500 + n, "category_id": 7 + listed[n][1]} for n in order],
        "categories": [{"id": 7 + label, "name": f"species {label}"} for label in (2, 0, 1)],
    }
    (tmp_path / "train2018.json").write_text(json.dumps(content))
    source = open_source(lists(tmp_path, train_list="train2018.json", test_list="train2018.json"))
    assert source.class_names == ("species 0", "species 1", "species 2")
    originals = source.pools["train"]()
    assert originals.labels.tolist() == [listed[n][1] for n in order]
    assert read_all(originals) == [(tmp_path / "train_val2018" / listed[n][0]).read_bytes() for n in order]


def test_json_with_paths_in_its_annotations(tmp_path: Path) -> None:
    listed = fill(tmp_path)
    notes = [{"image_id": n + 1, "fpath": path, "category_id": label} for n, (path, label) in enumerate(listed)]
    (tmp_path / "train.json").write_text(json.dumps({"num_classes": 3, "annotations": notes}))
    read = ListFile.read(tmp_path / "train.json")
    assert list(zip(read.images, read.labels, strict=True)) == listed
    assert np.bincount(read.labels).tolist() == list(COUNTS)


def test_reference_list_gives_the_counts_for_a_power(tmp_path: Path) -> None:
    (tmp_path / "ref.txt").write_text("".join(f"x{n}.jpg {label}\n" for label in range(3) for n in range(5 - label)))
    definition = DatasetDefinition(
        name="t", source="folder", folder=str(tmp_path), imbalance_kind="power", reference_list="ref.txt"
    )
    assert reference_counts(definition, CLASSES) == [5, 4, 3]
    with pytest.raises(UsageError, match="needs a `reference_list`"):
        reference_counts(DatasetDefinition(name="t", source="folder", imbalance_kind="power"), CLASSES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("airfield/a 0.png 0\nairfield/a 1.png\n", r"train.txt:2: must be `path label`"),
        ("", "lists no images"),
        ("nowhere/a.png 0\nnowhere/b.png 1\n", "set `folder` to the folder to which the list's paths are relative"),
    ],
)
def test_invalid_lists_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    fill(tmp_path)
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        open_source(lists(tmp_path, train_list="train.txt"))


@pytest.mark.parametrize("content", ["{", "[]", '{"images": []}', '{"annotations": [{"x": 1}]}'])
def test_invalid_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(UsageError, match="train.json: "):
        ListFile.read(tmp_path / "train.json")


@pytest.mark.parametrize("kind", ["struct", "bytes", "path"])
@pytest.mark.parametrize("named", [True, False])
def test_parquet_with_bytes_or_paths_and_numbers_or_names(tmp_path: Path, kind: str, named: bool) -> None:
    listed = fill(tmp_path)
    files = [(tmp_path / path).read_bytes() for path, _ in listed]
    columns = {
        "struct": [{"bytes": content, "path": path} for content, (path, _) in zip(files, listed, strict=True)],
        "bytes": files,
        "path": [path for path, _ in listed],
    }
    labels = [CLASSES[label] if named else label for _, label in listed]
    for part, rows in (("0", slice(0, 11)), ("1", slice(11, None))):
        table = pa.table({"image": columns[kind][rows], "label": labels[rows]})
        pq.write_table(table, tmp_path / f"train-{part}.parquet", row_group_size=4)
    definition = DatasetDefinition(name="t", source="parquet", folder=str(tmp_path), train_list="train-*.parquet")
    source = open_source(definition)
    assert source.class_names == (CLASSES if named else ("0", "1", "2"))
    originals = source.pools["train"]()
    assert originals.labels.tolist() == [label for _, label in listed]
    assert read_all(originals) == files
    assert originals.name(12) == "train-1.parquet, row 1"


def test_unknown_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"photo": [b""], "label": [0]}), tmp_path / "a.parquet")
    definition = DatasetDefinition(name="t", source="parquet", folder=str(tmp_path), train_list="a.parquet")
    with pytest.raises(UsageError, match="`image_column` must be set; columns: photo, label"):
        open_source(definition)
    with pytest.raises(UsageError, match="no column `foto`. Did you mean `photo`"):
        open_source(definition.replace(image_column="foto"))


def test_every_layout_gives_the_same_images(tmp_path: Path) -> None:
    listed = fill(tmp_path)
    (tmp_path / "train.txt").write_text("".join(f"{path} {label}\n" for path, label in listed))
    rows = {"image": [path for path, _ in listed], "label": [label for _, label in listed]}
    pq.write_table(pa.table(rows), tmp_path / "train.parquet")
    common = {"name": "t", "folder": str(tmp_path), "test_per_class": 2, "validation_per_class": 2}
    sources = [
        {"source": "folder"},
        {"source": "lists", "train_list": "train.txt"},
        {"source": "parquet", "train_list": "train.parquet"},
    ]
    seen = []
    for fields in sources:
        definition = DatasetDefinition(**(common | fields))  # type: ignore[arg-type]
        data = open_data(definition, device=torch.device("cpu"), source="memory")
        assert data.tail.counts == (8, 4, 2)
        seen.append(torch.cat([images for images, _ in data.test()]))
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[0], seen[2])
