"""Names of published rows: unique, typeable, stable, with a suggestion for a wrong one."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.published import published
from ltray.published.row_names import find_row, named, named_rows

LISTED = Path(__file__).with_name("row_names.txt")


def test_every_published_row_has_a_name_that_can_be_typed() -> None:
    assert list(named_rows().values()) == list(published())
    for name in named_rows():
        assert re.fullmatch(r"[A-Za-z0-9.-]+(/[a-z0-9.-]+){2,5}", name), name
        assert len(name) < 100
    assert len({name.replace("/", "-") for name in named_rows()}) == len(published())  # also as names of folders


def test_names_of_earlier_versions_stay_those_of_the_same_rows() -> None:
    listed = [line.rpartition(" ") for line in LISTED.read_text(encoding="utf-8").splitlines()]
    assert len(listed) == 420
    for name, _, figure in listed:
        assert str(find_row(name).all) == figure, name


def test_names_of_the_rows_that_can_be_judged_on_cifar() -> None:
    figures = {
        "bcl-table3/focal-loss/cifar100-lt/100": 38.41,
        "bcl-table3/ldam-drw/cifar100-lt/100": 42.04,
        "bcl-table4/tau-norm/cifar100-lt/100": 41.4,
        "bcl-table3/bcl/cifar100-lt/100": 51.93,
        "bcl-table4/bcl/cifar100-lt/100/400-epochs": 53.9,
    }
    assert {name: find_row(name).all for name in figures} == figures


@given(st.lists(st.sampled_from(published()), unique_by=id, max_size=60))
def test_names_of_any_rows_are_unique(claims: list) -> None:
    assert len(named(claims)) == len(claims)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bcl-table3/ldam-dwr/cifar100-lt/100", "Did you mean `bcl-table3/ldam-drw/cifar100-lt/100`?"),
        ("BCL-table3/bcl/cifar100-lt/100", "Did you mean `bcl-table3/bcl/cifar100-lt/100`?"),
        ("x", "List the names with --list."),
        ("", "List the names with --list."),
        ("\udcff" * 3, "List the names with --list."),
    ],
)
def test_unknown_name_is_refused_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_row(name)
    assert str(raised.value) == f"{name!r} is not the name of a published row. {hint}"
