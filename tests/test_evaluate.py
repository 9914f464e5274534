"""`python -m ltray.evaluate`: its output, and the count of looks at the test images."""

import json
from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.evaluate import main
from ltray.run_folder import RunFolder


def as_json(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    assert main([str(folder), "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_evaluate_uses_validation_images_by_default(finished_run, capsys):
    found = as_json(finished_run, capsys)
    recorded = RunFolder(finished_run).best.evaluation()
    assert found["split"] == "val" and found["test_look"] == 0 and found["claims"] == []
    assert found["metrics"] == recorded["selection"]
    assert len(found["classes"]) == 10 and found["classes"][0] == found["classes"][0] | {"class": "0", "images": 20}
    assert not list(finished_run.rglob(RunFolder(finished_run).looks_file.name))


def test_evaluate_counts_every_look_at_the_test_images(finished_run, capsys):
    recorded = RunFolder(finished_run).best.evaluation()
    found = as_json(finished_run, capsys, "--test")
    assert found["metrics"] == recorded["metrics"]
    assert found["test_look"] == 2  # the first look was that of the run itself
    main([str(finished_run), "--test"])
    assert "this is the third look at the test images: do not use it to choose anything" in capsys.readouterr().out


def test_evaluate_does_not_warn_of_the_first_look(short_run, digits_from_memory, tmp_path, capsys):
    (newest,) = sorted(short_run.glob("checkpoint_*"))[-1:]
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for file in newest.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    main([str(folder), "--test"])
    printed = capsys.readouterr().out
    assert "400 test images: all" in printed and "this is the first look at the test images\n" in printed


def test_evaluate_prints_measures_classes_and_the_runs_test_figures(finished_run, capsys):
    main([str(finished_run), "--classes"])
    printed = capsys.readouterr().out
    assert "200 validation images: all" in printed and "evaluated at the end of the run" in printed
    assert "MCC" in printed and "NMI" in printed and "ECE" in printed
    assert "accuracy of each class" in printed


def test_evaluate_refuses_a_folder_without_checkpoint(tmp_path):
    with pytest.raises(UsageError, match="contains no checkpoint"):
        main([str(tmp_path)])


def test_evaluate_prints_accuracy_under_shifted_class_priors(finished_run, capsys):
    found = as_json(finished_run, capsys)
    by_prior = {row["prior"]: row["accuracy"] for row in found["label_shift"]}
    assert by_prior["uniform"] == pytest.approx(found["metrics"]["val/balanced_accuracy"])
    assert main([str(finished_run), "--shift"]) == 0
    printed = capsys.readouterr().out
    assert "forward50" in printed and f"{100 * by_prior['backward50']:.1f}" in printed


def test_evaluate_prints_both_results_of_one_checkpoint_with_five_crops(finished_run, capsys):
    plain = as_json(finished_run, capsys)
    both = as_json(finished_run, capsys, "--five-crops")
    assert plain["five_crops"] is None and plain["metrics"] == both["metrics"]
    cropped = both["five_crops"]
    assert cropped["margin"] == 1 and cropped["metrics"].keys() == plain["metrics"].keys()
    assert cropped["metrics"] != plain["metrics"] and cropped["metrics"]["val/images"] == 200
    assert set(cropped["intervals"]) == set(both["intervals"])
    main([str(finished_run), "--five-crops"])
    printed = capsys.readouterr().out
    assert f"mean over five crops (margin 1 pixel): all {100 * cropped['metrics']['val/acc_all']:.1f}" in printed
