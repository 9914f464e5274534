"""Paths of a data set do not depend on the working directory; damaged files of a conversion are detected."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ltray.data.beton.chunks import PARTS, ROW, Prepared
from ltray.data.beton.manifest import Sidecar, digest_of_ends
from ltray.data.beton.node_copy import local_copy
from ltray.data.beton.ownership import Ownership
from ltray.data.definition import DatasetDefinition
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.files import digest_of

LISTS = "name: mine\nsource: lists\nfolder: images\ntrain_list: train.txt\ntest_per_class: 1\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with its data-set file in a subfolder; the working directory is the project."""
    (tmp_path / "project/sets").mkdir(parents=True)
    (tmp_path / "project/sets/mine.yaml").write_text(LISTS)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize("images", ["images", "sets/images"])
@pytest.mark.parametrize("listed", ["train.txt", "sets/train.txt", "{images}/train.txt"])
def test_folder_and_lists_become_absolute_when_read(images: str, listed: str, project: Path) -> None:
    (project / images).mkdir()
    listed = listed.format(images=images)
    (project / listed).write_text("")
    found = DatasetDefinition.read("sets/mine.yaml")
    assert (found.folder, found.train_list) == (str(project / images), str(project / listed))


def test_ambiguous_folder_or_list_is_refused(project: Path) -> None:
    for name in ("images", "sets/images"):
        (project / name).mkdir()
    with pytest.raises(UsageError, match=r"`folder: images` may mean .*write the full path of one of them"):
        DatasetDefinition.read("sets/mine.yaml")
    (project / "images").rmdir()
    (project / "images").symlink_to(project / "sets/images")  # the same folder
    for name in ("train.txt", "images/train.txt"):
        (project / name).write_text("")
    with pytest.raises(UsageError, match=r"`train_list: train.txt` may mean .*write the full path of one of them"):
        DatasetDefinition.read("sets/mine.yaml")


def test_run_records_absolute_paths(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "images").mkdir()
    (project / "images/train.txt").write_text("")
    (project / "weights.pt").write_text("")
    settings = {"dataset": "sets/mine.yaml", "methods": ["cross_entropy"], "weights": "weights.pt"}
    recorded = Experiment.from_settings(settings | {"backbone": "resnet50"}).settings()
    assert recorded["dataset.folder"] == str(project / "images") and recorded["weights"] == str(project / "weights.pt")
    monkeypatch.chdir("/")
    assert Experiment.from_settings(recorded).settings() == recorded
    started = Experiment.from_settings({"dataset": "digits-lt", "methods": ["crt"], "start": "run"})
    assert started.start == "/run"


@pytest.mark.parametrize("suffix", [*PARTS, "sha256"])
@pytest.mark.parametrize("place", [0, -1])
def test_damaged_chunk_is_prepared_again(suffix: str, place: int, tmp_path: Path) -> None:
    prepared = Prepared(tmp_path, 3)
    rows = np.zeros(3, dtype=ROW)
    rows["width"] = 1
    prepared.put(range(3), rows, content=b"abc", messages={"bad": {}, "notes": {}})
    assert prepared.missing() == []
    (file,) = tmp_path.glob(f"*.{suffix}")
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert prepared.missing() == [range(3)]
    file.unlink()
    assert prepared.missing() == [range(3)]


@pytest.fixture
def sidecar(tmp_path: Path) -> Sidecar:
    beton = tmp_path / "set" / "train.beton"
    beton.parent.mkdir()
    beton.write_bytes(bytes(range(256)) * 2048)
    size = ((8, 8), (8, 8))
    known = ("train", ("a", "b"), (2, 1), (0, 1, 0), size, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "here", "f", {"square": 8})
    made = Sidecar(beton, *known, 0, "c", {}, beton.stat().st_size, digest_of_ends(beton), digest_of(beton))
    made.write()
    return made


@pytest.mark.parametrize("damaged", ["train.beton", "train.json"])
def test_damaged_copy_of_a_node_is_copied_again(
    damaged: str, sidecar: Sidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTRAY_LOCAL", str(tmp_path / "local"))
    copied = local_copy(sidecar)
    assert copied == dataclasses.replace(sidecar, beton=copied.beton) and copied.beton != sidecar.beton
    file = copied.beton.parent / damaged
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert local_copy(sidecar) == copied
    assert digest_of(copied.beton) == sidecar.sha256 and Sidecar.read(copied.beton) == copied


def test_edited_file_is_distinguished_from_a_generated_one(tmp_path: Path) -> None:
    definition = DatasetDefinition(name="t", source="folder", folder=str(tmp_path), store=str(tmp_path))
    own = Ownership.claim(tmp_path, definition, ["train.beton"])
    assert not own.was_edited(tmp_path / "t.yaml")
    (tmp_path / "t.yaml").write_text("somebody's")
    assert own.was_edited(tmp_path / "t.yaml")
    own = own.wrote(tmp_path / "t.yaml")
    assert not Ownership.of(tmp_path).was_edited(tmp_path / "t.yaml")
    (tmp_path / "t.yaml").write_text("edited")
    assert own.was_edited(tmp_path / "t.yaml")
    assert own.owns("train.beton") and not own.owns("other.beton")
