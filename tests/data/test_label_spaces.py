"""A class is its name or id over all files of a data set; what contradicts that, or is no label, is refused."""

import json
import tempfile
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.data.source_lists import reference_counts
from ltray.data.sources import open_source
from ltray.errors import UsageError

ANIMALS = ("ant", "bee", "cat", "dog", "emu")
Images = Sequence[str]
"""The class of each image."""


def coco(root: Path, split: str, images: Images, ids: Mapping[str, Any], listed: Images) -> str:
    """Write a JSON list whose categories are `listed`; returns its name."""
    content = {
        "images": [{"id": f"i{n}", "file_name": f"{split}/{n}.png"} for n in range(len(images))],
        "annotations": [{"image_id": f"i{n}", "category_id": ids[name]} for n, name in enumerate(images)],
        "categories": [{"id": ids[name], "name": name} for name in listed],
    }
    return text(root, f"{split}.json", json.dumps(content), split, len(images))


def lines(root: Path, split: str, labels: Sequence[object]) -> str:
    return text(
        root, f"{split}.txt", "".join(f"{split}/{n}.png {k}\n" for n, k in enumerate(labels)), split, len(labels)
    )


def text(root: Path, name: str, content: str, split: str, images: int) -> str:
    (root / split).mkdir(exist_ok=True)
    for number in range(images):
        (root / split / f"{number}.png").touch()
    (root / name).write_text(content)
    return name


def parquet(root: Path, split: str, labels: object, names: object = None, **more: object) -> str:
    """Write Parquet; `names` as Hugging Face's ClassLabel has them."""
    column = labels if isinstance(labels, pa.Array) else pa.array(labels)
    table = pa.table({"image": [b"x"] * len(column), "label": column, **more})
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})
    pq.write_table(table, root / f"{split}.parquet")
    return f"{split}.parquet"


def opened(root: Path, train: str, test: str = "", **fields: Any) -> Source:
    source = "parquet" if train.endswith("parquet") else "lists"
    definition = {"name": "t", "source": source, "folder": str(root), "train_list": train, "test_list": test}
    return open_source(DatasetDefinition(**(definition | fields)))


def classes(source: Source, pool: str) -> list[str]:
    """Return the name of each image's class."""
    return [source.class_names[label] for label in source.pools[pool]().labels]


animals = st.lists(st.sampled_from(ANIMALS), min_size=1, max_size=12)


@given(train=st.permutations(ANIMALS * 2), test=animals, order=st.randoms(use_true_random=False), all_in=st.booleans())
def test_a_json_list_with_fewer_categories_in_any_order_shifts_no_class(
    train: Images, test: Images, order: Any, all_in: bool
) -> None:
    ids = dict(zip(ANIMALS, order.sample(range(100_000), len(ANIMALS)), strict=True))
    listed = list(ANIMALS if all_in else set(test))
    order.shuffle(listed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source = opened(root, coco(root, "train", train, ids, ANIMALS), coco(root, "test", test, ids, listed))
    assert source.class_names == tuple(sorted(ANIMALS, key=lambda one: ids[one]))
    assert classes(source, "train") == list(train) and classes(source, "test") == list(test)


@given(
    train=st.permutations(ANIMALS * 2), test=animals, order=st.randoms(use_true_random=False), form=st.integers(0, 2)
)
def test_a_parquet_pool_with_other_names_in_its_metadata_shifts_no_class(
    train: Images, test: Images, order: Any, form: int
) -> None:
    known = list(ANIMALS)
    order.shuffle(known)
    fewer = sorted(set(test), key=lambda one: order.random())
    columns = (
        ([fewer.index(one) for one in test], fewer),
        (list(test), None),
        (pa.array(test).dictionary_encode(), None),
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        first = parquet(root, "train", [known.index(one) for one in train], known)
        source = opened(root, first, parquet(root, "test", *columns[form]))
        assert source.class_names == tuple(known)
        assert classes(source, "train") == list(train) and classes(source, "test") == list(test)


IDS = {"cat": 0, "dog": 1, "emu": 90_210}
PETS = ("cat", "dog", "dog", "emu")


@pytest.mark.parametrize(
    ("ids", "listed", "said"),
    [
        ({"dog": 0, "emu": 1}, ("dog", "emu"), "category 0 is `cat` in .*train.json, but `dog` in .*test.json"),
        (
            {"dog": 7, "emu": 90_210},
            ("dog", "emu"),
            "category `dog` has the id 1 in .*train.json, but 7 in .*test.json",
        ),
        ({"dog": 1, "emu": 5}, ("dog", "emu"), "category `emu` has the id 90210 in .*train.json, but 5 in"),
        ({"dog": 1, "emu": 2, "fox": 3}, ("fox",), "test has classes that train has not: fox"),
    ],
)
def test_json_lists_that_contradict_one_another_are_refused_by_class(
    tmp_path: Path, ids: Mapping[str, int], listed: Images, said: str
) -> None:
    train = coco(tmp_path, "train", PETS, IDS, ("cat", "dog", "emu"))
    with pytest.raises(UsageError, match=said):
        opened(tmp_path, train, coco(tmp_path, "test", listed, ids, listed))


def test_category_ids_may_be_sparse_or_words_and_unused_ones_are_named(tmp_path: Path) -> None:
    train = coco(tmp_path, "train", PETS, IDS | {"gnu": 5}, ("gnu", "emu", "cat", "dog"))
    source = opened(tmp_path, train)
    assert source.class_names == ("cat", "dog", "emu") and classes(source, "train") == list(PETS)
    assert source.notes == (f"{tmp_path}/train.json: classes without an image left out: gnu",)
    words = {name: f"id-{name}" for name in IDS}
    source = opened(tmp_path, train, coco(tmp_path, "test", ("emu", "dog"), words, ("dog", "emu")))
    assert classes(source, "test") == ["emu", "dog"]


NO_IDS = (0.5, 1.0, True, None, [1], {"a": 1}, -1, -5, "", 10**30)


@pytest.mark.parametrize("wrong", NO_IDS, ids=repr)
def test_what_is_no_category_id_is_refused_with_its_place(tmp_path: Path, wrong: object) -> None:
    content = json.loads((tmp_path / coco(tmp_path, "train", PETS, IDS, tuple(IDS))).read_text())
    content["annotations"][2]["category_id"] = wrong
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"train.json, annotation 2: the category id must be a whole number") as caught:
        opened(tmp_path, "train.json")
    assert repr(wrong) in str(caught.value)


JSON: dict[str, tuple[Mapping[str, object], str]] = {
    "no annotations": ({"annotations": None}, "has no `annotations`: its images have no labels"),
    "annotations of another form": ({"annotations": {"a": 1}}, "`annotations` must be a list"),
    "an image that is not there": ({"annotations": [{"image_id": 9, "category_id": 0}]}, "no image has the id 9"),
    "a category that is not there": (
        {"annotations": [{"image_id": 1, "category_id": 8}]},
        "annotation 0: category 8 is not one of `categories`",
    ),
    "a category of two names": (
        {"categories": [{"id": 0, "name": "cat"}, {"id": 0, "name": "dog"}]},
        "category 0 has two names, cat and dog",
    ),
    "two categories of one name": (
        {"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": " cat"}]},
        "two classes are shown as `cat`",
    ),
    "a category without a name": ({"categories": [{"id": 0}]}, "KeyError 'name'"),
    "a category called null": ({"categories": [{"id": 0, "name": None}]}, "category 0 must have a name"),
    "an image of two classes": (
        {"annotations": [{"image_id": 1, "category_id": 0}, {"image_id": 1, "category_id": 1}]},
        r"train/a.png is of two classes, cat \(annotation 0\) and dog \(annotation 1\)",
    ),
    "an image without a path": ({"images": [{"id": 1, "file_name": None}]}, "`file_name` of 1 must be a path"),
    "two images of one id": (
        {"images": [{"id": 1, "file_name": "train/a.png"}, {"id": 1, "file_name": "train/b.png"}]},
        "two images have the id 1",
    ),
    "ids of two kinds": (
        {"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": "2", "name": "emu"}]},
        "some category ids are numbers and some are text",
    ),
}


@pytest.mark.parametrize("name", JSON)
def test_a_json_list_that_cannot_be_joined_is_refused(tmp_path: Path, name: str) -> None:
    change, said = JSON[name]
    content: dict[str, object] = {
        "images": [{"id": 1, "file_name": "train/a.png"}, {"id": 2, "file_name": "train/b.png"}],
        "annotations": [{"image_id": 1, "category_id": 0}, {"image_id": 2, "category_id": 1}],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
    } | dict(change)
    text(tmp_path, "train.json", json.dumps({key: one for key, one in content.items() if one is not None}), "train", 0)
    with pytest.raises(UsageError, match=said) as caught:
        opened(tmp_path, "train.json")
    assert "train.json" in str(caught.value)


def test_several_annotations_and_images_without_one_are_said(tmp_path: Path) -> None:
    content = json.loads((tmp_path / coco(tmp_path, "train", PETS, IDS, tuple(IDS))).read_text())
    content["annotations"] += content["annotations"][:2]
    content["images"].append({"id": "more", "file_name": "train/more.png"})
    (tmp_path / "train.json").write_text(json.dumps(content))
    source = opened(tmp_path, "train.json")
    assert classes(source, "train") == list(PETS)
    assert "1 image without an annotation left out" in source.notes[0]
    assert "images with several annotations of one class counted once: 2 more" in source.notes[1]


NO_LABELS = ("²", "+1", "1_000", "٣", "1.0", "0.5", "true", "null", "cat", "a.png,0", "-1", "1" * 30, "1" * 5000, "½")


@pytest.mark.parametrize("label", NO_LABELS, ids=lambda one: one[:9])
def test_what_is_no_label_of_a_line_is_refused_with_its_line(tmp_path: Path, label: str) -> None:
    with pytest.raises(UsageError, match="train.txt:3: ") as caught:
        opened(tmp_path, lines(tmp_path, "train", [0, 1, label]))
    assert label[:30] in str(caught.value)


@pytest.mark.parametrize("head", ["path label\n", "# 2\n", "# images 2\n", "image,label\n", "1\n"])
def test_a_heading_is_refused_with_its_line(tmp_path: Path, head: str) -> None:
    lines(tmp_path, "train", [0, 1])
    (tmp_path / "train.txt").write_text(head + (tmp_path / "train.txt").read_text())
    with pytest.raises(UsageError, match="train.txt:1: must be `path label`"):
        opened(tmp_path, "train.txt")


@pytest.mark.parametrize("source", ["lines", "parquet"])
@pytest.mark.parametrize("label", [3, 3_000_000_000, 10**17])
def test_a_label_far_out_is_refused_at_once_and_in_little_memory(tmp_path: Path, source: str, label: int) -> None:
    train = lines(tmp_path, "train", [0, 1, label]) if source == "lines" else parquet(tmp_path, "train", [0, 1, label])
    tracemalloc.start()
    with pytest.raises(UsageError, match=rf"(line 3|row 2).* has label {label:,}, but 3 training images"):
        opened(tmp_path, train)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("source", ["lines", "parquet"])
def test_a_gap_and_a_class_only_of_the_test_set_are_refused(tmp_path: Path, source: str) -> None:
    write = lines if source == "lines" else parquet
    with pytest.raises(UsageError, match=r"1 of 3 classes have no training image: 1; labels count from 0"):
        opened(tmp_path, write(tmp_path, "train", [0, 2, 2]))
    with pytest.raises(UsageError, match=r"train\..*: test has classes that train has not: 2"):
        opened(tmp_path, write(tmp_path, "train", [0, 1, 1]), write(tmp_path, "test", [0, 2]))
    source_ = opened(tmp_path, write(tmp_path, "train", [0, 1, 2]), write(tmp_path, "test", [2, 2]))
    assert classes(source_, "test") == ["2", "2"]
    assert source_.notes == ("test: no image of 2 of 3 classes: 0, 1",)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf./train/0.png 0\r\ntrain/1.png\t1\r\n\r\n",
        b"train\\0.png 0\n  train/1.png   1  \n",
        b"/train/0.png 0\r/train/1.png 1",
    ],
)
def test_lists_of_other_systems_are_read(tmp_path: Path, content: bytes) -> None:
    lines(tmp_path, "train", [0, 1])
    (tmp_path / "train.txt").write_bytes(content)
    originals = opened(tmp_path, "train.txt").pools["train"]()
    assert originals.labels.tolist() == [0, 1]
    assert [Path(originals.name(index)).resolve() for index in (0, 1)] == [tmp_path / f"train/{n}.png" for n in (0, 1)]


def test_absolute_paths_and_names_with_odd_bytes_are_found(tmp_path: Path) -> None:
    lines(tmp_path, "train", [0, 1])
    odd = tmp_path / "train" / "gr\udcfcn\u0085a\\b.png"
    odd.touch()
    content = f"{tmp_path}/train/0.png 0\n".encode() + b"train/gr\xfcn\xc2\x85a\\b.png 1\n"
    (tmp_path / "train.txt").write_bytes(content)
    originals = opened(tmp_path, "train.txt").pools["train"]()
    assert [originals.name(index) for index in (0, 1)] == [str(tmp_path / "train/0.png"), str(odd)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("train/0.png 0\ntrain/1.png 1\n".encode("utf-16"), "is not a text file in UTF-8"),
        (
            b"https://images.example/0.png 0\nhttps://images.example/1.png 1\n",
            "which is an address; download the images",
        ),
        (b"train/0.png 0\ntrain/1.png 1\n./train/0.png 1\n", r"line 3: train/0.png has label 1, but label 0 in line 1"),
    ],
)
def test_lists_that_cannot_be_used_are_refused_in_words(tmp_path: Path, content: bytes, said: str) -> None:
    lines(tmp_path, "train", [0, 1])
    (tmp_path / "train.txt").write_bytes(content)
    with pytest.raises(UsageError, match=said):
        opened(tmp_path, "train.txt")


def test_places365s_list_and_names_are_read_as_they_come(tmp_path: Path) -> None:
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
def test_names_of_classes_come_in_several_forms(tmp_path: Path, content: str, names: tuple[str, str]) -> None:
    (tmp_path / "names.txt").write_bytes(content.encode())
    assert opened(tmp_path, lines(tmp_path, "train", [0, 1]), class_names="names.txt").class_names == names


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cat\ncat \n", "two classes are shown as `cat`"),
        ("cat\n", r"train.txt, line 2: train/1.png has label 1, but of 1 classes the last is 0"),
        ("cat\ndog\nemu\n", "1 of 3 classes have no training image: emu"),
        ("", "has no names"),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(UsageError, match=said):
        opened(tmp_path, lines(tmp_path, "train", [0, 1]), class_names="names.txt")


def test_names_for_json_lists_follow_the_ids(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("Felis\nCanis\nDromaius\n")
    train = coco(tmp_path, "train", PETS, IDS, ("emu", "dog", "cat"))
    test = coco(tmp_path, "test", ("emu",), IDS, ("emu",))
    source = opened(tmp_path, train, test, class_names="names.txt")
    assert source.class_names == ("Felis", "Canis", "Dromaius") and classes(source, "test") == ["Dromaius"]
    (tmp_path / "names.txt").write_text("Felis\nCanis\n")
    with pytest.raises(UsageError, match="`class_names` has 2 names, but .*train.json has 3 classes"):
        opened(tmp_path, train, test, class_names="names.txt")


def in_folders(root: Path, split: str, rows: Sequence[tuple[str, int]]) -> str:
    """Write a list of images that lie in a folder a class."""
    for name, _ in rows:
        (root / split / name).mkdir(parents=True, exist_ok=True)
        (root / split / name / "1.png").touch()
    (root / f"{split}.txt").write_text("".join(f"{split}/{name}/1.png {label}\n" for name, label in rows))
    return f"{split}.txt"


def test_a_list_that_numbers_its_classes_anew_is_refused_by_its_folders(tmp_path: Path) -> None:
    train = in_folders(tmp_path, "train", [("cat", 0), ("dog", 1), ("emu", 2)])
    assert opened(tmp_path, train, in_folders(tmp_path, "test", [("dog", 1), ("emu", 2)])).class_names[1] == "dog"
    with pytest.raises(
        UsageError, match="test/dog/1.png has label 0, but in .*train.txt label 0 is `cat` and `dog` is 1"
    ):
        opened(tmp_path, train, in_folders(tmp_path, "test", [("dog", 0), ("emu", 1)]))


def test_a_reference_list_is_joined_by_the_names_of_classes(tmp_path: Path) -> None:
    def counts(name: str, names: Sequence[str]) -> list[int]:
        fields = {"imbalance_kind": "power", "reference_list": name}
        return reference_counts(DatasetDefinition(name="t", source="folder", folder=str(tmp_path), **fields), names)

    name = coco(tmp_path, "ref", PETS, IDS, ("emu", "dog", "cat"))
    assert counts(name, ("emu", "dog", "cat")) == [1, 2, 1]
    with pytest.raises(UsageError, match="`reference_list` has no class `fox`"):
        counts(name, ("fox", "dog", "cat"))
    name = in_folders(tmp_path, "by_folder", [("cat", 0), ("dog", 1)])
    (tmp_path / name).write_text((tmp_path / name).read_text() + "by_folder/dog/2.png 1\n")
    assert counts(name, ("dog", "cat")) == [2, 1]
    with pytest.raises(UsageError, match="`reference_list` has no class `emu`"):
        counts(name, ("emu", "dog"))
    assert counts(name, ("Felis", "Canis")) == [1, 2]  # other names altogether: by their numbers
    with pytest.raises(UsageError, match=r"3,000,000,000"):
        counts(lines(tmp_path, "far", [0, 1, 3_000_000_000]), ("cat", "dog"))


PARQUET: dict[str, tuple[object, object, str]] = {
    "list": ([[0], [1]], None, r"row 0: column `label` must hold whole numbers or names only, but has \[0\]"),
    "list of a ClassLabel": ([[0], [1]], ["cat", "dog"], r"row 0: .* but has \[0\]"),
    "struct": ([{"a": 1}, {"a": 0}], None, r"row 0: .* but has \{'a': 1\}"),
    "float": ([0.0, 1.0], None, "row 0: .* but has 0.0"),
    "half": ([0.5, 1.0], None, "row 0: .* but has 0.5"),
    "bool": ([True, False], None, "row 0: .* but has True"),
    "null": ([0, None], None, "row 1: .* but has None"),
    "only null": (pa.nulls(2), None, "row 0: .* but has None"),
    "null in a dictionary": (pa.array(["a", None]).dictionary_encode(), None, "row 1: .* but has None"),
    "bytes": ([b"a", b"b"], None, "row 0: .* but has b'a'"),
    "minus 1 alone": ([-1, -1], None, "row 0: `label` is -1: the images have no labels"),
    "minus 1 alone, named": ([-1, -1], ["cat", "dog"], "row 0: `label` is -1: the images have no labels"),
    "minus 1 among others": ([0, -1, 1], None, "row 1: `label` is -1, not a class number"),
    "beyond the names": ([0, 2], ["cat", "dog"], "row 1: `label` is 2, not one of the 2 classes"),
    "unsigned": (
        pa.array([0, 2**64 - 1], pa.uint64()),
        None,
        "row 1: `label` is 18446744073709551615, not a class number",
    ),
    "no name": (["cat", " "], None, "row 1: `label` is ' '; a class needs a name"),
    "one name twice": (["cat", "cat "], None, "two classes are shown as `cat`"),
    "names twice": ([0, 1], ["cat", "cat"], "two classes are shown as `cat`"),
    "names that are none": ([0, 1], [1, 2], "the class names of `label` must be text"),
    "a single class": ([0, 0], None, "images of one class only, `0`"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_what_is_no_label_in_parquet_is_refused_with_row_and_value(tmp_path: Path, name: str) -> None:
    labels, names, said = PARQUET[name]
    with pytest.raises(UsageError, match=said) as caught:
        opened(tmp_path, parquet(tmp_path, "train", labels, names))
    assert "train.parquet" in str(caught.value)


def test_parquet_files_that_do_not_fit_one_another_are_refused_or_said(tmp_path: Path) -> None:
    named = parquet(tmp_path, "train", [0, 1, 2], ["cat", "dog", "emu"])
    source = opened(tmp_path, named, parquet(tmp_path, "test", [2, 1]))
    assert classes(source, "test") == ["emu", "dog"]
    assert "test.parquet: has numbers without names; taken for those of" in source.notes[0]
    with pytest.raises(UsageError, match="test.parquet, row 1 has label 7, which is not one of the 3 classes"):
        opened(tmp_path, named, parquet(tmp_path, "test", [2, 7]))
    with pytest.raises(UsageError, match="test has classes that train has not: fox"):
        opened(tmp_path, named, parquet(tmp_path, "test", ["cat", "fox"]))
    words = parquet(tmp_path, "train", ["cat", "dog"])
    with pytest.raises(UsageError, match="test.parquet: `label` holds numbers without names, but .*train.parquet"):
        opened(tmp_path, words, parquet(tmp_path, "test", [0, 1]))
    parquet(tmp_path, "a-0", [0, 1], ["cat", "dog"])
    parquet(tmp_path, "a-1", [0, 1], ["dog", "emu"])
    with pytest.raises(
        UsageError, match="class 0 is `cat` in .*a-0.parquet, but `dog` in .*a-1.parquet; add the names"
    ):
        opened(tmp_path, "a-*.parquet", parquet(tmp_path, "test", [0, 1]))
    assert classes(opened(tmp_path, "a-*.parquet"), "train") == ["cat", "dog", "dog", "emu"]


def test_damaged_metadata_other_columns_and_columns_of_pixels_are_said(tmp_path: Path) -> None:
    table = pa.table({"image": [b"x"] * 2, "label": [0, 1], "fine_label": [1, 0]})
    pq.write_table(table, tmp_path / "train.parquet")
    note = "labels are read from `label`; it has `fine_label` too: `label_column` chooses"
    assert note in opened(tmp_path, "train.parquet").notes[0]
    assert opened(tmp_path, "train.parquet", label_column="fine_label").pools["train"]().labels.tolist() == [1, 0]
    pq.write_table(table.replace_schema_metadata({b"huggingface": b"{"}), tmp_path / "train.parquet")
    with pytest.raises(UsageError, match="train.parquet: its `huggingface` metadata cannot be read"):
        opened(tmp_path, "train.parquet")
    pq.write_table(pa.table({"image": [[1, 2], [3]], "label": [0, 1]}), tmp_path / "train.parquet")
    with pytest.raises(UsageError, match=r"column `image` must hold image files .* but holds list<"):
        opened(tmp_path, "train.parquet")
