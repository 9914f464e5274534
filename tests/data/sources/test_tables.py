"""CSV, TSV and JSON lines in the forms that users, spreadsheets and tools write."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.data.definition import DatasetDefinition
from ltray.data.originals import Source
from ltray.data.sources.registry import open_source
from ltray.data.sources.table import Table
from ltray.errors import UsageError

PETS = {"a.png": "cat", "b.png": "dog", "c.png": "cat", "d.png": "dog"}


def opened(root: Path, content: str | bytes, name: str = "labels.csv", **fields: str) -> Source:
    for image in PETS:
        (root / image).touch()
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_source(DatasetDefinition(name="t", source="lists", folder=str(root), train_list=name, **fields))


def pairs(source: Source, pool: str = "train") -> dict[str, str]:
    """Return the class of each image, by file name."""
    originals = source.pools[pool]()
    return {Path(originals.name(index)).name: source.class_names[label] for index, label in enumerate(originals.labels)}


def table(heading: str, delimiter: str = ",", end: str = "\n") -> str:
    return heading + end + "".join(f"{image}{delimiter}{label}{end}" for image, label in PETS.items())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.csv", table("image,label")),
        ("labels.CSV", table("File Name,Class", end="\r\n")),
        ("labels.csv", table("filename;species", ";", "\r")),
        ("labels.csv", "sep=;\r\n" + table("filename;species", ";", "\r\n")),
        ("labels.csv", b"\xef\xbb\xbf" + table("path,category").encode()),
        ("labels.csv", table("path\tcategory", "\t").encode("utf-16")),
        ("labels.tsv", table("img_path\ttarget", "\t")),
        ("labels.csv", "".join(f"{image},{label}\n" for image, label in PETS.items())),
        ("labels.csv", '"image","label"\n' + "".join(f'\n "./{k}", "{v}"\n' for k, v in PETS.items())),
        ("labels.csv", "id,what,width\n" + "".join(f"{k},{v},40\n" for k, v in PETS.items())),
        (
            "labels.csv",
            "image,cat,dog\n" + "".join(f"{k},{int(v == 'cat')}.0,{int(v == 'dog')}\n" for k, v in PETS.items()),
        ),
        ("labels.csv", "class_id,image,class_name\n" + "".join(f"{ord(v[0])},{k},{v}\n" for k, v in PETS.items())),
        ("metadata.jsonl", "".join(json.dumps({"file_name": k, "label": v}) + "\n" for k, v in PETS.items())),
    ],
)  # fmt: skip
def test_tables_of_many_tools_are_read_equally(tmp_path: Path, name: str, content: str | bytes) -> None:
    fields = {"label_column": "what"} if "what" in str(content) else {}
    assert pairs(opened(tmp_path, content, name, **fields)) == PETS


CELLS = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=1).map(str.strip)


@given(
    rows=st.lists(st.tuples(CELLS.filter(bool), CELLS.filter(bool)), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
)
def test_table_reads_what_a_csv_writer_wrote(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    content = io.StringIO(newline="")
    writer = csv.writer(content, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([("image", "label"), *rows])
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes(content.getvalue().encode())
    found = Table.read(file)
    assert found.columns == ("image", "label") and list(found.rows) == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image,label\na.png,cat\nb.png,dog\nc.png,cat,big\n", "line 4: has 3 cells, but the first row has 2"),
        ('image,label\na.png,"cat\nb.png,dog\n', "labels.csv: not a table of comma-separated values: "),
        ("image,label\na.png,cat\nb.png,dog\n./a.png,dog\n", "line 4: ./a.png has label 'dog', but label"),
        ("image,label\na.png,cat\n,dog\n", "labels.csv, line 3: has no path of an image"),
        ("image,label\na.png,\nb.png,\n", "no row has a label"),
        ("image,label\n", "has a heading, but no rows"),
        ("\n \n", "is empty"),
        ("image,label,Label\na.png,cat,1\nb.png,dog,1\n", "labels: `label`, `Label`; set `label_column`"),
        ("image,label,label\na.png,cat,1\nb.png,dog,1\n", "line 1: two columns have the name `label`"),
        ("one,two,class\na.png,b.png,cat\nb.png,a.png,dog\n", "images: `one`, `two`; set `image_column`"),
        ("image,width,height\na.png,3,4\nb.png,5,6\n", "set `label_column` to one of `width`, `height`"),
        ("x/a.png,cat\nx/zz.png,dog\n", "a.png"),
        ("gone.png,cat\nlost.png,dog\n", "labels.csv, line 1: no such file: gone.png, and none of the other"),
        ("https://h.example/a1.png,cat\nhttps://h.example/b1.png,dog\n", "line 1: https://h.example/a1.png is a URL"),
        ("image,label,split\na.png,cat,test\nb.png,dog,val\n", "no row of column `split` is train"),
        ("image,label,split\na.png,cat,train\nb.png,dog,train\na.png,cat,test\n", "line 4: a.png is in test"),
        ("image,label\0\na.png,cat\n", "contains NUL bytes"),
    ],
)  # fmt: skip
def test_unusable_table_is_refused_with_the_line(tmp_path: Path, content: str, message: str) -> None:
    if message == "a.png":  # one name is found below the folder, the other is not
        source = opened(tmp_path, content)
        with pytest.raises(FileNotFoundError, match=r"no such file \(.*labels.csv, line 2\)"):
            source.pools["train"]().read(1)
        return
    with pytest.raises(UsageError) as caught:
        opened(tmp_path, content)
    assert message in str(caught.value)


def test_explicit_columns_are_used_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    rows = (f"{k},{k},{v},{'test' if k > 'c' else 'train'}\n" for k, v in PETS.items())
    content = "one,two,kind,set\n" + "".join(rows)
    source = opened(tmp_path, content, image_column="two", label_column="kind")
    assert pairs(source) == {"a.png": "cat", "b.png": "dog"} and pairs(source, "test") == {
        "c.png": "cat",
        "d.png": "dog",
    }
    with pytest.raises(UsageError, match=r"has no column `knd` \(`label_column`\).*Did you mean `kind`"):
        opened(tmp_path, content, image_column="two", label_column="knd")
    with pytest.raises(UsageError, match="`label_column` has no effect"):
        opened(tmp_path, "a.png 0\nb.png 1\n", "labels.txt", label_column="kind")


def test_rows_without_a_label_and_rows_listed_twice_are_reported(tmp_path: Path) -> None:
    source = opened(tmp_path, table("image,label") + "a.png,cat\ne.png,\nf.png,  \n")
    assert pairs(source) == PETS
    assert any("2 rows without a label left out: line 7, 8" in note for note in source.notes)
    assert any("counted once: 1 more" in note for note in source.notes)


def test_images_are_found_by_name_in_other_case_and_without_suffix(tmp_path: Path) -> None:
    (tmp_path / "nested").mkdir()
    (tmp_path / "nested" / "X1.JPG").touch()
    (tmp_path / "nested" / "x2.Jpeg").touch()
    source = opened(tmp_path, "image_id,label\nx1,cat\nx2,dog\n")
    assert pairs(source) == {"X1.JPG": "cat", "x2.Jpeg": "dog"}
    assert any("2 images found by name" in note for note in source.notes)
    source = opened(tmp_path, "image,label\nother/x1.jpg,cat\na.png,dog\n")
    assert pairs(source) == {"X1.JPG": "cat", "a.png": "dog"}
    (tmp_path / "x1.png").touch()
    with pytest.raises(UsageError, match=r"labels.csv, line 2: x1 may be .*X1.JPG or .*x1.png"):
        opened(tmp_path, "image_id,label\nx1,cat\nx2,dog\n")


def test_numbered_classes_are_in_numeric_order(tmp_path: Path) -> None:
    source = opened(tmp_path, "image,label\na.png,10\nb.png,2\nc.png,2\n")
    assert source.class_names == ("2", "10")


def test_key_of_earlier_definitions_does_not_change() -> None:
    fields = {"name": "t", "source": "parquet", "folder": "/nowhere", "train_list": "a.parquet", "label_column": "y"}
    plain = DatasetDefinition(**fields)
    assert plain.originals == ("parquet", "a.parquet", "", "", "", "", "y")
    lists = {**fields, "source": "lists"}
    assert DatasetDefinition(**lists, split_column="s").key != DatasetDefinition(**lists).key
