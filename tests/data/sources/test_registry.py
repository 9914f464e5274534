"""Sources by name and by dotted path."""

from pathlib import Path

import pytest

from ltray.convert import main as convert
from ltray.data.beton.presence import open_if_present
from ltray.data.dataset import open_data
from ltray.data.definition import SOURCES, DatasetDefinition
from ltray.data.sources.registry import open_source
from ltray.errors import UsageError
from ltray.imported import imported
from ltray.testing.contract import CPU
from tests.other_package import other_package

__all__ = ["other_package"]


def squares(name: str = "open_squares", **fields: object) -> DatasetDefinition:
    return DatasetDefinition(name="squares", source=f"otherpackage.squares:{name}", image_size=8, **fields)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_name_has_an_implementation(name: str) -> None:
    opener = imported(SOURCES[name], callable, "a function")
    assert opener.__module__.startswith("ltray.data.sources.") and opener.__name__.startswith("open_")


def test_source_of_another_package_trains(other_package: str) -> None:
    data = open_data(squares(validation_per_class=1), device=CPU, source="memory")
    assert (data.class_names, data.tail.counts) == (("dark", "grey", "light"), (11, 5, 2))
    assert open_source(squares()).origin == "squares of noise"


def test_source_of_another_package_is_converted(
    other_package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    file = tmp_path / "squares.yaml"
    file.write_text("name: squares\nsource: otherpackage.squares:open_squares\nimage_size: 8\nprotocol: paper\n")
    assert convert([str(file)]) == 0
    assert "12" in capsys.readouterr().out
    data = open_data(DatasetDefinition.read(file), device=CPU)
    assert data.tail.counts == (12, 6, 3)


def test_key_of_a_dotted_source_does_not_depend_on_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = squares().key, squares().identity()
    monkeypatch.chdir(tmp_path)
    assert (squares().key, squares().identity()) == before
    keys = {squares().key, squares("open_nothing").key, squares(folder="a").key, squares(train_list="b").key}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("open_nothing", r"squares: `source` 'otherpackage\.squares:open_nothing' must return .*Source, but .* None"),
        ("open_square", r"has no `open_square`\. Did you mean `open_squares`\?"),
    ],
)
def test_invalid_source_object_is_refused(other_package: str, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(squares(name))


def test_source_may_be_absent_on_this_machine(other_package: str) -> None:
    assert open_if_present(squares("open_elsewhere")) is None
    with pytest.raises(FileNotFoundError, match="no squares here"):
        open_source(squares("open_elsewhere"))


@pytest.mark.parametrize(("source", "hint"), [("foldr", "Did you mean `folder`"), ("a.b.c", "by its dotted path")])
def test_unknown_source_is_refused_with_a_suggestion(source: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"`source` must be one of .*{hint}"):
        DatasetDefinition(name="squares", source=source)


def test_columns_have_no_effect_with_a_dotted_source() -> None:
    with pytest.raises(UsageError, match="`image_column` has no effect with source=otherpackage"):
        squares(image_column="img")
