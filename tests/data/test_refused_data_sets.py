"""User's mistakes in `ltray.convert`, `ltray.views` and data-set files: reported with the exit code."""

import dataclasses
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltray import command, convert, views
from ltray.data.beton import convert as conversion
from ltray.data.beton.store import folder_of
from ltray.data.definition import DatasetDefinition
from tests.data.folders_and_commands import RunCommand, fill

FOLDER = "name: mine\nsource: folder\nfolder: pets\nprotocol: paper\ntest_per_class: 1\n"
LISTS = "name: mine\nsource: lists\nfolder: pets\ntrain_list: train.txt\ntest_per_class: 1\nprotocol: paper\n"
PARQUET = "name: mine\nsource: parquet\nfolder: .\ntrain_list: train.parquet\ntest_per_class: 1\nprotocol: paper\n"
LINES = "".join(f"{name}/{number}.png {label}\n" for label, name in enumerate(("cat", "dog")) for number in range(4))


def wrote(name: str, text: str) -> Callable[[Path], None]:
    return lambda here: (here / name).write_text(text) and None  # type: ignore[func-returns-value]


def parquet(**columns: object) -> Callable[[Path], None]:
    def write(here: Path) -> None:
        pq.write_table(pa.table(columns), here / "train.parquet")
        (here / "mine.yaml").write_text(PARQUET)

    return write


def nothing(here: Path) -> None:
    """The mistake is in the arguments."""


def both(*steps: Callable[[Path], None]) -> Callable[[Path], None]:
    def run(here: Path) -> None:
        for step in steps:
            step(here)

    return run


def lists(text: str, more: str = "") -> Callable[[Path], None]:
    return both(wrote("mine.yaml", LISTS + more), wrote("pets/train.txt", text))


def only(*classes: str) -> Callable[[Path], None]:
    return lambda here: fill(here / "other", *classes) if classes else (here / "other").mkdir()


def without_class_folders(here: Path) -> None:
    (here / "other").mkdir()
    shutil.copy(here / "pets/cat/0.png", here / "other/a.png")


def unreadable_class(here: Path) -> None:
    (here / "mine.yaml").write_text(FOLDER)
    for file in (here / "pets" / "dog").iterdir():
        file.write_bytes(b"no image")


MISTAKES = {
    "wrong path": (nothing, convert, ["no/such/folder"], ["no/such/folder: no such file or folder", "Known: `cifar10"]),
    "empty folder": (only(), convert, ["other"], ["other: needs a folder of images for each of at least two classes"]),
    "one class": (only("cat"), convert, ["other"], ["at least two classes, but has 1"]),
    "no class folders": (without_class_folders, convert, ["other"], ["at least two classes, but has 0"]),
    "an image for a file": (nothing, convert, ["pets/cat/0.png"], ["pets/cat/0.png: cannot be read"]),
    "broken YAML": (
        wrote("mine.yaml", FOLDER + "mean: [0.5\n"),
        convert,
        ["mine.yaml"],
        ["mine.yaml:7: not valid YAML", "expected"],
    ),
    "wrong key": (
        wrote("mine.yaml", FOLDER + "flips: true\n"),
        convert,
        ["mine.yaml"],
        ["mine.yaml:6", "mean `flip`?"],
    ),
    "wrong type": (
        wrote("mine.yaml", FOLDER + "flip: 3\n"),
        convert,
        ["mine.yaml"],
        ["mine.yaml:6: `flip` must be true or false"],
    ),
    "no folder stated": (
        wrote("mine.yaml", FOLDER.replace("folder: pets\n", "")),
        convert,
        ["mine.yaml"],
        ["`folder` is missing"],
    ),
    "folder gone": (
        wrote("mine.yaml", FOLDER.replace("pets", "/gone")),
        convert,
        ["mine.yaml"],
        ["`folder: /gone` is not a folder"],
    ),
    "name with a slash": (nothing, convert, ["pets", "name=a/b"], ["`name`", "slash", "'a/b'"]),
    "negative cap": (
        nothing,
        convert,
        ["pets", "longest_side=-1"],
        ["`32 <= longest_side <= 65535` must hold, but got longest_side=-1"],
    ),
    "quality 0": (
        nothing,
        convert,
        ["pets", "jpeg_quality=0"],
        ["`1 <= jpeg_quality <= 100` must hold, but got jpeg_quality=0"],
    ),
    "factor 0": (
        nothing,
        convert,
        ["pets", "imbalance_kind=exp", "imbalance_factor=0"],
        ["imbalance_factor=0", "must hold"],
    ),
    "factor without a kind": (
        nothing,
        convert,
        ["pets", "imbalance_factor=9"],
        ["no effect with imbalance_kind=natural"],
    ),
    "a folder's source stated": (
        nothing,
        convert,
        ["pets", "source=lists"],
        ["`source` has no effect with a folder"],
    ),
    "unknown --on-error": (
        nothing,
        convert,
        ["pets", "--on-error", "ignore"],
        ["invalid choice: 'ignore'", "stop", "skip"],
    ),
    "output is a file": (
        nothing,
        convert,
        ["pets", "--output", "pets/cat/0.png"],
        ["pets/cat/0.png", "--output or LTRAY_DATA"],
    ),
    "missing image": (
        lists(LINES + "dog/9.png 1\n"),
        convert,
        ["mine.yaml"],
        ["1 of 9 images", "dog/9.png", "--on-error skip"],
    ),
    "label far out": (
        lists(LINES + "dog/3.png 7\n"),
        convert,
        ["mine.yaml"],
        ["train.txt", "5 of 8 classes have no", "2, 3, 4"],
    ),
    "label beyond the names": (
        both(lists(LINES, "class_names: names.txt\n"), wrote("pets/names.txt", "cat\n")),
        convert,
        ["mine.yaml"],
        ["train.txt, line ", ": dog/0.png has label 1, but of 1 classes the last is 0"],
    ),
    "no such split": (
        lists(LINES, "validation_list: val.txt\n"),
        convert,
        ["mine.yaml"],
        ["val.txt: cannot be read", "`folder`"],
    ),
    "a file that is not Parquet": (
        both(wrote("mine.yaml", PARQUET), wrote("train.parquet", "text")),
        convert,
        ["mine.yaml"],
        ["train.parquet: cannot be read as a Parquet file"],
    ),
    "Parquet without images": (
        parquet(label=[0, 1]),
        convert,
        ["mine.yaml"],
        ["train.parquet: `image_column` must be set; columns: label"],
    ),
    "Parquet without rows": (
        parquet(image=pa.array([], pa.binary()), label=pa.array([], pa.int64())),
        convert,
        ["mine.yaml"],
        ["contains no images"],
    ),
    "Parquet label of no class": (
        parquet(image=[b"", b""], label=[0, -1]),
        convert,
        ["mine.yaml"],
        ["train.parquet, row 1: `label` is -1"],
    ),
    "Parquet labels missing": (
        parquet(image=[b"", b""], label=[0, None]),
        convert,
        ["mine.yaml"],
        ["only whole numbers or only names, but has None"],
    ),
    "a class that cannot be read": (
        unreadable_class,
        convert,
        ["mine.yaml", "--on-error", "skip"],
        ["1 of 2 classes have no training image", "dog"],
    ),
    "views of a folder": (nothing, views, ["pets", "bcl"], ["pets is a folder", "ltray convert pets"]),
    "views, seed as text": (nothing, views, ["digits-lt", "bcl", "seed=one"], ["`seed`", "but got 'one'"]),
    "views into a missing folder": (
        nothing,
        views,
        ["digits-lt", "crt", "--output", "none/a.png"],
        ["none/a.png", "cannot be written"],
    ),
    "views of nothing readable": (
        unreadable_class,
        views,
        ["mine.yaml", "crt"],
        ["No image of any class can be read", "dog/"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_reported_with_exit_code_2(name: str, here: Path, run_command: RunCommand) -> None:
    prepare, module, arguments, messages = MISTAKES[name]
    prepare(here)
    code, message = run_command(module.main, *arguments)
    assert code == command.BAD_USAGE, message
    assert "Traceback" not in message
    assert all(part in message for part in messages), message


def test_folders_of_equal_name_have_separate_conversions(here: Path) -> None:
    fill(here / "elsewhere" / "pets", "cat", "dog")
    one, other = (
        DatasetDefinition(name="pets", source="folder", folder=str(place))
        for place in (here / "pets", here / "elsewhere" / "pets")
    )
    assert folder_of(one) != folder_of(other)
    assert folder_of(one) == folder_of(
        dataclasses.replace(one, folder="pets")
    )  # the same folder, relative to the working directory


@pytest.fixture
def small_disk(here: Path) -> Iterator[Path]:
    """A mounted file system of 16 KiB."""
    place = here / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_full_disk_is_reported_before_writing(small_disk: Path, run_command: RunCommand) -> None:
    code, message = run_command(convert.main, "pets", "--output", str(small_disk))
    assert code == command.BAD_USAGE
    assert (
        "iB are needed" in message and str(small_disk) in message and "--output to a folder on another disk" in message
    )


def test_disk_that_fills_during_the_run_is_reported(
    small_disk: Path, run_command: RunCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "check_before", lambda *of: None)  # as if there were space before the conversion
    code, message = run_command(convert.main, "pets", "--output", str(small_disk))
    assert code == command.FAILED and "Traceback" not in message
    assert "No space left on device" in message and "run the same command again to continue" in message


@pytest.fixture
def restricted_folder() -> Iterator[Path]:
    """A folder of images with one class that the user, who is not root, may not read."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    fill(place / "pets", "cat", "dog")
    for path in (place, place / "pets"):
        path.chmod(0o777)
    (place / "pets" / "dog").chmod(0o000)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65_534)
    yield place
    if root:
        os.seteuid(0)
    (place / "pets" / "dog").chmod(0o755)
    shutil.rmtree(place)


def test_unreadable_folder_is_reported_and_not_skipped(restricted_folder: Path, run_command: RunCommand) -> None:
    code, message = run_command(convert.main, str(restricted_folder / "pets"), "--output", str(restricted_folder))
    assert code == command.BAD_USAGE and "Traceback" not in message
    assert f"{restricted_folder / 'pets' / 'dog'}: cannot be read: Permission denied" in message


def test_unwritable_folder_is_reported(restricted_folder: Path, run_command: RunCommand) -> None:
    code, message = run_command(convert.main, "digits-lt", "--output", "/proc/none")
    assert code == command.BAD_USAGE and "/proc/none" in message and "--output or LTRAY_DATA" in message
