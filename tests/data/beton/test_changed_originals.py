"""Changes of originals after their conversion are detected, and foreign files are not changed."""

import getpass
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltray import command, convert, tune
from ltray.data.beton import convert as conversion
from ltray.data.beton.in_use import hold_for_reading, hold_for_replacing
from ltray.data.beton.ownership import WORK_MARK
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.store import Check, folder_of
from ltray.data.dataset import ImageData, open_data
from ltray.data.definition import DatasetDefinition
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError
from ltray.example_views import OriginalImages
from tests.data.folders_and_commands import RunCommand, fill

pytestmark = pytest.mark.ffcv

PETS = "name: pets\nsource: folder\nfolder: pets\nprotocol: paper\ntest_per_class: 1\nstore: .\n"
QUIET = ProgressBars(shown=False)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted set with its data-set file and its originals; one original was left out."""
    root = tmp_path_factory.mktemp("kept")
    fill(root / "pets", "cat", "dog")
    (root / "pets/cat/broken.png").write_bytes(b"no image")
    (root / "pets.yaml").write_text(PETS)
    conversion.convert(DatasetDefinition.read(root / "pets.yaml"), progress=QUIET, skip=True)
    return root


@pytest.fixture
def pets(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that set in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    return tmp_path


def opened(check: Check) -> ImageData:
    return open_data(DatasetDefinition.read("pets.yaml"), device=torch.device("cpu"), check=check)


def random_image(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def listing(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return everything below a folder: type and permissions, time of the last change, content."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in root.rglob("*")
    }


def test_changed_originals_stop_an_existing_run_and_are_converted_for_a_new_one(pets: Path) -> None:
    before = opened("compare").digest
    random_image(pets / "pets/cat/9.png", 9)
    random_image(pets / "pets/dog/0.png", 10)
    with pytest.raises(
        UsageError, match=r"originals of pets have changed.*1 added \(cat/9.png\), 1 replaced \(dog/0.png\)"
    ):
        opened("compare")
    assert opened("trust").digest == before  # as a worker of a run that began before the change
    data = opened("convert")
    assert data.digest != before and sum(data.tail.counts) == 7
    assert "converted again, because its originals have changed: 1 added" in data.describe()
    assert "1 left out" in data.describe()
    assert opened("compare").digest == data.digest


def test_converted_files_are_used_without_originals(pets: Path) -> None:
    before = opened("compare").digest
    shutil.rmtree(pets / "pets")
    for check in ("compare", "convert", "look"):
        data = opened(check)  # type: ignore[arg-type]
        assert data.digest == before and "the originals are not on this machine" in data.describe()
    (pets / "pets").mkdir()  # a mount point without its disk
    assert opened("compare").digest == before


def test_moved_data_set_is_recognized(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = opened("compare").digest
    shutil.move(pets / "pets", pets / "elsewhere")
    (pets / "pets.yaml").write_text(PETS.replace("folder: pets", "folder: elsewhere"))
    data = opened("compare")
    assert data.digest == before and not data.notes
    monkeypatch.chdir("/")
    definition = DatasetDefinition.read(pets / "pets.yaml")
    assert open_data(definition, device=torch.device("cpu"), check="compare").digest == before


def test_every_command_uses_the_images_of_the_conversion(pets: Path, run_command: RunCommand) -> None:
    assert "1 left out" in opened("compare").describe()
    assert (
        run_command(convert.main, "pets.yaml", "--verify", "--deep")[0] == 0
    )  # the image is still left out, without an error
    (pets / "complete").unlink()
    definition = DatasetDefinition.read("pets.yaml")
    assert open_data(definition, device=torch.device("cpu"), check="look").tail.counts == (3, 3)
    originals = OriginalImages.of(definition, open_source(definition))
    assert originals.splits.tail.counts == (3, 3)


def test_check_look_writes_nothing(pets: Path) -> None:
    for file in (pets / "pets").rglob("*.png"):
        file.touch()
    before = listing(pets)
    assert opened("look").tail.counts == (3, 3)
    random_image(pets / "pets/dog/9.png", 9)
    before["pets/dog/9.png"] = listing(pets)["pets/dog/9.png"]
    before["pets/dog"] = listing(pets)["pets/dog"]
    data = opened("look")
    assert sum(data.tail.counts) == 7 and len(list(data.test())) == 1
    assert "not yet converted in its current state" in data.describe()
    assert listing(pets) == before


def test_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_command: RunCommand) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("LTRAY_DATA", "TMPDIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "TMPDIR").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "TMPDIR"))
    (tmp_path / "TMPDIR" / f"torchinductor_{getpass.getuser()}").mkdir()  # created by `import torch`
    before = listing(tmp_path)
    assert run_command(tune.main, "quickstart", "--dry-run")[0] == command.DONE
    assert listing(tmp_path) == before


def test_files_in_use_are_not_replaced(pets: Path) -> None:
    random_image(pets / "pets/cat/9.png", 9)
    definition = DatasetDefinition.read("pets.yaml")
    reading_lock = hold_for_reading(pets)
    assert reading_lock is not None
    with reading_lock, pytest.raises(UsageError, match="a running command reads these files"):
        conversion.convert(definition, progress=QUIET)
    assert opened("trust").tail.counts == (3, 3)


@pytest.mark.filterwarnings("error")
def test_files_are_in_use_while_their_lock_is_referenced(tmp_path: Path) -> None:
    hold_for_replacing(tmp_path).close()  # creates the lock file
    first, second = hold_for_reading(tmp_path), hold_for_reading(tmp_path)
    assert first and second
    del first
    with pytest.raises(UsageError, match="a running command reads these files"):
        hold_for_replacing(tmp_path)
    del second  # without a warning about an unclosed file
    with hold_for_replacing(tmp_path):
        descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
        for _ in range(3):
            with pytest.raises(UsageError):
                hold_for_replacing(tmp_path)
        if descriptors:
            assert len(os.listdir("/proc/self/fd")) == descriptors
    assert hold_for_reading(tmp_path / "missing") is None


def test_foreign_files_are_not_removed(pets: Path) -> None:
    (pets / "foreign.beton").write_bytes(b"mine")
    (pets / ".work-mine").mkdir()
    (pets / ".work-mine/notes.txt").write_text("mine")
    (pets / "target").mkdir()
    (pets / "target" / WORK_MARK).touch()
    (pets / ".work-link").symlink_to(pets / "target")
    (pets / ".work-old").mkdir()
    (pets / ".work-old" / WORK_MARK).touch()
    random_image(pets / "pets/cat/9.png", 9)
    assert conversion.convert(DatasetDefinition.read("pets.yaml"), progress=QUIET)
    assert (pets / "foreign.beton").read_bytes() == b"mine" and (pets / ".work-mine/notes.txt").read_text() == "mine"
    assert (pets / ".work-link").is_symlink() and (pets / "target" / WORK_MARK).is_file()
    assert not (pets / ".work-old").exists()
    assert opened("compare").tail.counts == (4, 3)


@pytest.mark.parametrize("name", ["train.beton", "train.json", "complete", "report.txt", "originals.record"])
def test_existing_foreign_file_name_is_refused(name: str, here: Path) -> None:
    (here / "pets.yaml").write_text(PETS)
    (here / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name}: was not written by ltray.convert"):
        conversion.convert(DatasetDefinition.read("pets.yaml"), progress=QUIET)
    (here / name).unlink()
    (here / name).symlink_to(here / "nowhere")
    with pytest.raises(UsageError, match=f"{name}: was not written by ltray.convert"):
        conversion.convert(DatasetDefinition.read("pets.yaml"), progress=QUIET)


def test_foreign_folder_is_refused(here: Path) -> None:
    definition = DatasetDefinition(name="p", source="folder", folder=str(here / "pets"), test_per_class=1)
    folder = folder_of(definition)
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(
        UsageError, match=r"is not empty and was not created by ltray.convert \(it contains thesis.txt\)"
    ):
        conversion.convert(definition, progress=QUIET)


def test_two_data_sets_cannot_share_a_folder(pets: Path) -> None:
    fill(pets / "others", "ant", "bee")
    (pets / "others.yaml").write_text(
        PETS.replace("name: pets", "name: others").replace("folder: pets", "folder: others")
    )
    with pytest.raises(UsageError, match="contains the converted files of the data set `pets`.*`others`"):
        conversion.convert(DatasetDefinition.read("others.yaml"), progress=QUIET)
    (pets / "same.yaml").write_text(PETS.replace("name: pets", "name: same") + "largest_class: 2\n")
    assert not conversion.convert(DatasetDefinition.read("same.yaml"), progress=QUIET)  # the same images
