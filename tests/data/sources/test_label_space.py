"""A class is identified by name or id in all files of a data set; contradictions and invalid labels are refused."""

import json
import tempfile
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.data.definition import DatasetDefinition
from ltray.data.sources.lists import reference_counts
from ltray.errors import UsageError
from tests.data.sources.label_files import IDS, PETS, Images, classes, coco, lines, opened, parquet, text

ANIMALS = ("ant", "bee", "cat", "dog", "emu")
animals = st.lists(st.sampled_from(ANIMALS), min_size=1, max_size=12)


@given(train=st.permutations(ANIMALS * 2), test=animals, order=st.randoms(use_true_random=False), all_in=st.booleans())
def test_json_list_with_fewer_categories_keeps_the_labels(
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
def test_parquet_pool_with_other_names_in_its_metadata_keeps_the_labels(
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


@pytest.mark.parametrize(
    ("ids", "listed", "message"),
    [
        ({"dog": 0, "emu": 1}, ("dog", "emu"), "category 0 is `cat` in .*train.json, but `dog` in .*test.json"),
        (
            {"dog": 7, "emu": 90_210},
            ("dog", "emu"),
            "category `dog` has the id 1 in .*train.json, but 7 in .*test.json",
        ),
        ({"dog": 1, "emu": 5}, ("dog", "emu"), "category `emu` has the id 90210 in .*train.json, but 5 in"),
        ({"dog": 1, "emu": 2, "fox": 3}, ("fox",), "test has classes that train does not have: fox"),
    ],
)
def test_contradicting_json_lists_are_refused(
    tmp_path: Path, ids: Mapping[str, int], listed: Images, message: str
) -> None:
    train = coco(tmp_path, "train", PETS, IDS, ("cat", "dog", "emu"))
    with pytest.raises(UsageError, match=message):
        opened(tmp_path, train, coco(tmp_path, "test", listed, ids, listed))


def test_category_ids_may_be_sparse_or_text_and_unused_ones_are_reported(tmp_path: Path) -> None:
    train = coco(tmp_path, "train", PETS, IDS | {"gnu": 5}, ("gnu", "emu", "cat", "dog"))
    source = opened(tmp_path, train)
    assert source.class_names == ("cat", "dog", "emu") and classes(source, "train") == list(PETS)
    assert source.notes == (f"{tmp_path}/train.json: classes without images left out: gnu",)
    text_ids = {name: f"id-{name}" for name in IDS}
    source = opened(tmp_path, train, coco(tmp_path, "test", ("emu", "dog"), text_ids, ("dog", "emu")))
    assert classes(source, "test") == ["emu", "dog"]


NO_IDS = (0.5, 1.0, True, None, [1], {"a": 1}, -1, -5, "", 10**30)


@pytest.mark.parametrize("wrong", NO_IDS, ids=repr)
def test_invalid_category_id_is_refused_with_its_position(tmp_path: Path, wrong: object) -> None:
    content = json.loads((tmp_path / coco(tmp_path, "train", PETS, IDS, tuple(IDS))).read_text())
    content["annotations"][2]["category_id"] = wrong
    (tmp_path / "train.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"train.json, annotation 2: the category id must be a whole number") as caught:
        opened(tmp_path, "train.json")
    assert repr(wrong) in str(caught.value)


JSON: dict[str, tuple[Mapping[str, object], str]] = {
    "no annotations": ({"annotations": None}, "has no `annotations`: its images have no labels"),
    "annotations of another form": ({"annotations": {"a": 1}}, "`annotations` must be a list"),
    "an unknown image": ({"annotations": [{"image_id": 9, "category_id": 0}]}, "no image has the id 9"),
    "an unknown category": (
        {"annotations": [{"image_id": 1, "category_id": 8}]},
        "annotation 0: category 8 is not one of `categories`",
    ),
    "a category of two names": (
        {"categories": [{"id": 0, "name": "cat"}, {"id": 0, "name": "dog"}]},
        "category 0 has two names, cat and dog",
    ),
    "two categories of one name": (
        {"categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": " cat"}]},
        "two class names look the same, `cat`",
    ),
    "a category without a name": ({"categories": [{"id": 0}]}, "KeyError 'name'"),
    "a category called null": ({"categories": [{"id": 0, "name": None}]}, "category 0 must have a name"),
    "an image of two classes": (
        {"annotations": [{"image_id": 1, "category_id": 0}, {"image_id": 1, "category_id": 1}]},
        r"train/a.png has two classes, cat \(annotation 0\) and dog \(annotation 1\)",
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
def test_inconsistent_json_list_is_refused(tmp_path: Path, name: str) -> None:
    change, message = JSON[name]
    content: dict[str, object] = {
        "images": [{"id": 1, "file_name": "train/a.png"}, {"id": 2, "file_name": "train/b.png"}],
        "annotations": [{"image_id": 1, "category_id": 0}, {"image_id": 2, "category_id": 1}],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
    } | dict(change)
    text(tmp_path, "train.json", json.dumps({key: one for key, one in content.items() if one is not None}), "train", 0)
    with pytest.raises(UsageError, match=message) as caught:
        opened(tmp_path, "train.json")
    assert "train.json" in str(caught.value)


def test_repeated_and_missing_annotations_are_reported(tmp_path: Path) -> None:
    content = json.loads((tmp_path / coco(tmp_path, "train", PETS, IDS, tuple(IDS))).read_text())
    content["annotations"] += content["annotations"][:2]
    content["images"].append({"id": "more", "file_name": "train/more.png"})
    (tmp_path / "train.json").write_text(json.dumps(content))
    source = opened(tmp_path, "train.json")
    assert classes(source, "train") == list(PETS)
    assert "1 image without an annotation left out" in source.notes[0]
    assert "images with several annotations of one class counted once: 2 more" in source.notes[1]


@pytest.mark.parametrize("source", ["lines", "parquet"])
@pytest.mark.parametrize("label", [3, 3_000_000_000, 10**17])
def test_huge_label_is_refused_immediately_with_little_memory(tmp_path: Path, source: str, label: int) -> None:
    train = lines(tmp_path, "train", [0, 1, label]) if source == "lines" else parquet(tmp_path, "train", [0, 1, label])
    tracemalloc.start()
    with pytest.raises(UsageError, match=rf"(line 3|row 2).* has label {label:,}, but 3 training images"):
        opened(tmp_path, train)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("source", ["lines", "parquet"])
def test_label_gap_and_class_only_in_the_test_set_are_refused(tmp_path: Path, source: str) -> None:
    write = lines if source == "lines" else parquet
    with pytest.raises(UsageError, match=r"1 of 3 classes have no training image: 1; labels start at 0"):
        opened(tmp_path, write(tmp_path, "train", [0, 2, 2]))
    with pytest.raises(UsageError, match=r"train\..*: test has classes that train does not have: 2"):
        opened(tmp_path, write(tmp_path, "train", [0, 1, 1]), write(tmp_path, "test", [0, 2]))
    source_ = opened(tmp_path, write(tmp_path, "train", [0, 1, 2]), write(tmp_path, "test", [2, 2]))
    assert classes(source_, "test") == ["2", "2"]
    assert source_.notes == ("test: no image of 2 of 3 classes: 0, 1",)


def test_class_names_of_json_lists_are_in_the_order_of_the_ids(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("Felis\nCanis\nDromaius\n")
    train = coco(tmp_path, "train", PETS, IDS, ("emu", "dog", "cat"))
    test = coco(tmp_path, "test", ("emu",), IDS, ("emu",))
    source = opened(tmp_path, train, test, class_names="names.txt")
    assert source.class_names == ("Felis", "Canis", "Dromaius") and classes(source, "test") == ["Dromaius"]
    (tmp_path / "names.txt").write_text("Felis\nCanis\n")
    with pytest.raises(UsageError, match="`class_names` has 2 names, but .*train.json has 3 classes"):
        opened(tmp_path, train, test, class_names="names.txt")


def in_folders(root: Path, split: str, rows: Sequence[tuple[str, int]]) -> str:
    """Write a list of images with one folder per class."""
    for name, _ in rows:
        (root / split / name).mkdir(parents=True, exist_ok=True)
        (root / split / name / "1.png").touch()
    (root / f"{split}.txt").write_text("".join(f"{split}/{name}/1.png {label}\n" for name, label in rows))
    return f"{split}.txt"


def test_list_with_other_class_numbers_is_refused_by_its_folders(tmp_path: Path) -> None:
    train = in_folders(tmp_path, "train", [("cat", 0), ("dog", 1), ("emu", 2)])
    assert opened(tmp_path, train, in_folders(tmp_path, "test", [("dog", 1), ("emu", 2)])).class_names[1] == "dog"
    with pytest.raises(
        UsageError, match="test/dog/1.png has label 0, but in .*train.txt label 0 is `cat` and `dog` is 1"
    ):
        opened(tmp_path, train, in_folders(tmp_path, "test", [("dog", 0), ("emu", 1)]))


def test_reference_list_is_matched_by_class_names(tmp_path: Path) -> None:
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
    assert counts(name, ("Felis", "Canis")) == [1, 2]  # entirely different names: matched by numbers
    with pytest.raises(UsageError, match=r"3,000,000,000"):
        counts(lines(tmp_path, "far", [0, 1, 3_000_000_000]), ("cat", "dog"))
