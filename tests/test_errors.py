"""`chosen`: every key of a mapping is found, and any other value is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError, chosen

KNOWN = {"sgd": 1, "adam": 2}


def test_chosen_finds_every_key() -> None:
    assert [chosen(name, KNOWN, "an optimizer") for name in KNOWN] == [1, 2]


@given(st.one_of(st.text(), st.none(), st.integers(), st.booleans(), st.lists(st.text()), st.floats()))
def test_chosen_refuses_other_values_and_lists_the_known_names(name: object) -> None:
    if isinstance(name, str) and name in KNOWN:
        return
    with pytest.raises(UsageError) as caught:
        chosen(name, KNOWN, "an optimizer")
    assert "is not an optimizer." in str(caught.value)
    assert "Did you mean `" in str(caught.value) or "Known: `adam`, `sgd`." in str(caught.value)


def test_chosen_suggests_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="^'Adam' is not an optimizer. Did you mean `adam`\\?$"):
        chosen("Adam", KNOWN, "an optimizer")
