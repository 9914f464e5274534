"""`python -m benchmarks.sentences`: rows that are invented around finished runs get every kind of verdict."""

import sys

import pytest

from benchmarks import sentences
from ltray.experiment import Experiment
from ltray.published import check
from ltray.published.check import ABOVE, BELOW, NOT, WITHIN
from ltray.results.intervals import mean_interval

OTHER = ("longer training", "unstated epochs", "wider network", "other protocol", "other images")


@pytest.mark.parametrize("protocol", ["honest", "paper"])
def test_the_rows_get_every_verdict(monkeypatch, protocol):
    given = {"dataset": "cifar10-lt", "methods": ["cross_entropy"], "dataset.protocol": protocol}
    settings = Experiment.from_settings(given).settings()
    monkeypatch.setattr(check, "published", lambda: tuple(sentences.invented(settings, 40.0)))
    verdicts = {one.claim.table: one.verdict for one in check.compare(settings, mean_interval([0.4]))}
    assert verdicts == {"equal": WITHIN, "higher": BELOW, "lower": ABOVE} | dict.fromkeys(OTHER, NOT)


def test_a_finished_run_is_compared_with_every_row(finished_run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sentences", str(finished_run)])
    monkeypatch.setenv("COLUMNS", "300")
    sentences.main()
    printed = capsys.readouterr().out
    for table in ("equal", "higher", "lower", *OTHER):
        assert f"invented, {table}" in printed


def test_a_run_that_is_not_finished_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sentences", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        sentences.main()
