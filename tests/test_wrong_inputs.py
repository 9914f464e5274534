"""Wrong inputs of all commands end with exit code 2 and a message with file and value; see docs/wrong-inputs.md."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wrong_inputs.case import Case, SpecialFile
from tests.wrong_inputs.drawing import draw
from tests.wrong_inputs.running import ACCEPTED, FAILED, HANG, REFUSED, TRACEBACK, VAGUE, no_cluster, run
from tests.wrong_inputs.valid_inputs import write_valid_inputs

FEW, MANY = 240, 1500


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The valid inputs; each case changes a part of them."""
    folder = tmp_path_factory.mktemp("inputs")
    with no_cluster(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTRAY_DATA", str(folder / "data"))
        patch.setenv("TMPDIR", str(folder))
        write_valid_inputs(folder / "valid")
        yield folder / "valid"


def wrongly_ended(cases: list[Case], inputs: Path) -> list[str]:
    """Return the cases that did not end as expected, as text."""
    results = [run(case, inputs) for case in cases]
    return [f"{one.outcome}: {one.case}: {one.printed[-500:]}" for one in results if one.outcome != REFUSED]


@pytest.mark.ffcv
def test_few_hundred_wrong_inputs_are_refused(inputs: Path) -> None:
    cases = draw(FEW)
    assert len(set(cases)) == len(cases) > 0.9 * FEW
    assert wrongly_ended(cases, inputs) == []


@pytest.mark.slow
@pytest.mark.ffcv
@pytest.mark.timeout(3000)
def test_every_generated_wrong_input_is_refused(inputs: Path) -> None:
    cases = draw(MANY, number=1)
    assert len(cases) >= 1000 and len({case.command for case in cases}) == 8
    assert wrongly_ended(cases, inputs) == []


def test_same_seed_gives_the_same_cases() -> None:
    assert draw(60, number=3) == draw(60, number=3) != draw(60, number=4)


@pytest.mark.parametrize(
    ("main", "contains", "outcome"),
    [
        (lambda arguments: 0, (), ACCEPTED),
        (lambda arguments: 1, (), FAILED),
        (lambda arguments: 1 // 0, (), TRACEBACK),
        (lambda arguments: open("nowhere").read(), ("nowhere",), REFUSED),
        (lambda arguments: open("nowhere").read(), ("elsewhere",), VAGUE),
        (lambda arguments: os.open("pipe", os.O_RDONLY), (), HANG),
    ],
)
def test_outcomes_are_distinguished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, main: object, contains: tuple[str, ...], outcome: str
) -> None:
    monkeypatch.setattr("tests.wrong_inputs.running.SECONDS", 0.3)
    monkeypatch.setitem(run.__globals__["MAINS"], "methods", main)
    case = Case("", "methods", (), contains, (("pipe", SpecialFile("fifo")),))
    assert run(case, tmp_path).outcome == outcome
