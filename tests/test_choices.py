"""The valid names of a setting are the keys of the mapping with their implementations."""

import dataclasses
from collections.abc import Mapping

import pytest

from ltray.data.definition import SOURCES, DatasetDefinition
from ltray.data.imbalance import KINDS, CountRequest
from ltray.knobs import Knobs
from ltray.lr_schedule import SCHEDULES
from ltray.methods.las import SHAPES, LASKnobs
from ltray.predict import FORMATS, new_parser
from ltray.recipe import PRECISIONS, Recipe
from ltray.space.search_settings import Search, Stop
from ltray.strategies.samplers import SAMPLERS
from ltray.strategies.stopping_rules import STOPPING_RULES

IMPLEMENTED: list[tuple[type[Knobs], str, Mapping[str, object]]] = [
    (DatasetDefinition, "source", SOURCES),
    (DatasetDefinition, "imbalance_kind", KINDS),
    (Recipe, "schedule", SCHEDULES),
    (Recipe, "precision", PRECISIONS),
    (Search, "sampler", SAMPLERS),
    (Stop, "rule", STOPPING_RULES),
    (LASKnobs, "shape", SHAPES),
]


@pytest.mark.parametrize(("settings", "name", "mapping"), IMPLEMENTED)
def test_choices_are_the_keys_of_their_implementations(
    settings: type[Knobs], name: str, mapping: Mapping[str, object]
) -> None:
    assert settings.specs()[name].choices == tuple(mapping)


def test_output_formats_of_predict_are_the_keys_of_its_writers() -> None:
    (action,) = [one for one in new_parser().declared() if one.dest == "format"]
    assert action.choices == tuple(FORMATS)


@pytest.mark.parametrize("name", KINDS)
def test_kind_of_class_counts_uses_exactly_the_fields_it_declares(name: str) -> None:
    """The `needs` of the data-set fields are derived from `uses`, so that a field without an effect is refused."""
    wanted = CountRequest([90, 60, 30], factor=3.0, shape=6.0, exponent=0.5, reference=(80, 40, 10))
    other = {"factor": 9.0, "shape": 2.0, "exponent": 1.0, "reference": (70, 50, 10)}
    kind = KINDS[name]
    before = kind.counts(wanted)
    used = {
        field for field, value in other.items() if kind.counts(dataclasses.replace(wanted, **{field: value})) != before
    }
    assert used == set(kind.uses)
    assert kind.counts(dataclasses.replace(wanted, largest=20)) != before
