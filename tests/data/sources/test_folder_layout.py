"""Folders as created by users, tools and operating systems: images that are used, and notes about the others."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.data import image_files
from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.data.sources.folder_layout import split_of
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError

PETS = ("cat/1.png", "cat/2.png", "dog/1.png")


def put(root: Path, *names: str) -> Path:
    """Make empty files; a name that ends in a slash is a folder."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.touch()
    return root


def opened(root: Path) -> Source:
    return open_source(DatasetDefinition(name="t", source="folder", folder=str(root)))


def images(source: Source, root: Path, pool: str = "train") -> list[str]:
    originals = source.pools[pool]()
    return [os.path.relpath(originals.name(index), root) for index in range(len(originals.labels))]


LEFT = (
    *(".DS_Store", "._1.png", ".hidden.jpg", "Thumbs.db", "desktop.ini", "Icon\r", "Picasa.ini"),
    *("__MACOSX/._1.png", "__MACOSX/cat/1.png", "@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/old.png"),
    *("$RECYCLE.BIN/S-1/$R1.jpg", "System Volume Information/a.png", "lost+found/1.png", "FOUND.000/a.jpg"),
    *(".ipynb_checkpoints/1-checkpoint.png", ".git/logo.png", ".Trash-1000/files/1.png", "__pycache__/a.png"),
    *(".thumbnails/1.png", ".picasaoriginals/1.jpg", ".fseventsd/a.png", ".Spotlight-V100/a.png", ".cache/a.png"),
)


@given(
    places=st.lists(
        st.tuples(st.sampled_from(("", "train/", "train/cat/", "train/cat/deep/", "test/dog/")), st.sampled_from(LEFT))
    )
)
def test_files_of_systems_and_tools_are_ignored_at_any_depth(places: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = put(
            Path(name), *(f"{split}/{pet}" for split in ("train", "test") for pet in PETS), "train/cat/deep/3.png"
        )
        before = opened(root)
        put(root, *(place + left for place, left in places))
        after = opened(root)
        assert after.class_names == before.class_names == ("cat", "dog")
        assert (
            images(after, root)
            == images(before, root)
            == [f"train/{pet}" for pet in ("cat/1.png", "cat/2.png", "cat/deep/3.png", "dog/1.png")]
        )
        assert images(after, root, "test") == images(before, root, "test")
        assert image_files.image_files([root]) == sorted(
            Path(path) for pool in after.pools for path in map(str, (root / one for one in images(after, root, pool)))
        )


def test_ignored_system_folders_are_reported(tmp_path: Path) -> None:
    put(tmp_path, *PETS, "lost+found/1.png", "cat/@eaDir/1.png", ".git/1.png")
    assert "train: ignored, because systems and tools create them: @eaDir, lost+found" in opened(tmp_path).notes


def test_ignored_folders_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, *PETS, "lost+found/", "emu/1.png")
    looked = os.scandir

    def scandir(place: str | Path):  # type: ignore[no-untyped-def]  # root may read every folder
        if os.path.basename(place) in locked:
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return looked(place)

    monkeypatch.setattr(os, "scandir", scandir)
    locked = {"lost+found"}
    assert opened(tmp_path).class_names == ("cat", "dog", "emu")
    locked = {"emu"}
    with pytest.raises(UsageError, match=r"emu: cannot be read: Permission denied; .* fix its permissions"):
        opened(tmp_path)


JPEG = (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi")
OTHERS = (".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")


def test_suffixes_are_complete() -> None:
    assert {*JPEG, *OTHERS} <= set(image_files.SUFFIXES)


@pytest.mark.parametrize("suffix", image_files.SUFFIXES)
def test_every_suffix_is_recognized_in_any_case(tmp_path: Path, suffix: str) -> None:
    put(tmp_path, f"cat/a{suffix}", f"dog/b.old{suffix.upper()}", f"dog/c{suffix}.txt", f"dog/d{suffix}~")
    assert images(opened(tmp_path), tmp_path) == [f"cat/a{suffix}", f"dog/b.old{suffix.upper()}"]
    assert image_files.image_files([tmp_path]) == [tmp_path / f"cat/a{suffix}", tmp_path / f"dog/b.old{suffix.upper()}"]


LAYOUTS: dict[str, tuple[tuple[str, ...], dict[str, list[str]], tuple[str, ...]]] = {
    "a class with the name train": (
        ("bus/1.png", "streetcar/1.png", "train/1.png"),
        {"train": ["bus/1.png", "streetcar/1.png", "train/1.png"]},
        ("`train` is used as a class, not as a split",),
    ),
    "splits of other spellings": (
        ("Train_Set/cat/1.png", "Train_Set/dog/1.png", "Validation-Images/cat/2.png", "test data/dog/3.png"),
        {
            "train": ["Train_Set/cat/1.png", "Train_Set/dog/1.png"],
            "validation": ["Validation-Images/cat/2.png"],
            "test": ["test data/dog/3.png"],
        },
        ("test: no image of 1 of 2 classes: cat", "validation: no image of 1 of 2 classes: dog"),
    ),
    "splits inside the classes": (
        ("cat/train/1.png", "cat/test/2.png", "dog/train/1.png", "dog/test/2.png", "dog/val/3.png"),
        {
            "train": ["cat/train/1.png", "dog/train/1.png"],
            "validation": ["dog/val/3.png"],
            "test": ["cat/test/2.png", "dog/test/2.png"],
        },
        ("the splits are inside the classes", "cat/test: test, train, validation"),
    ),
    "a wrapper": (
        ("photos/photos/cat/1.png", "photos/photos/dog/1.png", "notes.txt"),
        {"train": ["photos/photos/cat/1.png", "photos/photos/dog/1.png"]},
        ("classes are read from", "photos/photos"),
    ),
    "a wrapper of splits, and labels of another tool": (
        ("images/train/cat/1.png", "images/train/dog/1.png", "images/val/cat/2.png", "labels/train/1.txt"),
        {"train": ["images/train/cat/1.png", "images/train/dog/1.png"], "test": ["images/val/cat/2.png"]},
        ("classes are read from", "images"),
    ),
    "a taxonomy": (
        ("animal/cat/1.png", "animal/dog/2.png", "plant/1.png"),
        {"train": ["animal/cat/1.png", "animal/dog/2.png", "plant/1.png"]},
        ("train: images in subfolders of a class folder belong to this class: animal (cat, dog)",),
    ),
    "test images without classes": (
        ("train/cat/1.png", "train/dog/1.png", "test/1.png", "test/2.png"),
        {"train": ["train/cat/1.png", "train/dog/1.png"]},
        ("`test` is ignored: images without a class folder",),
    ),
    "more next to the splits": (
        ("train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "extra/1.png"),
        {"train": ["train/cat/1.png", "train/dog/1.png"], "test": ["val/cat/1.png"]},
        ("ignored, next to the splits: extra",),
    ),
    "a class without images": (
        ("cat/1.png", "dog/1.png", "emu/", "fox/1.heic", "fox/2.HEIC"),
        {"train": ["cat/1.png", "dog/1.png"]},
        ("train: 2 folders without an image, not used as classes: emu (empty), fox (.heic 2)",),
    ),
    "loose images": (
        ("train/cat/1.png", "train/dog/1.png", "train/2.png", "test/dog/4.png"),
        {"train": ["train/cat/1.png", "train/dog/1.png"], "test": ["test/dog/4.png"]},
        ("train: 1 image outside class folders ignored",),
    ),
    "classes that differ only in case": (
        ("Cat/1.png", "cat/1.png", "dog/1.png"),
        {"train": ["Cat/1.png", "cat/1.png", "dog/1.png"]},
        ("classes that differ only in upper and lower case: Cat, cat",),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_is_recognized_and_assumptions_are_reported(tmp_path: Path, name: str) -> None:
    files, pools, messages = LAYOUTS[name]
    source = opened(put(tmp_path, *files))
    assert {pool: images(source, tmp_path, pool) for pool in source.pools} == pools
    assert all(any(part in note for note in source.notes) for part in messages), source.notes


def test_folder_without_assumptions_has_no_notes(tmp_path: Path) -> None:
    assert opened(put(tmp_path, *PETS)).notes == ()


UNCLEAR: dict[str, tuple[tuple[str, ...], str]] = {
    "train next to classes": (
        ("bus/1.png", "train/ice/1.png", "train/steam/1.png"),
        "`train` may be the training split, or a class as bus",
    ),
    "splits without classes": (
        ("train/1.png", "test/1.png"),
        "`test`, `train` are used as a split, but the images are",
    ),
    "a split twice": (
        ("train/cat/1.png", "train/dog/1.png", "training/cat/1.png"),
        "`train` and `training` both look like the train split",
    ),
    "splits inside some classes": (
        ("cat/train/1.png", "cat/test/1.png", "dog/1.png"),
        "cat contains splits, but dog does not; arrange them as train/cat",
    ),
    "a class empty in train": (
        ("train/cat/1.png", "train/dog/1.png", "train/emu/", "test/emu/1.png"),
        "test has classes that train does not have: emu",
    ),
    "a class in other case": (
        ("train/cat/1.png", "train/dog/1.png", "test/Cat/1.png"),
        r"test has classes that train does not have: Cat \(train has `cat`, which differs in upper and lower case\)",
    ),
    "two spellings of one letter": (
        ("caf\u00e9/1.png", "cafe\u0301/1.png"),
        r"two class names look the same, `caf\u00e9`: 'caf(e\\u0301|\\xe9)' and",
    ),
    "a space behind a name": (("cat/1.png", "cat /1.png"), "two class names look the same, `cat`: 'cat' and 'cat '"),
    "a zero-width character": (("cat/1.png", "c\u200bat/1.png"), "two class names look the same"),
    "a name of spaces": (("cat/1.png", " /1.png"), "the name ' ', which has no visible character"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_ambiguous_layout_is_refused(tmp_path: Path, name: str) -> None:
    files, messages = UNCLEAR[name]
    with pytest.raises(UsageError, match=messages):
        opened(put(tmp_path, *files))


def test_class_names_are_normalized(tmp_path: Path) -> None:
    put(tmp_path, "train/caf\u00e9/1.png", "train/dog/1.png", "test/cafe\u0301/2.png", "test/dog /1.png")
    source = opened(tmp_path)
    assert source.class_names == ("caf\u00e9", "dog")
    assert source.pools["test"]().labels.tolist() == [0, 1]
    assert images(source, tmp_path, "test") == ["test/cafe\u0301/2.png", "test/dog /1.png"]


def test_class_names_that_are_not_utf_8_are_escaped(tmp_path: Path) -> None:
    koenig = os.fsdecode(b"k\xf6nig")
    put(tmp_path, f"{koenig}/{os.fsdecode(b'gr' + bytes([0xFC]) + b'n')}.png", "dog\x1b[31m/1.png")
    source = opened(tmp_path)
    assert source.class_names == ("dog\\x1b[31m", "k\\xf6nig")
    assert images(source, tmp_path)[1].startswith(koenig)
    put(tmp_path, "k\\xf6nig/1.png")
    with pytest.raises(UsageError, match="two class names look the same"):
        opened(tmp_path)


def test_non_decimal_digits_are_names(tmp_path: Path) -> None:
    put(tmp_path, *(f"{name}/1.png" for name in ("1", "2", "10", "²", "٣", "01")))
    assert opened(tmp_path).class_names == ("01", "1", "2", "10", "²", "٣")


@pytest.mark.parametrize(
    "name", ["trains", "trainer", "latest", "testament", "valley", "devil", "untrain", "", "images"]
)
def test_other_names_are_not_splits(name: str) -> None:
    assert split_of(name) == ""


def test_symbolic_links_are_followed_and_cycles_ignored(tmp_path: Path) -> None:
    put(tmp_path, "real/1.png", "pets/dog/1.png", "pets/cat/2.png")
    (tmp_path / "pets/emu").symlink_to(tmp_path / "real")
    (tmp_path / "pets/cat/round").symlink_to(tmp_path / "pets")
    (tmp_path / "pets/gone").symlink_to(tmp_path / "nowhere")
    source = opened(tmp_path / "pets")
    assert source.class_names == ("cat", "dog", "emu")
    assert image_files.holds_images(tmp_path / "pets")
