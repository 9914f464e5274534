"""The settings of a run of any version, in the form of this version."""

import sys
from collections.abc import Mapping
from typing import Any

from ltray.data.definition import DatasetDefinition
from ltray.imported import COLON, is_dotted_path
from ltray.knobs import Knobs
from ltray.methods import METHODS
from ltray.methods.find import find_method
from ltray.recipe import Recipe
from ltray.run_settings import RunSettings
from ltray.settings import method_names, plain, present_settings


def recorded_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a run has recorded, under their present names and completed.

    A setting that did not exist when the run began gets the value that means the behaviour of that time:
    `Knob.before`. Nothing is imported: for a method of another package that has not been imported, only the knobs of
    every method are completed.

    Args:
        settings: Complete flat settings of the version that recorded them; without `methods`, they are not complete
            and are not changed.

    Raises:
        UsageError: See `present_settings`.
    """
    found = present_settings(settings)
    references = found.get("methods")
    if not isinstance(references, list) or not all(isinstance(reference, str) for reference in references):
        return found
    owners: dict[str, type[Knobs]] = {"": RunSettings}
    if "dataset.name" in found:
        owners["dataset"] = DatasetDefinition
    owners |= {name: _knobs(reference) for name, reference in zip(method_names(found), references, strict=True)}
    return {**_before(owners), **found}


def _knobs(reference: str) -> type[Recipe]:
    """Return the knobs of a method that are known without an import."""
    known = reference in METHODS or (is_dotted_path(reference) and reference.partition(COLON)[0] in sys.modules)
    return find_method(reference).knobs if known else Recipe


def _before(owners: Mapping[str, type[Knobs]]) -> dict[str, Any]:
    """Return the value that an absent setting means, by full name, for each setting that has one."""
    return {
        f"{owner}.{name}" if owner else name: plain(spec.before)
        for owner, knobs in owners.items()
        for name, spec in knobs.specs().items()
        if spec.before is not None
    }
