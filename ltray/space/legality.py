"""The check that every draw of an alternative is valid with its bounds, fixed settings, data and methods."""

from collections.abc import Iterator, Sequence
from typing import Any

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.space.dimension import Dimension
from ltray.space.method_choice import Alternative
from ltray.start_check import check_start


def check_ranges(alternative: Alternative, classes: int, *, with_paper: bool) -> None:
    """Check the ranges against each other, the fixed settings and the number of classes.

    Args:
        alternative: The alternative; its values follow the data.
        classes: Number of classes, K.
        with_paper: Whether the papers' setting is a trial.

    Raises:
        UsageError: A range has no valid value with the other knobs, contradicts a fixed setting,
            or does not contain the papers' value.
    """
    alternative.base.check_classes(classes)
    lows = _lows(alternative)
    for dimension in alternative.dimensions:
        bound = alternative.upper_bound(dimension, lows, classes)
        if bound is not None and dimension.lowest > bound:
            raise UsageError(
                f"{dimension.where}`{dimension.key}` starts at {dimension.lowest}, but other knobs of the space "
                f"allow at most {bound:g}. Lower `from`, or raise the range of the other knob."
            )
        _check_effect(alternative, dimension)
        paper = alternative.paper_value(dimension)
        if with_paper and not dimension.contains(paper):
            raise UsageError(
                f"{dimension.where}`{dimension.key}` does not contain the papers' value {paper!r}, which is the first "
                "trial. Widen the range, or set search.first_try=none."
            )
    _check_fixed(alternative, classes)


def check_builds(alternative: Alternative, tail: LongTail, class_names: Sequence[str]) -> None:
    """Check that the methods can be built and started with every explored choice.

    Only the code of a method determines which settings work with a network or with each other. This check tries
    every value that is not a number, the values that switch a number on or off, and all off values together.

    Args:
        alternative: The alternative; its values follow the data.
        tail: Class counts of the training set.
        class_names: Names of its classes, in label order.

    Raises:
        UsageError: A method cannot be built or started; the message has the file and line of the knob.
    """
    off = {d.key: 0.0 if 0.0 in d.ends else False for d in alternative.dimensions if 0 in d.ends}
    for dimension in alternative.dimensions:
        for value in _switches(alternative, dimension):
            _build(alternative, {dimension.key: value}, tail, class_names, dimension.where)
    if len(off) > 1:
        where = next(d.where for d in alternative.dimensions if d.key in off)
        _build(alternative, off, tail, class_names, where)


def _switches(alternative: Alternative, dimension: Dimension) -> Iterator[Any]:
    usual = alternative.paper_value(dimension)
    for value in dimension.ends:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value != usual and (not number or value == 0 or usual == 0):
            yield value


def _build(
    alternative: Alternative, drawn: dict[str, Any], tail: LongTail, class_names: Sequence[str], where: str
) -> None:
    try:
        check_start(Experiment.from_settings(alternative.with_drawn(drawn)), tail, class_names)
    except UsageError as error:
        text = ", ".join(f"{key}={value}" for key, value in drawn.items())
        raise UsageError(f"{where}{text} cannot be tried: {error}") from error


def _lows(alternative: Alternative) -> dict[str, Any]:
    return {dimension.key: dimension.lowest for dimension in alternative.dimensions}


def _check_effect(alternative: Alternative, dimension: Dimension) -> None:
    unmet = alternative.unmet_need(dimension.method, dimension.name, {})
    if unmet is None:
        return
    other, wanted = unmet
    explored = {d.key: d for d in alternative.dimensions}.get(f"{dimension.method}.{other}")
    if explored is None or not explored.ever(wanted):
        raise UsageError(
            f"{dimension.where}`{dimension.key}` has no effect with "
            f"{other}={getattr(alternative.knobs(dimension.method), other)}. Remove it, or explore or fix `{other}`."
        )


def _check_fixed(alternative: Alternative, classes: int) -> None:
    """Raise an error for a range whose values would set a bound below the value of a fixed knob."""
    for method, knobs in zip(alternative.base.methods, alternative.base.knobs, strict=True):
        own = [d for d in alternative.dimensions if d.method == method.name]
        for name, spec in method.knobs.specs().items():
            value = alternative.fixed.get(f"{method.name}.{name}")
            if value is None or spec.at_most is None:
                continue
            for dimension in own:
                bound = knobs.bound_among(name, knobs.as_dict() | {dimension.name: dimension.lowest}, classes)
                if bound is not None and value > bound:
                    raise UsageError(
                        f"{dimension.where}`{dimension.key}` starts at {dimension.lowest}, where at most {bound:g} is "
                        f"legal for `{name}`, which is fixed at {value}. Raise `from`, lower `{name}`, or remove "
                        f"`{name}`: its value then follows `{dimension.name}`."
                    )
