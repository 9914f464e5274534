"""Changes of originals: the stamps detect every change, and the inventories name it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltray.data.beton.changes import current_inventory, difference, fingerprint_of, originals_state
from ltray.data.beton.inventory import DIGEST, Inventory, PoolRecord, read_stamps_digest
from ltray.data.definition import DatasetDefinition
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError

CLASSES = ("cat", "dog", "owl")
SOURCES = ("folder", "lists", "parquet")


def written(root: Path, source: str) -> DatasetDefinition:
    """Write twelve files of three classes, which are not decoded."""
    for number in range(12):
        file = root / "images" / CLASSES[number % 3] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * 9)
    if source == "lists":
        write_list(root, {f"{CLASSES[n % 3]}/{n:02}.png": n % 3 for n in range(12)})
        (root / "names.txt").write_text("cat\ndog\nowl\n")
    if source == "parquet":
        write_parquet(root, {n: (bytes([n]) * 9, CLASSES[n % 3]) for n in range(12)})
    return definition(root, source)


def definition(root: Path, source: str) -> DatasetDefinition:
    fields = {"name": "t", "source": source, "folder": str(root / "images"), "test_per_class": 1, "protocol": "paper"}
    if source == "lists":
        fields |= {"train_list": str(root / "train.txt"), "class_names": str(root / "names.txt")}
    if source == "parquet":
        fields |= {"train_list": str(root / "train.parquet")}
    return DatasetDefinition(**fields)


def write_list(root: Path, labels: dict[str, int]) -> None:
    (root / "train.txt").write_text("".join(f"{path} {label}\n" for path, label in labels.items()))


def read_list(root: Path) -> dict[str, int]:
    lines = (root / "train.txt").read_text().splitlines()
    return {line.rpartition(" ")[0]: int(line.rpartition(" ")[2]) for line in lines}


def write_parquet(root: Path, rows: dict[int, tuple[bytes, str]]) -> None:
    images, labels = [image for image, _ in rows.values()], [label for _, label in rows.values()]
    pq.write_table(pa.table({"image": images, "label": labels}), root / "train.parquet", row_group_size=5)


def read_parquet(root: Path) -> dict[int, tuple[bytes, str]]:
    table = pq.read_table(root / "train.parquet").to_pydict()
    return dict(enumerate(zip(table["image"], table["label"], strict=True)))


def files(root: Path) -> list[Path]:
    return sorted((root / "images").rglob("*.png"))


def recorded(definition: DatasetDefinition) -> Inventory:
    """Return the record that a conversion would write."""
    source = open_source(definition)
    nothing = Inventory((), {}, {}, "")
    return current_inventory(nothing, source, originals_state(definition, source))


def with_old_times(root: Path) -> None:
    """Set the times of all files far in the past, so that they are trusted."""
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))


# Edits of a data set at `root`; the number determines the position.


def add(root: Path, at: int) -> None:
    name = CLASSES[at % 3]
    (root / "images" / name / f"new{at}.png").write_bytes(b"new" * (1 + at))
    if (root / "train.txt").is_file():
        write_list(root, read_list(root) | {f"{name}/new{at}.png": at % 3})
    if (root / "train.parquet").is_file():
        write_parquet(root, read_parquet(root) | {100 + at: (b"new" * (1 + at), name)})


def remove(root: Path, at: int) -> None:
    if (root / "train.txt").is_file():
        rows = list(read_list(root).items())
        write_list(root, dict(rows[: at % len(rows)] + rows[at % len(rows) + 1 :]))
    elif (root / "train.parquet").is_file():
        rows_of = list(read_parquet(root).items())
        write_parquet(root, dict(rows_of[: at % len(rows_of)] + rows_of[at % len(rows_of) + 1 :]))
    else:
        files(root)[at % len(files(root))].unlink()


def replace(root: Path, at: int) -> None:
    """Replace a file by other bytes of the same length."""
    if (root / "train.parquet").is_file():
        rows = read_parquet(root)
        image, label = rows[at % len(rows)]
        write_parquet(root, rows | {at % len(rows): (bytes([at + 100]) * len(image), label)})
        return
    path = files(root)[at % len(files(root))]
    path.write_bytes(bytes([at + 100]) * path.stat().st_size)


def relabel(root: Path, at: int) -> None:
    if (root / "train.txt").is_file():
        rows = read_list(root)
        key = list(rows)[at % len(rows)]
        write_list(root, rows | {key: (rows[key] + 1) % 3})
    elif (root / "train.parquet").is_file():
        rows_of = read_parquet(root)
        image, _ = rows_of[at % len(rows_of)]
        write_parquet(root, rows_of | {at % len(rows_of): (image, CLASSES[at % 3])})
    else:
        path = files(root)[at % len(files(root))]
        path.rename(root / "images" / CLASSES[at % 3] / f"moved{path.name}")


def rename_class(root: Path, at: int) -> None:
    if (root / "names.txt").is_file():
        names = (root / "names.txt").read_text().split()
        names[at % 3] = f"bird{at}"
        (root / "names.txt").write_text("\n".join(names))
    elif (root / "train.parquet").is_file():
        write_parquet(
            root, {n: (i, f"bird{at}" if c == CLASSES[at % 3] else c) for n, (i, c) in read_parquet(root).items()}
        )
    else:
        folders = sorted((root / "images").iterdir())
        folders[at % len(folders)].rename(root / "images" / f"bird{at}")


def touch(root: Path, at: int) -> None:
    for path in root.rglob("*"):
        os.utime(path, ns=(10**18 + at, 10**18 + at))


def copy(root: Path, at: int) -> None:
    shutil.copytree(root / "images", root / "copy")
    shutil.rmtree(root / "images")
    (root / "copy").rename(root / "images")


Edit = Callable[[Path, int], None]
EDITS: tuple[Edit, ...] = (add, remove, replace, relabel, rename_class, touch, copy)


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 40)), max_size=4), settled=st.booleans())
def test_record_after_any_edits_equals_that_of_a_new_conversion(
    source: str, tmp_path: Path, edits: list[tuple[Edit, int]], settled: bool
) -> None:
    root = tmp_path / "set"
    shutil.rmtree(root, ignore_errors=True)
    definition = written(root, source)
    if settled:
        with_old_times(root)
    before = recorded(definition)
    try:
        for edit, at in edits:
            edit(root, at)
        now = open_source(definition)
    except (UsageError, OSError):
        return  # not a data set any more: every command refuses it
    state = originals_state(definition, now)
    later = current_inventory(before, now, state)
    fresh = recorded(definition)
    assert later.fingerprint == fresh.fingerprint
    if state.stamps_digest == before.stamps_digest:  # then no command reads the files
        assert before.fingerprint == fresh.fingerprint
    assert bool(difference(before, later)) == (before.fingerprint != fresh.fingerprint)
    assert fresh.fingerprint == fingerprint_of(now.class_names, {pool: read() for pool, read in now.pools.items()})


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("edit", [touch, copy])
def test_changed_times_with_equal_contents_are_no_difference(source: str, edit: Edit, tmp_path: Path) -> None:
    definition = written(tmp_path, source)
    with_old_times(tmp_path)
    before = recorded(definition)
    edit(tmp_path, 1)
    now = open_source(definition)
    state = originals_state(definition, now)
    assert difference(before, current_inventory(before, now, state)) == ""


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (add, "1 added (dog/new1.png)"),
        (remove, "1 removed (cat/03.png)"),
        (replace, "1 replaced (cat/03.png)"),
        (relabel, "1 added (dog/moved03.png), 1 removed (cat/03.png)"),
        (rename_class, "without dog and with bird1"),
    ],
)
def test_difference_names_the_change(edit: Edit, message: str, tmp_path: Path) -> None:
    definition = written(tmp_path, "folder")
    before = recorded(definition)
    edit(tmp_path, 1)
    assert message in difference(before, recorded(definition))


def test_difference_names_an_edited_label(tmp_path: Path) -> None:
    definition = written(tmp_path, "lists")
    before = recorded(definition)
    relabel(tmp_path, 1)
    assert difference(before, recorded(definition)) == "1 of another class (dog/01.png)"


@pytest.mark.parametrize("source", SOURCES)
def test_replacement_with_equal_size_and_time_is_detected_only_by_deep(source: str, tmp_path: Path) -> None:
    definition = written(tmp_path, source)
    with_old_times(tmp_path)
    before = recorded(definition)
    replace(tmp_path, 1)
    with_old_times(tmp_path)
    now = open_source(definition)
    state = originals_state(definition, now)
    assert state.stamps_digest == before.stamps_digest
    assert "1 replaced" in difference(before, current_inventory(before, now, state, deep=True))


def test_recently_written_file_is_read_again(tmp_path: Path) -> None:
    definition = written(tmp_path, "folder")
    before = recorded(definition)  # within two seconds of the files' times
    times = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    replace(tmp_path, 1)
    for path, time in times.items():
        os.utime(path, ns=(time, time))
    now = open_source(definition)
    assert originals_state(definition, now).stamps_digest != before.stamps_digest
    assert "1 replaced" in difference(before, current_inventory(before, now, originals_state(definition, now)))


NAMES = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5, unique=True)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES, place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_record_is_read_as_written_and_a_changed_byte_is_refused(
    names: list[str], place: float, change: int, tmp_path: Path
) -> None:
    count = len(names)
    labels = np.arange(count, dtype=np.int64)
    digests = np.frombuffer(bytes(range(16)) * count, dtype=DIGEST)
    pools = {"train": PoolRecord(tuple(names), labels, digests, labels[:1])}
    known = Inventory(tuple(names), pools, {name: (1, 2) for name in names}, "look")
    known.write(tmp_path)
    found = Inventory.read(tmp_path)
    assert (found.class_names, found.stamps, found.stamps_digest) == (
        known.class_names,
        known.stamps,
        known.stamps_digest,
    )
    assert found.fingerprint == known.fingerprint and found.pools["train"].keys == tuple(names)
    assert read_stamps_digest(tmp_path) == "look"
    file = tmp_path / "originals.record"
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= change
    file.write_bytes(content)
    with pytest.raises(UsageError, match="originals.record: .*convert the data set again"):
        Inventory.read(tmp_path)
