"""Text lists of images and of class names in the forms that users and tools write."""

from pathlib import Path

import pytest

from ltray.errors import UsageError
from tests.data.sources.label_files import lines, opened

NO_LABELS = ("²", "+1", "1_000", "٣", "1.0", "0.5", "true", "null", "cat", "a.png,0", "-1", "1" * 30, "1" * 5000, "½")


@pytest.mark.parametrize("label", NO_LABELS, ids=lambda one: one[:9])
def test_invalid_label_is_refused_with_its_line(tmp_path: Path, label: str) -> None:
    with pytest.raises(UsageError, match="train.txt:3: ") as caught:
        opened(tmp_path, lines(tmp_path, "train", [0, 1, label]))
    assert label[:30] in str(caught.value)


@pytest.mark.parametrize("head", ["path label\n", "# 2\n", "# images 2\n", "image,label\n", "1\n"])
def test_heading_is_refused_with_its_line(tmp_path: Path, head: str) -> None:
    lines(tmp_path, "train", [0, 1])
    (tmp_path / "train.txt").write_text(head + (tmp_path / "train.txt").read_text())
    with pytest.raises(UsageError, match="train.txt:1: must be `path label`"):
        opened(tmp_path, "train.txt")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf./train/0.png 0\r\ntrain/1.png\t1\r\n\r\n",
        b"train\\0.png 0\n  train/1.png   1  \n",
        b"/train/0.png 0\r/train/1.png 1",
    ],
)
def test_lists_of_other_operating_systems_are_read(tmp_path: Path, content: bytes) -> None:
    lines(tmp_path, "train", [0, 1])
    (tmp_path / "train.txt").write_bytes(content)
    originals = opened(tmp_path, "train.txt").pools["train"]()
    assert originals.labels.tolist() == [0, 1]
    assert [Path(originals.name(index)).resolve() for index in (0, 1)] == [tmp_path / f"train/{n}.png" for n in (0, 1)]


def test_absolute_paths_and_names_with_unusual_bytes_are_found(tmp_path: Path) -> None:
    lines(tmp_path, "train", [0, 1])
    odd = tmp_path / "train" / "gr\udcfcn\u0085a\\b.png"
    odd.touch()
    content = f"{tmp_path}/train/0.png 0\n".encode() + b"train/gr\xfcn\xc2\x85a\\b.png 1\n"
    (tmp_path / "train.txt").write_bytes(content)
    originals = opened(tmp_path, "train.txt").pools["train"]()
    assert [originals.name(index) for index in (0, 1)] == [str(tmp_path / "train/0.png"), str(odd)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("train/0.png 0\ntrain/1.png 1\n".encode("utf-16"), "is not a text file in UTF-8"),
        (
            b"https://images.example/0.png 0\nhttps://images.example/1.png 1\n",
            "which is a URL; download the images",
        ),
        (b"train/0.png 0\ntrain/1.png 1\n./train/0.png 1\n", r"line 3: train/0.png has label 1, but label 0 in line 1"),
    ],
)
def test_unusable_list_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    lines(tmp_path, "train", [0, 1])
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        opened(tmp_path, "train.txt")


def test_list_and_names_of_places365_are_read_unchanged(tmp_path: Path) -> None:
    for name in ("airfield", "church/outdoor"):
        (tmp_path / "a" / name).mkdir(parents=True)
        (tmp_path / "a" / name / "1.jpg").touch()
    (tmp_path / "train.txt").write_text("/a/airfield/1.jpg 0\n/a/church/outdoor/1.jpg 1\n")
    (tmp_path / "names.txt").write_text("/c/church/outdoor 1\n/a/airfield 0\n")
    source = opened(tmp_path, "train.txt", class_names="names.txt")
    assert source.class_names == ("/a/airfield", "/c/church/outdoor")
    assert source.pools["train"]().name(0) == str(tmp_path / "a/airfield/1.jpg")
    assert opened(tmp_path, "train.txt").class_names == ("airfield", "outdoor")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("1 001.Albatross\n2 002.Auklet\n", ("001.Albatross", "002.Auklet")),
        ("digit 0\ndigit 1\n", ("digit 0", "digit 1")),
        ("boeing 747\nboeing 777\n", ("boeing 747", "boeing 777")),
        ("n01440764 tench, Tinca\nn01443537 goldfish\n\n", ("n01440764 tench, Tinca", "n01443537 goldfish")),
        ("\ufeff cat \r\ndog\u2028x\r\n", ("cat", "dog\\u2028x")),
        ("0\n1\n", ("0", "1")),
    ],
)
def test_class_names_are_read_in_several_forms(tmp_path: Path, content: str, names: tuple[str, str]) -> None:
    (tmp_path / "names.txt").write_bytes(content.encode())
    assert opened(tmp_path, lines(tmp_path, "train", [0, 1]), class_names="names.txt").class_names == names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cat\ncat \n", "two class names look the same, `cat`"),
        ("cat\n", r"train.txt, line 2: train/1.png has label 1, but of 1 classes the last is 0"),
        ("cat\ndog\nemu\n", "1 of 3 classes have no training image: emu"),
        ("", "has no names"),
    ],
)
def test_class_names_that_do_not_fit_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(UsageError, match=message):
        opened(tmp_path, lines(tmp_path, "train", [0, 1]), class_names="names.txt")
