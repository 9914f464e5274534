"""The recorded curves, and the document about them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from benchmarks.stopping import main
from benchmarks.stopping_curves import FILE, SETS, read, space_of
from benchmarks.stopping_replay import Fidelity, by_run, fidelities, kendall_tau, regret
from tests.paths import ROOT

DOCUMENT = ROOT / "docs" / "early-stopping.md"


@given(values=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_tau_equals_that_of_scipy(values):
    first, second = zip(*values, strict=True)
    assert kendall_tau(first, second) == pytest.approx(kendalltau(first, second).statistic, nan_ok=True)


def test_regret_is_the_difference_to_the_best():
    assert regret(Fidelity("", 1, early=[3, 5, 4], final=[9, 6, 7])) == 3
    assert regret(Fidelity("", 1, early=[5, 5, 4], final=[9, 6, 7])) == 1.5


def test_recorded_curves_are_complete_and_small():
    assert FILE.stat().st_size < 300_000
    curves = read()
    assert len({curve.job for curve in curves}) == len(curves) > 100
    for name in SETS:
        table, full = by_run(curves, name), space_of(name).base.knobs[0].epochs
        assert len(fidelities(table, "cosine", full)) == 8


@pytest.mark.slow
def test_document_has_the_replayed_tables(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["stopping", "replay"])
    main()
    assert capsys.readouterr().out.strip() in DOCUMENT.read_text(encoding="utf-8")
