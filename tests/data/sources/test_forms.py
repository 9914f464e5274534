"""The form of a user's images is detected; an ambiguous form is refused with the setting that resolves it."""

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltray.data.definition import DatasetDefinition
from ltray.data.draft_definition import draft
from ltray.data.sources import archive
from ltray.data.sources.forms import find_form
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError

ROWS = "a.png,cat\nb.png,dog\n"
TABLE = "image,label\n" + ROWS


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))


def put(root: Path, **files: str) -> Path:
    """Write files; `__` in a name is a slash, `_` before the suffix is a dot."""
    for name, content in files.items():
        path = root / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def classes(root: Path, **settings: str) -> dict[str, list[str]]:
    """Return the image names of every pool, each with its class."""
    form = find_form(root, settings)
    source = open_source(DatasetDefinition(name="t", **{**form.fields, **settings}))
    found = {}
    for pool, read in source.pools.items():
        originals = read()
        found[pool] = sorted(
            f"{Path(originals.name(k)).name} {source.class_names[label]}" for k, label in enumerate(originals.labels)
        )
    return found


FLAT = {"a_png": "", "b_png": ""}
BOTH = ["a.png cat", "b.png dog"]


@pytest.mark.parametrize(
    ("files", "given", "found"),
    [
        (FLAT | {"labels_csv": TABLE}, "", {"train": BOTH}),
        (FLAT | {"labels_csv": TABLE}, "labels.csv", {"train": BOTH}),
        ({"i__a_png": "", "i__b_png": "", "labels_csv": TABLE}, "", {"train": BOTH}),
        ({"i__a_png": "", "i__b_png": "", "labels_csv": TABLE}, "i", {"train": BOTH}),
        ({f"p__p__{k}": v for k, v in FLAT.items()} | {"p__p__labels_csv": TABLE}, "", {"train": BOTH}),
        (FLAT | {"train_csv": TABLE, "test_csv": TABLE}, "", {"train": BOTH, "test": BOTH}),
        (FLAT | {"train_labels_csv": TABLE, "val_labels_csv": TABLE}, "", {"train": BOTH, "test": BOTH}),
        (FLAT | {"train_csv": TABLE, "sample_submission_csv": TABLE}, "", {"train": BOTH}),
        (
            {f"{s}__{k}": v for s in ("train", "test") for k, v in (FLAT | {"metadata_csv": TABLE}).items()},
            "",
            {"train": BOTH, "test": BOTH},
        ),
        ({"cat__a_png": "", "dog__b_png": "", "text_csv": "file_name,text,n\na.png,A cat,1\n"}, "", {"train": BOTH}),
        ({"cat__a_png": "", "dog__b_png": "", "labels_csv": TABLE}, "", {"train": BOTH}),
        ({"train__cat__a_png": "", "train__dog__b_png": ""}, "", {"train": BOTH}),
    ],
)  # fmt: skip
def test_each_form_is_found(tmp_path: Path, files: dict[str, str], given: str, found: dict[str, list[str]]) -> None:
    assert classes(put(tmp_path / "mine", **files) / given) == found
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as zipped:
        for path in sorted((tmp_path / "mine").rglob("*.*")):
            zipped.write(path, f"top/{path.relative_to(tmp_path / 'mine')}")
        zipped.writestr("__MACOSX/top/._a.png", "x")
        zipped.writestr("top/._b.png", "x")
    if not given:
        assert classes(tmp_path / "mine.zip") == found
        assert "unpacked into" in find_form(tmp_path / "mine.zip", {}).why


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"cat__a_png": "", "dog__b_png": "", "labels_csv": TABLE.replace("dog", "emu")}, "`source=folder`"),
        (FLAT | {"one_csv": TABLE, "two_csv": TABLE}, "one.csv, two.csv; set `train_list="),
        (FLAT | {"labels_csv": "image,label,class\na.png,cat,x\nb.png,dog,x\n"}, "set `label_column`"),
    ],
)  # fmt: skip
def test_ambiguous_form_is_refused_with_the_setting_that_resolves_it(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_form(put(tmp_path / "mine", **files), {})
    assert message in str(caught.value)


def test_setting_that_resolves_the_form_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = put(tmp_path / "mine", cat__a_png="", dog__b_png="", labels_csv=TABLE.replace("dog", "emu"))
    plain = {"image_size": 32}
    assert draft(root, plain | {"source": "folder"}).definition.source == "folder"
    for explicit in ("labels.csv", "mine/labels.csv"):
        definition = draft(root, plain | {"train_list": explicit}).definition
        assert (definition.source, definition.train_list) == ("lists", str(root / "labels.csv"))
        assert open_source(definition).class_names == ("cat", "emu")


def test_file_of_another_data_set_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = put(tmp_path / "mine", a_png="", b_png="", labels_csv=TABLE)
    (tmp_path / "mine.yaml").write_text("name: mine\nsource: digits\n")
    with pytest.raises(UsageError, match=r"mine.yaml: exists, and is not a data-set file of these images.*`name=`"):
        draft(root, {"image_size": 32})
    assert draft(root, {"image_size": 32, "name": "other"}).file == tmp_path / "other.yaml"


def test_parquet_files_of_the_hub_are_found(tmp_path: Path) -> None:
    (tmp_path / "mine" / "data").mkdir(parents=True)
    for name in ("train-00000-of-00001", "test-00000-of-00001"):
        pq.write_table(
            pa.table({"image": [b"x", b"y"], "label": ["cat", "dog"]}), tmp_path / f"mine/data/{name}.parquet"
        )
    form = find_form(tmp_path / "mine", {})
    pools = open_source(DatasetDefinition(name="t", **form.fields)).pools
    assert {pool: len(read().labels) for pool, read in pools.items()} == {"train": 2, "test": 2}


def entry(name: str, *, mode: int = 0, flag: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr, info.flag_bits = mode << 16, flag
    return info


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry("../out.png")], "`../out.png` would be written outside"),
        ([entry("a/../../out.png")], "would be written outside"),
        ([entry("/etc/out.png")], "would be written outside"),
        ([entry("..\\out.png")], "would be written outside"),
        ([entry("C:\\out.png")], "would be written outside"),
        ([entry("link.png", mode=0o120777)], "is a link or device"),
        ([entry("a.png"), entry("a.png")], "has two entries `a.png`"),
        ([entry("__MACOSX/a.png")], "contains no files"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_unsafe_archive_is_refused_without_files_left(
    tmp_path: Path, entries: list[zipfile.ZipInfo], message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as zipped:
        for one in entries:
            zipped.writestr(one, b"x")
    with pytest.raises(UsageError) as caught:
        archive.unpacked(tmp_path / "bad.zip")
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["bad.zip"]


def test_zip_bombs_encrypted_and_damaged_archives_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("a.png", bytes(1 << 20))
    monkeypatch.setattr(archive, "ALLOWED", 1 << 16)
    with pytest.raises(UsageError, match="1 MiB unpacked, more than 20 times"):
        archive.unpacked(bomb)
    small = tmp_path / "small.zip"
    with zipfile.ZipFile(small, "w") as zipped:
        zipped.writestr("a.png", b"some pixels")
    complete = small.read_bytes()
    for content, message in (
        (complete.replace(b"some pixels", b"xxxx pixels"), "not a readable zip file: Bad CRC"),
        (complete[:40], "not a readable zip file"),
        (b"", "not a readable zip file"),
    ):
        small.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            archive.unpacked(small)
    place = complete.index(b"PK\x01\x02") + 8  # the flags in the central directory
    small.write_bytes(complete[:6] + b"\x01" + complete[7:place] + b"\x01" + complete[place + 1 :])
    with pytest.raises(UsageError, match="`a.png` is encrypted"):
        archive.unpacked(small)
    assert not list((tmp_path / "data").rglob("*.png"))


def test_names_of_macos_archives_are_read_as_utf8(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("Kuche/a.png"), b"x")
    content = (tmp_path / "mac.zip").read_bytes().replace(b"Kuche", "Küe".encode() + b"x")
    (tmp_path / "mac.zip").write_bytes(content)
    assert (archive.unpacked(tmp_path / "mac.zip") / "Küex" / "a.png").is_file()
