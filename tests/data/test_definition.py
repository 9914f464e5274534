"""Data-set files: reading, checks, overrides."""

from pathlib import Path

import pytest

from ltray.data.definition import SHIPPED, DatasetDefinition
from ltray.errors import UsageError


def write(folder: Path, text: str) -> Path:
    file = folder / "mine.yaml"
    file.write_text(text)
    return file


def test_shipped_files_are_valid_and_begin_with_their_convert_command() -> None:
    files = sorted(SHIPPED.glob("*.yaml"))
    assert {"cifar10-lt", "cifar100-lt", "digits-lt"} <= {file.stem for file in files}
    for file in files:
        assert file.read_text().splitlines()[0] == f"# python -m ltray.convert datasets/{file.name}"
        assert DatasetDefinition.read(file).name == file.stem


def test_name_and_path_give_the_same_definition() -> None:
    assert DatasetDefinition.read("digits-lt") == DatasetDefinition.read(SHIPPED / "digits-lt.yaml")


def test_imbalance_ratio_below_one_is_inverted() -> None:
    by_ratio = DatasetDefinition.read("cifar100-lt", {"imbalance_factor": 0.01})
    assert by_ratio == DatasetDefinition.read("cifar100-lt", {"imbalance_factor": 100})
    assert by_ratio.imbalance() == "imbalance factor 100 (ratio 0.01), exp"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nsource: digits\nimbalence_factor: 3\n", r"mine.yaml:3: .*Did you mean `imbalance_factor`"),
        ("name: a\nsource: digit\n", r"mine.yaml:2: .*Did you mean `digits`"),
        ("name: a\nsource: digits\nimage_size: large\n", r"mine.yaml:3: `image_size` must be a whole number"),
        ("name: a\nsource: digits\nmean: [0.5, 0.5]\n", r"`mean` needs three numbers"),
        ("name: a\nsource: digits\nstd: [0.5, x, 0.5]\n", r"mine.yaml:3: `std` must be a list of numbers"),
        ("name: a\nsource: digits\nimbalance_factor: 10\n", "no effect with imbalance_kind=natural"),
        (
            "name: a\nsource: digits\nprofile: cifar100-lt\n",
            r"mine.yaml:3: `profile` must be one of .*Did you mean `cifar100_lt`",
        ),
        ("name: a\n", "`source` is missing"),
        ("source: digits\n", "`name` is missing"),
    ],
)
def test_mistake_is_reported_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DatasetDefinition.read(write(tmp_path, text))


def test_unknown_data_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="Did you mean `cifar100-lt`"):
        DatasetDefinition.read("cifar100_lt")


def test_unknown_override_is_refused_with_the_nearest_field() -> None:
    with pytest.raises(UsageError, match="Did you mean `data_seed`"):
        DatasetDefinition.read("digits-lt", {"dataseed": 1})
