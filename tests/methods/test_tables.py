"""The tables of methods and knobs equal the declarations."""

from ltray.methods import METHODS
from ltray.methods.tables import KNOB_HEADINGS, knob_rows, markdown, method_rows
from tests.paths import ROOT

DOCUMENT = ROOT / "docs" / "methods.md"


def test_the_document_is_up_to_date():
    assert DOCUMENT.read_text(encoding="utf-8") == markdown(), (
        "run `python -m ltray.methods --markdown > docs/methods.md`"
    )


def test_every_method_and_knob_has_a_row():
    assert [row[0] for row in method_rows()] == list(METHODS)
    for method in METHODS.values():
        rows = knob_rows(method)
        assert [row[0] for row in rows] == [name for name, spec in method.knobs.specs().items() if not spec.refused]
        assert all(len(row) == len(KNOB_HEADINGS) for row in rows)
