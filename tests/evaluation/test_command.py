"""`ltray evaluate --all`, `--analyses` and `--against`: files, looks at test images, interruption and continuation."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ltray.data.corruptions import corrupt
from ltray.errors import UsageError
from ltray.evaluate import main
from ltray.evaluation import figures, robustness, scores
from ltray.evaluation.analyses import ANALYSES
from ltray.figures import style
from ltray.run_folder import RunFolder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse pictures and few resamples."""
    monkeypatch.setitem(style._STYLE, "savefig.dpi", 30)
    monkeypatch.setattr(scores, "RESAMPLES", 3)


def place(run: Path) -> Path:
    (found,) = run.rglob("evaluations/epoch*/*")
    return found


def two_corruptions(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: corrupt.CORRUPTIONS[name] for name in ("gaussian_noise", "contrast")}
    monkeypatch.setattr(robustness, "CORRUPTIONS", few)


def test_analyses_are_files_with_provenance(finished_run, capsys):
    assert main([str(finished_run), "--analyses", "scores,confusion"]) == 0
    printed = capsys.readouterr()
    folder = place(finished_run)
    assert f"files: {folder}" in printed.out and "analysis 2 of 2: confusion" in printed.err
    assert folder.name == "val" and not list(finished_run.rglob(RunFolder(finished_run).looks_file.name))
    content = json.loads((folder / "confusion.json").read_text())
    recorded = RunFolder(finished_run).best.evaluation()
    provenance = content["provenance"]
    assert content["files"] == ["confusion.parquet", "confusion.png", "confusion.pdf"]
    assert provenance["checkpoint_sha256"][:12] in folder.parent.name and provenance["epoch"] == recorded["epoch"]
    assert {"torch", "matplotlib", "captum", "scikit-learn"} <= provenance["versions"].keys()
    found = json.loads((folder / "scores.json").read_text())["result"]["metrics"]
    assert found["acc_all"]["value"] == pytest.approx(recorded["selection"]["val/acc_all"])
    assert len(pd.read_parquet(folder / "predictions.parquet")) == 200


def test_results_that_are_there_are_not_computed_again(finished_run, capsys):
    main([str(finished_run), "--analyses", "confusion"])
    before = (place(finished_run) / "confusion.json").stat().st_mtime_ns
    capsys.readouterr()
    main([str(finished_run), "--analyses", "confusion", "--json"])
    printed = capsys.readouterr()
    assert "confusion (computed before)" in printed.err and "analysis 1" not in printed.err
    found = json.loads(printed.out)["analyses"]
    assert found["folder"] == str(place(finished_run)) and "largest" in found["confusion"]["result"]
    assert (place(finished_run) / "confusion.json").stat().st_mtime_ns == before
    (place(finished_run) / "confusion.pdf").unlink()
    main([str(finished_run), "--analyses", "confusion"])
    assert (place(finished_run) / "confusion.pdf").is_file()


def test_damaged_result_is_an_error(finished_run):
    main([str(finished_run), "--analyses", "confusion"])
    file = place(finished_run) / "confusion.json"
    file.write_text(file.read_text().replace("confusion.png", "confusion.gif"))
    with pytest.raises(UsageError, match="delete it to compute it again"):
        main([str(finished_run), "--analyses", "confusion"])


def test_analyses_of_test_images_are_one_look(finished_run, capsys):
    for analyses in ("confusion", "calibration", "confusion"):
        main([str(finished_run), "--test", "--analyses", analyses])
        assert "this is the second look at the test images" in capsys.readouterr().out
    assert place(finished_run).name == "test"


def test_interrupted_robustness_continues_where_it_stopped(finished_run, monkeypatch, capsys):
    two_corruptions(monkeypatch)
    calls = []
    original = robustness.corrupt

    def interrupted(images, name, severity, **options):
        calls.append((name, severity))
        if (name, severity) == ("contrast", 2) and calls.count((name, severity)) == 1:
            raise KeyboardInterrupt
        return original(images, name, severity, **options)

    monkeypatch.setattr(robustness, "corrupt", interrupted)
    monkeypatch.setattr(robustness, "mean_corruption_error", lambda errors: float(errors.mean()))
    monkeypatch.setattr(robustness, "normalised_corruption_error", lambda errors: float(errors.mean()))
    monkeypatch.setattr(robustness, "_pictures", lambda subject: figures.new_figure(1, 1))
    monkeypatch.setattr(robustness, "_errors", lambda *given: figures.new_figure(1, 1))
    with pytest.raises(KeyboardInterrupt):
        main([str(finished_run), "--analyses", "calibration,robustness"])
    assert "finished analyses are kept in" in capsys.readouterr().err
    assert (place(finished_run) / "calibration.json").is_file()
    assert len((place(finished_run) / robustness.PARTIAL).read_text().splitlines()) == 6
    main([str(finished_run), "--analyses", "calibration,robustness"])
    assert calls.count(("gaussian_noise", 5)) == 1 and calls.count(("contrast", 2)) == 2
    assert not (place(finished_run) / robustness.PARTIAL).exists()
    rows = pd.read_parquet(place(finished_run) / "robustness.parquet")
    assert len(rows) == 10 and rows["error"].between(0, 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--analyses", "confuson"], "Did you mean `confusion`"),
        (["--all", "--analyses", "cam"], "remove --all or --analyses"),
        (["--analyses", ""], "'' is not an analysis"),
        (["images", "--all"], "remove IMAGES, or the analyses"),
        (["--against", "RUN"], "is the same checkpoint"),
        (["--against", "nothing"], "no such folder"),
    ],
)
def test_wrong_use_of_analyses_is_refused(finished_run, arguments, message):
    given = [str(finished_run) if word == "RUN" else word for word in arguments]
    with pytest.raises(UsageError, match=message):
        main([str(finished_run), *given])
    assert not list(finished_run.rglob(RunFolder(finished_run).looks_file.name))


@pytest.mark.slow
def test_all_analyses_of_two_models(finished_run, short_run, capsys):
    other = sorted(short_run.glob("checkpoint_*"))[-1]
    assert main([str(finished_run), "--all", "--against", str(other)]) == 0
    printed = capsys.readouterr().out
    folder = place(finished_run)
    for name in ANALYSES:
        assert f"{name} (" in printed and "left out" not in printed
        stem = "difference-*" if name == "difference" else name
        (result,) = folder.glob(f"{stem}.json")
        content = json.loads(result.read_text())
        assert all((folder / file).stat().st_size > 0 for file in content["files"])
        assert any(file.endswith(".pdf") for file in content["files"])
    found = json.loads((folder / "robustness.json").read_text())["result"]
    assert found["mce"] > 0 and len(found["errors"]) == 15
    assert json.loads((folder / "cam.json").read_text())["result"]["method"] == "exact"
