"""`python -m ltray.convert` from a user's view."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltray.convert import main
from ltray.data.beton.left_out import left_out_before
from ltray.data.beton.ownership import Ownership
from ltray.data.beton.store import folder_of
from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.draft_definition import _of_another_conversion, draft
from ltray.errors import UsageError

pytestmark = pytest.mark.ffcv

COUNTS = {"cat": 21, "dog": 9, "owl": 2}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a user's folder: 40-pixel images, one unreadable, one duplicate, file names from an old archive."""
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    place = tmp_path / os.fsdecode(b"My: Pets \xdf")  # a name that is not UTF-8
    random = np.random.default_rng(0)
    for name, count in COUNTS.items():
        (place / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / name / f"{number:02}.png")
    (place / "cat" / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    shutil.copy(place / "cat" / "00.png", place / "dog" / os.fsdecode(b"s\xe4me.png"))
    return place


def test_convert_a_users_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"1 of 34 images cannot be used:\s+.*broken.jpg.*\s+.*--on-error skip"):
        main([str(folder)])
    assert main([str(folder), "--on-error", "skip", "--verify"]) == 0
    output = capsys.readouterr().out
    assert "train: 33 images, 1 left out" in output
    assert "1 image found more than once, 1 of them in different classes" in output
    assert "cat ████" in output and "imbalance factor 10.5" in output
    assert "very small classes" in output and "owl (2)" in output
    assert "verified: every converted image is equal to the one that was written" in output
    report = Path(output.partition("details for each image: ")[2].partition("\n")[0]).read_text()
    assert "/My: Pets \\xdf/cat/00.png = " in report and "/dog/s\\xe4me.png" in report
    file = Path(output.rpartition("--dataset ")[2].partition("\n")[0])
    definition = DatasetDefinition.read(file)
    assert definition.image_size == 32 and definition.name == "my-pets"
    data = open_data(definition, device=torch.device("cpu"))
    assert data.class_names == ("cat", "dog", "owl") and data.tail.counts == (11, 4, 1)
    assert main([str(file)]) == 0
    assert "already converted" in capsys.readouterr().out
    check_left_out_at_any_size(definition)
    assert file == Path.cwd() / "my-pets.yaml"
    check_another_size_replaces_only_a_file_without_edits(folder, file)
    own = file.read_text().replace("flip: true", "flip: false") + "# mine\n"
    file.write_text(own)
    assert main([str(folder), "--on-error", "skip"]) == 0
    assert file.read_text() == own and "flip: true" not in own
    assert f"{file}" in capsys.readouterr().out
    file.unlink()
    assert main([str(folder), "--on-error", "skip"]) == 0
    assert "flip: true" in file.read_text()


def check_another_size_replaces_only_a_file_without_edits(folder: Path, file: Path) -> None:
    """The file in the current folder is replaced, unless it has edits and belongs to another conversion."""
    definition = draft(folder, {"image_size": 48})
    other = folder_of(definition.definition)
    other.mkdir(parents=True)
    Ownership.claim(other, definition.definition, ["train.beton"])
    assert _of_another_conversion(file, other)
    assert not _of_another_conversion(file, Path(DatasetDefinition.read(file).store))
    plain = file.read_text()
    file.write_text(plain + "# mine\n")
    with pytest.raises(UsageError, match="contains your changes and belongs to another conversion of these images"):
        _of_another_conversion(file, other)
    file.write_text(plain)


def check_left_out_at_any_size(definition: DatasetDefinition) -> None:
    """Images left out by one conversion are left out by others of the same originals, but not of other data sets."""
    for size in (32, 64, 224):
        other = definition.replace(image_size=size, store="")
        (left_out,) = left_out_before(other, folder_of(other))["train"]
        assert left_out[0].endswith("broken.jpg")
    elsewhere = definition.replace(folder=str(Path(definition.folder) / "cat"), store="")
    assert not left_out_before(elsewhere, folder_of(elsewhere))


def test_convert_uses_settings_and_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digits-lt", "image_size=12", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "digits-12px" / "train.beton").is_file()
    assert f"export LTRAY_DATA={tmp_path}" in capsys.readouterr().out


def test_convert_prints_no_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["digits-lt", "image_size=12", "--output", str(tmp_path / "a\x1b[31m\u202eb")]) == 0
    printed = capsys.readouterr().out
    assert r"a\x1b[31m\u202eb" in printed
    assert all(character.isprintable() for character in printed.replace("\n", ""))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits-ltt"], "Did you mean `digits-lt`"),
        (["digits-lt", "imagesize=8"], "Did you mean `image_size`"),
        (["digits-lt", "image_size"], "must have the form key=value"),
        (["imagenet-lt"], "train.txt: cannot be read"),
    ],
)
def test_mistake_is_reported(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        main(arguments)
