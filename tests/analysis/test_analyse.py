"""`python -m ltray.analyse`: what applies to a method, the files, and that an interrupted command continues."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ltray import analyse
from ltray.analyse import ANALYSES, main, number_text
from ltray.analysis.measured import separation
from ltray.analysis.measured.result import NotApplicable, TheoryResult
from ltray.analysis.measured.subject import AnalysedModel
from ltray.errors import UsageError
from ltray.figures.result_folder import finite
from ltray.results.predictions import TrainedModel
from ltray.run_folder import checkpoint_of
from ltray.testing.contract import CPU

EVERYWHERE = {"pair_frequencies", "bcl_bound", "neural_collapse", "head_tail_separation"}
OF_PAIRS = {"gradient_by_rank", "dscl_positives"}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, digits_from_memory: None) -> None:
    """A shorter separation experiment, on digits in memory."""
    monkeypatch.setattr(separation, "RELIABILITIES", (0.5, 0.9, 1.0))
    monkeypatch.setattr(separation, "STEPS", 20)


def analysed(folder: Path, output: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([str(folder), "--json", "--batches", "2", "--output", str(output), *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def value(found: dict[str, Any], analysis: str, quantity: str) -> tuple[float, float | None]:
    (row,) = [row for row in found["analyses"][analysis]["rows"] if row["quantity"] == quantity]
    return row["measured"], row["theory"]


METHODS = [
    ("rescom", OF_PAIRS),
    ("paco", OF_PAIRS | {"paco_optimum"}),
    ("bcl", OF_PAIRS),
    ("dscl", OF_PAIRS),
    ("cross_entropy+dlsa", {"cluster_balance"}),
]


@pytest.mark.parametrize(("methods", "further"), METHODS)
def test_each_analysis_is_applied_where_it_has_a_meaning(
    methods: str, further: set[str], run_of_method: Callable[[str], Path]
) -> None:
    trained = TrainedModel.open(checkpoint_of(run_of_method(methods)), CPU)
    subject = AnalysedModel(trained, batches=6, seed=0)
    results = {name: each(subject) for name, each in ANALYSES.items()}
    found = {name: result for name, result in results.items() if isinstance(result, TheoryResult)}
    assert found.keys() == EVERYWHERE | further
    for name in results.keys() - found.keys():
        left_out = results[name]
        assert isinstance(left_out, NotApplicable) and left_out.reason.endswith(".")
    for result in found.values():
        assert json.loads(json.dumps(finite(result.as_json())))["rows"]
        assert all(math.isfinite(row.value) for row in result.rows if row.quantity.endswith(("all", "classes")))
        assert result.draw().axes
    least = found["bcl_bound"].rows[0]
    assert least.theory is not None and least.value >= least.theory


@pytest.mark.slow
@pytest.mark.parametrize(("methods", "further"), METHODS)
def test_files_of_every_method(
    methods: str,
    further: set[str],
    run_of_method: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = analysed(run_of_method(methods), tmp_path, capsys)
    assert found["analyses"].keys() == EVERYWHERE | further
    assert found["left_out"].keys() == ANALYSES.keys() - found["analyses"].keys()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{name}.{ending}" for name in found["analyses"] for ending in ("json", "png", "pdf")}


def test_pairs_of_the_sampler_and_the_queue(
    run_of_method: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = analysed(run_of_method("rescom"), tmp_path, capsys, "--only", "pair_frequencies")
    factor, _ = value(found, "pair_frequencies", "imbalance factor of the images")
    for name in ("batch", "Siamese batch"):
        measured, theory = value(found, "pair_frequencies", f"γ of positive pairs, {name}")
        assert measured == pytest.approx(theory, rel=0.15) and theory > 1.5 * factor
    queue, theory = value(found, "pair_frequencies", "γ of positive pairs, queue with slots of classes")
    assert queue == pytest.approx(factor) and theory == pytest.approx(factor)
    for share in found["analyses"]["pair_frequencies"]["data"]["shares"].values():
        assert sum(map(sum, share)) == pytest.approx(1.0)


def test_theory_of_the_probabilities(
    run_of_method: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paco = analysed(run_of_method("paco"), tmp_path / "paco", capsys, "--only", "paco_optimum", "dscl_positives")
    data = paco["analyses"]["paco_optimum"]["data"]
    for positives, ideal, centre in zip(
        data["positives"], data["theory"]["own centre"], data["measured"]["own centre"], strict=True
    ):
        assert ideal == pytest.approx(1 / (1 + data["alpha"] * positives), rel=0.05)
        assert 0.0 < centre < 1.0
    dscl = analysed(run_of_method("dscl"), tmp_path / "dscl", capsys, "--only", "dscl_positives")
    assert value(dscl, "dscl_positives", "p(z⁺), medium")[1] == pytest.approx(1 / 9, rel=0.05)
    assert value(dscl, "dscl_positives", "own key's share of the gradient, medium")[1] == pytest.approx(1 / 9, rel=0.05)


def test_results_of_the_same_model_are_kept(
    short_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = analysed(short_run, tmp_path, capsys, "--only", "neural_collapse", "pair_frequencies")
    calls: list[str] = []

    def recorded(name: str, subject: AnalysedModel) -> Any:
        calls.append(name)
        return ANALYSES[name](subject)

    monkeypatch.setattr(analyse, "ANALYSES", {name: partial(recorded, name) for name in ANALYSES})
    assert analysed(short_run, tmp_path, capsys, "--only", "neural_collapse", "pair_frequencies") == first
    assert not calls
    (tmp_path / "neural_collapse.pdf").unlink()
    assert analysed(short_run, tmp_path, capsys, "--only", "neural_collapse", "pair_frequencies") == first
    assert calls == ["neural_collapse"]


def test_interrupted_command_continues(
    short_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(subject: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(analyse, "ANALYSES", {**ANALYSES, "bcl_bound": interrupt})
        with pytest.raises(KeyboardInterrupt):
            main([str(short_run), "--batches", "2", "--output", str(tmp_path)])
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path.stem for path in kept} == {"pair_frequencies"}
    assert "Pairs of classes" in capsys.readouterr().out
    only = ("--only", "pair_frequencies", "bcl_bound")
    found = analysed(short_run, tmp_path, capsys, *only)
    assert list(found["analyses"]) == ["pair_frequencies", "bcl_bound"]
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_tables_say_what_is_measured_and_what_does_not_apply(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(finished_run), "--only", "neural_collapse", "cluster_balance"]) == 0
    printed = capsys.readouterr().out
    assert "Neural collapse (neural_collapse)" in printed and "measured" in printed and "theory" in printed
    assert "cluster_balance: does not apply. The method has no clusters: only DLSA's Flow Filters have them." in printed
    assert f"wrote 1 results as JSON, PNG and PDF: {finished_run}/analysis" in printed
    content = json.loads((finished_run / "analysis" / "neural_collapse.json").read_text())
    assert content["provenance"].keys() >= {"checkpoint_sha256", "ltray", "epoch", "methods", "data_set", "environment"}


def test_wrong_arguments(short_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="'neural_colapse' is not an analysis. Did you mean"):
        analyse.run(short_run, only=["neural_colapse"])
    with pytest.raises(UsageError, match="`batches` must be a whole number from 1"):
        analyse.run(short_run, batches=0)
    with pytest.raises(UsageError, match="contains no checkpoint"):
        main([str(tmp_path)])
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        main([str(short_run), "--output", str(tmp_path / "file")])
    for words in (["--only", "x"], ["--batches", "0"]):
        with pytest.raises((SystemExit, UsageError)):
            main([str(short_run), *words])


@pytest.mark.parametrize(
    ("number", "text"), [(None, "–"), (0.0, "0"), (1234.56, "1,235"), (-0.012345, "-0.01235"), (1e-9, "1e-09")]
)
def test_numbers(number: float | None, text: str) -> None:
    assert number_text(number) == text
