"""Labels in Parquet files: numbers, names, Hugging Face's ClassLabel, and invalid ones."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ltray.errors import UsageError
from tests.data.sources.label_files import classes, opened, parquet

PARQUET: dict[str, tuple[object, object, str]] = {
    "list": ([[0], [1]], None, r"row 0: column `label` must contain only whole numbers or only names, but has \[0\]"),
    "list of a ClassLabel": ([[0], [1]], ["cat", "dog"], r"row 0: .* but has \[0\]"),
    "struct": ([{"a": 1}, {"a": 0}], None, r"row 0: .* but has \{'a': 1\}"),
    "float": ([0.0, 1.0], None, "row 0: .* but has 0.0"),
    "half": ([0.5, 1.0], None, "row 0: .* but has 0.5"),
    "bool": ([True, False], None, "row 0: .* but has True"),
    "null": ([0, None], None, "row 1: .* but has None"),
    "only null": (pa.nulls(2), None, "row 0: .* but has None"),
    "null in a dictionary": (pa.array(["a", None]).dictionary_encode(), None, "row 1: .* but has None"),
    "bytes": ([b"a", b"b"], None, "row 0: .* but has b'a'"),
    "only minus 1": ([-1, -1], None, "row 0: `label` is -1: the images have no labels"),
    "only minus 1, named": ([-1, -1], ["cat", "dog"], "row 0: `label` is -1: the images have no labels"),
    "minus 1 among others": ([0, -1, 1], None, "row 1: `label` is -1, not a class number"),
    "beyond the names": ([0, 2], ["cat", "dog"], "row 1: `label` is 2, not one of the 2 classes"),
    "unsigned": (
        pa.array([0, 2**64 - 1], pa.uint64()),
        None,
        "row 1: `label` is 18446744073709551615, not a class number",
    ),
    "no name": (["cat", " "], None, "row 1: `label` is ' '; a class needs a name"),
    "one name twice": (["cat", "cat "], None, "two class names look the same, `cat`"),
    "names twice": ([0, 1], ["cat", "cat"], "two class names look the same, `cat`"),
    "names that are none": ([0, 1], [1, 2], "the class names of `label` must be text"),
    "a single class": ([0, 0], None, "images of only one class, `0`"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_invalid_label_in_parquet_is_refused_with_row_and_value(tmp_path: Path, name: str) -> None:
    labels, names, message = PARQUET[name]
    with pytest.raises(UsageError, match=message) as caught:
        opened(tmp_path, parquet(tmp_path, "train", labels, names))
    assert "train.parquet" in str(caught.value)


def test_inconsistent_parquet_files_are_refused_or_reported(tmp_path: Path) -> None:
    named = parquet(tmp_path, "train", [0, 1, 2], ["cat", "dog", "emu"])
    source = opened(tmp_path, named, parquet(tmp_path, "test", [2, 1]))
    assert classes(source, "test") == ["emu", "dog"]
    assert "test.parquet: has numbers without names; the names of" in source.notes[0]
    with pytest.raises(UsageError, match="test.parquet, row 1 has label 7, which is not one of the 3 classes"):
        opened(tmp_path, named, parquet(tmp_path, "test", [2, 7]))
    with pytest.raises(UsageError, match="test has classes that train does not have: fox"):
        opened(tmp_path, named, parquet(tmp_path, "test", ["cat", "fox"]))
    named = parquet(tmp_path, "train", ["cat", "dog"])
    with pytest.raises(UsageError, match="test.parquet: `label` has numbers without names, but .*train.parquet"):
        opened(tmp_path, named, parquet(tmp_path, "test", [0, 1]))
    parquet(tmp_path, "a-0", [0, 1], ["cat", "dog"])
    parquet(tmp_path, "a-1", [0, 1], ["dog", "emu"])
    with pytest.raises(
        UsageError, match="class 0 is `cat` in .*a-0.parquet, but `dog` in .*a-1.parquet; add the names"
    ):
        opened(tmp_path, "a-*.parquet", parquet(tmp_path, "test", [0, 1]))
    assert classes(opened(tmp_path, "a-*.parquet"), "train") == ["cat", "dog", "dog", "emu"]


def test_damaged_metadata_and_unusual_columns_are_reported(tmp_path: Path) -> None:
    table = pa.table({"image": [b"x"] * 2, "label": [0, 1], "fine_label": [1, 0]})
    pq.write_table(table, tmp_path / "train.parquet")
    note = "labels are read from `label`; it also has `fine_label`; set `label_column` to use another column"
    assert note in opened(tmp_path, "train.parquet").notes[0]
    assert opened(tmp_path, "train.parquet", label_column="fine_label").pools["train"]().labels.tolist() == [1, 0]
    pq.write_table(table.replace_schema_metadata({b"huggingface": b"{"}), tmp_path / "train.parquet")
    with pytest.raises(UsageError, match="train.parquet: its `huggingface` metadata cannot be read"):
        opened(tmp_path, "train.parquet")
    pq.write_table(pa.table({"image": [[1, 2], [3]], "label": [0, 1]}), tmp_path / "train.parquet")
    with pytest.raises(UsageError, match=r"column `image` must contain image files .* but contains list<"):
        opened(tmp_path, "train.parquet")
