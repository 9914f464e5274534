"""The report: every section of a search, no external resources, escaped text."""

import json
import math
import re
import shlex
import shutil
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ltray.command import exit_with
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.report.__main__ import main
from ltray.report.render import write_report
from ltray.results.run_record import RunRecord
from ltray.run_folder import RunFolder
from ltray.settings import parse_assignments
from tests.report.conftest import EXPLORED


def section_of(text: str, heading: str) -> str:
    return text.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]


def figures_of(html: str) -> list[dict]:
    """Return traces and layout of the figures in a part of the page."""
    return [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)]


class Checker(HTMLParser):
    """Records unclosed tags, attributes that load resources, and the headings."""

    def __init__(self, heading: str) -> None:
        super().__init__()
        self.heading = heading
        self.open: list[str] = []
        self.loading: list[str] = []
        self.headings: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag."""
        self.open += [tag] if tag not in ("meta", "img", "br") else []
        loaded = [v for k, v in attrs if v and k in ("src", "href", "data", "srcset", "poster", "style")]
        self.loading += [v for v in loaded if not v.startswith(("#", "data:image/", "height:"))]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Ignore a tag that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        """Close the tag opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Record a heading."""
        self.headings += [data] if self.open and self.open[-1] == self.heading else []


def checked(path: Path, heading: str = "h2") -> tuple[Checker, str]:
    text = path.read_text(encoding="utf-8")
    checker = Checker(heading)
    checker.feed(text)
    assert checker.open == [] and checker.loading == []
    assert not re.search(r"https?://|url\(|@import", text)
    return checker, text


def test_report_of_a_search_has_every_section(search):
    checker, text = checked(write_report([RunRecord.read(search)], search / "report.html"))
    assert checker.headings == [
        "Answer",
        "Course of the search",
        "Explored knobs",
        "Hyperparameter importance",
        "Settings of each trial",
        "Accuracy over each knob",
        "Two knobs together",
        "Many against Few",
        "Early stopping",
        "Finalists",
        "Trials",
        "Groups and classes",
        "Confusion",
        "Calibration",
        "Mistakes and correct predictions",
        "Views of the training data",
        "Effect of τ",
        "Learning curves",
        "Provenance",
        "Reproduce",
        "Glossary",
    ]
    assert "a&lt;b&gt;search" in text and "loss &lt;b&gt;is&lt;/b&gt; NaN" in text
    assert "15 more" in text and "abc123" in text and "no difference found" in text
    assert "prefers-color-scheme: dark" in text and 'name="viewport"' in text


def test_report_shows_importance_per_group_or_a_dot(search):
    _, text = checked(write_report([RunRecord.read(search)], search / "report.html"))
    rows = re.findall(r"<tr>(.*?)</tr>", section_of(text, "Hyperparameter importance"), re.DOTALL)
    cells = [re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row) for row in rows]
    assert cells[0] == ["knob", "symbol", "all", "many", "few"]
    assert cells[1][0] == "cross_entropy.learning_rate" and cells[1][2:] == ["90", "·", "70"]


@pytest.mark.parametrize(
    ("rule", "trials", "sentence"),
    [
        ("pbt", 30, "Hyperparameter importance cannot be computed for a population"),
        ("asha", 9, "Too few trials for hyperparameter importance"),
    ],
)
def test_report_gives_the_reason_for_missing_importance(search, rule, trials, sentence):
    config = yaml.safe_load((search / "config.yaml").read_text()) | {"stop": {"rule": rule}}
    (search / "config.yaml").write_text(yaml.safe_dump(config))
    pd.read_parquet(search / "results.parquet").head(trials).to_parquet(search / "results.parquet")
    _, text = checked(write_report([RunRecord.read(search)], search / "report.html"))
    assert sentence in section_of(text, "Hyperparameter importance") and "<table>" not in section_of(
        text, "Hyperparameter importance"
    )


@pytest.mark.parametrize("second", ["seconds", "acc_few"])
def test_pareto_front_is_drawn_and_listed_best_first(search, second):
    config = yaml.safe_load((search / "config.yaml").read_text())
    config["search"]["objectives"] = ["acc_all", second]
    (search / "config.yaml").write_text(yaml.safe_dump(config))
    trials = pd.read_parquet(search / "results.parquet").assign(front=False, seconds=12.5)
    trials.loc[trials["trial"].isin([0, 4]), "front"] = True
    trials.to_parquet(search / "results.parquet")
    checker, text = checked(write_report([RunRecord.read(search)], search / "report.html"))
    front = section_of(text, "Pareto front")
    complete = int((trials["state"] == "complete").sum())
    (drawn,) = figures_of(front)
    assert sum(len(trace["x"]) for trace in drawn["data"] if trace["name"] != "papers' setting") == complete
    (line,) = [trace for trace in drawn["data"] if trace["mode"] == "lines+markers"]
    assert len(line["x"]) == 2
    best = trials[trials["front"]].sort_values("val/acc_all", ascending=False)
    listed = re.findall(r'<th scope="row".*?>(.*?)</th>', front)
    assert listed == [f"{n} (paper&#39;s setting)" if n == 0 else str(n) for n in best["trial"]]
    assert ("12.5" in front) == (second == "seconds")


def test_report_of_a_search_over_methods_shows_the_method_of_each_trial(search):
    config = yaml.safe_load((search / "config.yaml").read_text())
    config["alternatives"] = {"cross_entropy": {}, "ldam, tau_norm": {}}
    config["explore"] = EXPLORED | {"ldam.margin": "0.1 … 0.8"}
    (search / "config.yaml").write_text(yaml.safe_dump(config))
    trials = pd.read_parquet(search / "results.parquet")
    trials["methods"] = ["ldam, tau_norm" if n % 2 else "cross_entropy" for n in trials["trial"]]
    trials["paper"] = trials["trial"] < 2
    trials["ldam.margin"] = [0.25 if n == 1 else math.nan for n in trials["trial"]]
    trials.to_parquet(search / "results.parquet")
    _, text = checked(write_report([RunRecord.read(search)], search / "report.html"))
    assert "cross_entropy | ldam, tau_norm on digits-lt" in text
    assert ">0.25</td>" in section_of(text, "Explored knobs")
    listed = section_of(text, "Trials")
    assert ">methods</th>" in listed and listed.count(">ldam, tau_norm</td>") == 15


def test_report_of_a_single_run_is_written(finished_run):
    settings = RunFolder(finished_run).best.evaluation()["settings"]
    (finished_run / "config.yaml").write_text(yaml.safe_dump({"settings": settings}))
    checker, text = checked(write_report([RunRecord.read(finished_run)], finished_run / "report.html"))
    assert checker.headings == [
        "Answer",
        "Groups and classes",
        "Confusion",
        "Calibration",
        "Mistakes and correct predictions",
        "Views of the training data",
        "Effect of τ",
        "Learning curves",
        "Cost",
        "Provenance",
        "Reproduce",
        "Glossary",
    ]
    command = re.search(r"ltray.train (--methods cross_entropy --dataset digits-lt .*?)</code>", text)
    assert command is not None
    given = parse_assignments(shlex.split(unescape(command[1]))[4:])
    assert (
        Experiment.from_settings({"dataset": "digits-lt", "methods": ["cross_entropy"], **given}).settings() == settings
    )
    assert "training run: cross_entropy on digits-lt" in text


def test_several_runs_are_compared_in_report_and_terminal(search, tmp_path, capsys, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(search, other)
    (other / "finalists.parquet").unlink()
    monkeypatch.chdir(tmp_path)
    assert main([str(search), str(other), "--output", "two.html"]) == 0
    checker, text = checked(tmp_path / "two.html", "h3")
    assert checker.headings.count("Trials") == 2 and 'href="#run1"' in text
    printed = capsys.readouterr().out
    assert "finalists: accuracy in %" in printed and "test (first look at the test images): all" in printed


@pytest.mark.parametrize("left", [0, 1])
def test_report_of_a_search_without_a_result_is_written(search, left):
    failed = pd.read_parquet(search / "results.parquet").iloc[7 : 7 + left]
    failed[[c for c in failed if not c.startswith("val/")]].to_parquet(search / "results.parquet")
    pd.DataFrame().to_parquet(search / "history.parquet")
    for name in ("finalists.parquet", "finalist_runs.parquet"):
        (search / name).unlink()
    shutil.rmtree(search / "best")
    checker, _ = checked(write_report([RunRecord.read(search)], search / "report.html"))
    of_trials = ["Explored knobs", "Hyperparameter importance", "Trials"] if left else []
    assert checker.headings == ["Answer", *of_trials, "Provenance", "Reproduce", "Glossary"]


def test_folder_that_is_not_a_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="does not contain config.yaml"):
        RunRecord.read(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        RunRecord.read(tmp_path / "absent")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("trainer: foreign\n", "`settings` is missing. It was not written by this version"),
        ("settings: {dataset: digits-lt, methods: [bcl]}\n", "`dataset.protocol` is missing in `settings`"),
        ("- a list\n", "has no `key: value` settings"),
        ("{", "not valid YAML"),
    ],
)
def test_foreign_or_other_version_folder_is_refused(search, capsys, monkeypatch, content, sentence):
    (search / "config.yaml").write_text(content)
    monkeypatch.setattr(sys, "argv", ["report", str(search)])
    with pytest.raises(SystemExit) as ended:
        exit_with(main)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error and "config.yaml: " in error and "Traceback" not in error


def test_foreign_tables_are_refused(search):
    pd.DataFrame({"trial": [1]}).to_parquet(search / "results.parquet")
    with pytest.raises(UsageError, match="results.parquet: the column `name` is missing"):
        RunRecord.read(search)
    (search / "results.parquet").write_bytes(b"PAR0")
    with pytest.raises(UsageError, match="results.parquet: cannot be read"):
        RunRecord.read(search)
