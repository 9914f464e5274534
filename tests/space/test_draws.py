"""Values inside a space: the values of a list, and a range including its ends."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ltray.errors import UsageError
from ltray.methods.find import find_method
from ltray.space.dimension import Dimension
from ltray.space.draws import FixedTrial, OutsideSpace, at_share, share_of
from ltray.space.draws import given as of_settings
from ltray.space.search_space import SearchSpace

WIDTHS = CategoricalDistribution([32, 64, 128])
WHOLE, REAL = IntDistribution(2, 32), FloatDistribution(0.05, 0.5, log=True)


def taken(value: Any, distribution: Any) -> bool:
    try:
        of_settings({"a": value})("a", distribution)
    except OutsideSpace as error:
        assert str(error).startswith(f"a={value!r} is not in ")
        return False
    return True


@given(st.one_of(st.integers(0, 200), st.sampled_from(["64", "", 64.5, None, (64,)])))
def test_unlisted_value_is_outside_the_space(value: Any):
    assert taken(value, WIDTHS) == (value in (32, 64, 128))


@pytest.mark.parametrize(
    ("value", "distribution", "inside"),
    [
        (2, WHOLE, True),
        (32, WHOLE, True),
        (1, WHOLE, False),
        (33, WHOLE, False),
        (2.5, WHOLE, False),
        (True, IntDistribution(0, 1), False),
        ("8", WHOLE, False),
        (0.05, REAL, True),
        (0.5, REAL, True),
        (0.0499, REAL, False),
        (0.501, REAL, False),
        (None, REAL, False),
        ("cosine", CategoricalDistribution(["cosine", "step"]), True),
        ("cos", CategoricalDistribution(["cosine", "step"]), False),
    ],
)
def test_range_includes_its_ends_and_list_its_values(value: Any, distribution: Any, inside: bool):
    assert taken(value, distribution) == inside


def test_setting_without_the_value_is_outside_the_space():
    with pytest.raises(OutsideSpace, match="`b` is not set there"):
        of_settings({"a": 1})("b", WIDTHS)


@given(st.sampled_from([32, 64, 128]))
def test_share_is_converted_back_to_its_value(value: int):
    assert at_share(share_of(value, WIDTHS), WIDTHS) == value
    walk = FixedTrial(of_settings({"a": value}), {"a"})
    assert walk.suggest_categorical("a", [32, 64, 128]) == value


SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.projection_width: {among: [64, 128]}
search: {trials: 4, first_try: TRY}
"""


@pytest.mark.parametrize(
    ("tries", "sentence"),
    [
        ("[{projection_width: 32}]", r"rescom.projection_width=32 is not in 64, 128"),
        ("[{projection_width: 48}]", r"rescom.projection_width=48 is not in 64, 128"),
        ("paper", r"`rescom.projection_width` does not contain the papers' value 32"),
    ],
)
def test_first_try_and_papers_setting_must_be_listed_values(tmp_path: Any, tries: str, sentence: str):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace("TRY", tries))
    with pytest.raises(UsageError, match=sentence):
        SearchSpace.read(path).bind(10)
    path.write_text(SPACE.replace("TRY", "[{projection_width: 64}]"))
    SearchSpace.read(path).bind(10)


def test_dimension_contains_its_values_and_range_ends():
    method = find_method("rescom")
    listed = Dimension.read(method, "projection_width", [32, 64], where="")
    assert [value for value in (16, 32, 48, 64, 128) if listed.contains(value)] == [32, 64]
    ranged = Dimension.read(method, "queue_size", {"from": 2, "to": 8}, where="")
    assert [value for value in range(12) if ranged.contains(value)] == list(range(2, 9))
