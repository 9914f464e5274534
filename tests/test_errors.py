"""A name that is not a key of its mapping is refused, whatever it is; every key is found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError, chosen

KNOWN = {"sgd": 1, "adam": 2}


def test_every_key_is_found() -> None:
    assert [chosen(name, KNOWN, "an optimizer") for name in KNOWN] == [1, 2]


@given(st.one_of(st.text(), st.none(), st.integers(), st.booleans(), st.lists(st.text()), st.floats()))
def test_anything_else_is_refused_with_the_value_and_what_is_known(name: object) -> None:
    if isinstance(name, str) and name in KNOWN:
        return
    with pytest.raises(UsageError) as caught:
        chosen(name, KNOWN, "an optimizer")
    assert "is not an optimizer." in str(caught.value)
    assert "Did you mean `" in str(caught.value) or "Known: `adam`, `sgd`." in str(caught.value)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(UsageError, match="^'Adam' is not an optimizer. Did you mean `adam`\\?$"):
        chosen("Adam", KNOWN, "an optimizer")
