"""Truncated, changed, exchanged or outdated conversions are refused before FFCV reads them, and can be repaired."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ltray import command, convert
from ltray.data.beton import convert as conversion
from ltray.data.beton.progress import ProgressBars
from ltray.data.dataset import open_data
from ltray.data.definition import DatasetDefinition
from tests.data.folders_and_commands import RunCommand, fill

pytestmark = pytest.mark.ffcv


def read(arguments: list[str]) -> int:
    """Open a data set as train, tune and evaluate do."""
    open_data(DatasetDefinition.read(arguments[0]), device=torch.device("cpu"))
    return command.DONE


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted set of two pools with its data-set file; all paths are relative to its folder."""
    root = tmp_path_factory.mktemp("kept")
    for split in ("train", "test"):
        fill(root / "pets" / split, "cat", "dog")
    (root / "pets.yaml").write_text(f"name: pets\nsource: folder\nfolder: {root}/pets\nprotocol: paper\nstore: .\n")
    definition = DatasetDefinition.read(root / "pets.yaml")
    conversion.convert(definition, progress=ProgressBars(shown=False))
    return root


@pytest.fixture
def pets(kept: Path, here: Path) -> Path:
    """A copy of that set in the working folder."""
    shutil.copytree(kept, here, dirs_exist_ok=True)
    return here


def cut_short(folder: Path) -> None:
    beton = folder / "train.beton"
    beton.write_bytes(beton.read_bytes()[:-100])


def header_changed(folder: Path) -> None:
    flip(folder / "train.beton", 40)


def image_changed(folder: Path) -> None:
    flip(folder / "train.beton", (folder / "train.beton").stat().st_size // 2)


def flip(file: Path, place: int) -> None:
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)


def gone(folder: Path) -> None:
    (folder / "train.beton").unlink()


def sidecar_gone(folder: Path) -> None:
    (folder / "train.json").unlink()


def sidecar_of_another(folder: Path) -> None:
    shutil.copy(folder / "test.json", folder / "train.json")


def other_size_wanted(folder: Path) -> None:
    (folder / "pets.yaml").write_text((folder / "pets.yaml").read_text() + "image_size: 48\n")


DAMAGE = [
    (cut_short, ["train.beton: has ", "instead of", "delete it and convert the data set again"]),
    (header_changed, ["train.beton: damaged", "delete it and convert the data set again"]),
    (image_changed, ["train.beton: damaged", "delete it and convert the data set again"]),
    (gone, ["train.beton is missing", "convert the data set again"]),
    (sidecar_gone, ["train.json: not a readable sidecar", "convert the data set again"]),
    (sidecar_of_another, ["train.beton: ", "delete the file and convert the data set again"]),
    (other_size_wanted, ["stored as square 32", "now require square 48", "convert the data set again"]),
]


@pytest.mark.parametrize(("spoil", "messages"), DAMAGE)
def test_damaged_conversion_is_refused_before_it_is_read(
    spoil: Callable[[Path], None], messages: list[str], pets: Path, run_command: RunCommand
) -> None:
    assert run_command(read, "pets.yaml") == (0, "")
    spoil(pets)
    code, message = run_command(read, "pets.yaml")
    assert code == command.BAD_USAGE and "Traceback" not in message
    assert all(part in message for part in messages), message


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "messages"), DAMAGE)
def test_remedy_in_the_message_repairs_a_damaged_conversion(
    spoil: Callable[[Path], None], messages: list[str], pets: Path, run_command: RunCommand
) -> None:
    spoil(pets)
    if re.search("delete (it|the file)", run_command(read, "pets.yaml")[1]):
        (pets / "train.beton").unlink()
    assert run_command(convert.main, "pets.yaml")[0] == 0
    assert run_command(read, "pets.yaml") == (0, "")
