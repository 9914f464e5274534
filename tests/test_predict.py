"""`python -m ltray.predict`: predictions equal to those on the data set, and files that are not images."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ltray import predict as command
from ltray.data.image_files import image_files
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.methods.temperature import best_temperature
from ltray.predict import main
from ltray.results import classifier
from ltray.results.classifier import BATCH, Prediction, predict, temperature_of
from ltray.results.conformal import ConformalSets
from ltray.results.predictions import Predictions, TrainedModel


@pytest.fixture
def images(finished_run: Path, tmp_path: Path) -> Path:
    """The first test images as PNG files, and two files that are not images."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    pool = TrainedModel.open(finished_run / "best", torch.device("cpu")).data.test().pool
    for index, pixels in enumerate(next(pool.stream(torch.arange(12), 12))):
        path = folder / ("deeper" if index > 8 else "") / f"{index:02d}.png"
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    (folder / "bad.png").write_text("no image")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict]:
    code = main([str(word) for word in (*arguments, "--format", "json")])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("crops", [(), ("--five-crops",)])
def test_predict_gives_files_the_predictions_of_the_data_set(finished_run, images, capsys, crops):
    code, found = as_json(capsys, finished_run, images, "--top", "10", *crops)
    trained = TrainedModel.open(finished_run / "best", torch.device("cpu"))
    logits = trained.on_test(five_crops=bool(crops)).logits[:12]
    rows = {Path(row["path"]).stem: row for row in found["predictions"]}
    assert code == 1 and rows["bad"] == {"path": str(images / "bad.png"), "error": "not an image of a supported format"}
    shares = torch.softmax(logits.double() / found["temperature"], dim=1)
    for index in range(12):
        classes = rows[f"{index:02d}"]["classes"]
        assert classes[0]["class"] == str(int(logits[index].argmax()))
        by_name = {one["class"]: one["probability"] for one in classes}
        assert np.allclose([by_name[str(k)] for k in range(10)], shares[index], atol=2e-5)
        assert [one["probability"] for one in classes] == sorted(by_name.values(), reverse=True)


def test_predict_calibrates_probabilities_if_validation_logits_were_saved(finished_run, images, capsys):
    _, found = as_json(capsys, finished_run, images / "00.png")
    assert found["temperature_from"] == "validation images" and found["temperature"] != 1.0
    (finished_run / "best" / "selection.npz").unlink()
    _, plain = as_json(capsys, finished_run, images / "00.png")
    assert (plain["temperature"], plain["temperature_from"]) == (1.0, "not calibrated")
    assert [c["class"] for c in plain["predictions"][0]["classes"]] == [
        c["class"] for c in found["predictions"][0]["classes"]
    ]


def test_predict_writes_reproducible_csv(finished_run, images, tmp_path, capsys):
    arguments = [
        str(finished_run),
        str(images),
        str(images / "absent.png"),
        "--top",
        "2",
        "--format",
        "csv",
        "--output",
    ]
    assert main([*arguments, str(tmp_path / "a.csv")]) == main([*arguments, str(tmp_path / "b.csv")]) == 1
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert len(rows) == 12 * 2 + 2 and rows[-1]["error"] == "no such file"
    assert capsys.readouterr().out == ""


def test_image_files_keep_the_given_order_and_sort_folders(images):
    names = [str(path.relative_to(images)) for path in image_files([images / "notes.txt", images])]
    assert names[:2] == ["notes.txt", "00.png"] and names[-1] == "deeper/11.png" and len(names) == 14


def test_predict_prints_the_temperature_and_refuses_an_empty_folder(finished_run, images, tmp_path, capsys):
    assert main([str(finished_run), str(images / "00.png")]) == 0
    assert "from validation images" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no image in"):
        main([str(finished_run), str(tmp_path / "empty")])


def test_predict_reads_the_suffixes_of_conversions_and_ignores_system_files(finished_run, tmp_path, capsys):
    folder = tmp_path / "look"
    (folder / "__MACOSX").mkdir(parents=True)
    pixels = Image.new("RGB", (8, 8), "red")
    for name, kind in (("a.pgm", "ppm"), ("b.jfif", "jpeg"), ("c.JPE", "jpeg"), ("d.jp2", "jpeg2000")):
        (pixels.convert("L") if kind == "ppm" else pixels).save(folder / name, kind)
    for name in ("._a.png", ".hidden.jpg", "__MACOSX/e.png"):
        (folder / name).write_bytes(b"no image")
    code, found = as_json(capsys, finished_run, folder)
    assert code == 0 and [Path(row["path"]).name for row in found["predictions"]] == [
        "a.pgm",
        "b.jfif",
        "c.JPE",
        "d.jp2",
    ]


def model(logits: torch.Tensor, *, chosen: dict[str, float] | None = None) -> Any:
    """Return a model whose scores of a constant image of value i are logits[i]."""
    names = [f"class {label}" for label in range(logits.shape[1])]
    stage = SimpleNamespace(
        eval=lambda: None,
        logits=lambda images: logits[images.flatten(1)[:, 0].long()],
        chosen=lambda: chosen or {},
    )
    context = SimpleNamespace(context={"class_names": names})
    return SimpleNamespace(stage=stage, device=torch.device("cpu"), checkpoint=context, experiment=None)


def predicted(monkeypatch: pytest.MonkeyPatch, logits: torch.Tensor, *, temperature: float, top: int) -> list:
    monkeypatch.setattr(classifier, "_read", lambda path, trained, margin: torch.full((1, 2, 2), float(path.stem)))
    files = [Path(f"{index}.png") for index in range(len(logits))]
    return list(predict(model(logits), files, temperature=temperature, top=top))


@given(
    scores=st.lists(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1, max_size=5),
    temperature=st.sampled_from([0.01, 0.5, 1.0, 3.0, 100.0]),
    top=st.integers(1, 7),
)
def test_predict_returns_the_most_probable_classes_in_order(scores, temperature, top):
    logits = torch.tensor(scores)
    with pytest.MonkeyPatch.context() as patch:
        found = predicted(patch, logits, temperature=temperature, top=top)
    for row, one in zip(logits.double(), found, strict=True):
        shares = torch.softmax(row / temperature, dim=0)
        assert len(one.classes) == len(one.probabilities) == min(top, 4)
        assert list(one.probabilities) == sorted(one.probabilities, reverse=True)
        assert all(0.0 <= share <= 1.0 for share in one.probabilities)
        assert one.probabilities[0] == pytest.approx(float(shares.max()))
        for name, share in zip(one.classes, one.probabilities, strict=True):
            assert share == pytest.approx(float(shares[int(name.removeprefix("class "))]))
        assert top < 4 or sum(one.probabilities) == pytest.approx(1.0)


def test_predict_keeps_the_order_of_several_batches(monkeypatch: pytest.MonkeyPatch):
    count = 2 * BATCH + 3
    logits = torch.nn.functional.one_hot(torch.arange(count) % 5, 5).float()
    found = predicted(monkeypatch, logits, temperature=1.0, top=1)
    assert [one.path.stem for one in found] == [str(index) for index in range(count)]
    assert [one.classes for one in found] == [(f"class {index % 5}",) for index in range(count)]


@pytest.mark.parametrize("top", ["0", "-1"])
def test_predict_refuses_a_top_below_one(top: str, tmp_path: Path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), str(tmp_path), "--top", top])
    assert ended.value.code == 2 and f"argument --top: '{top}' is not from 1 to" in capsys.readouterr().err
    with pytest.raises(UsageError, match="contains no checkpoint"):
        main([str(tmp_path), str(tmp_path), "--top", "1"])


@pytest.mark.parametrize("split", ["val", "test"])
def test_temperature_is_fitted_on_validation_images_and_never_on_test_images(split: str, tmp_path: Path):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    logits = 4 * torch.randn(60, 3, generator=generator) + 3 * torch.nn.functional.one_hot(labels, 3)
    tail = LongTail((50, 20, 5))
    (tmp_path / "selection.npz").write_bytes(Predictions(split, logits, labels, tail).as_bytes())
    best = best_temperature(logits, labels, lowest=0.01, highest=100.0)
    assert best > 1.5
    expected = (best, "validation images") if split == "val" else (1.0, "not calibrated")
    assert temperature_of(model(logits), tmp_path) == (pytest.approx(expected[0]), expected[1])
    assert temperature_of(model(logits, chosen={"T": 2.0}), tmp_path) == (1.0, "the model's own temperature")


def test_tables_show_percent_and_other_formats_show_probabilities(capsys: pytest.CaptureFixture[str]):
    found = [Prediction(Path("a.png"), ("cat", "dog"), (0.9123456, 0.0876544)), Prediction(Path("b.png"), error="bad")]
    stamps = {"temperature": 1.5, "temperature_from": "validation images"}
    written = {}
    for form in ("table", "csv", "json"):
        file = io.StringIO()
        command.FORMATS[form](found, file, stamps)
        written[form] = file.getvalue()
    assert "cat (91.2 %)  dog (8.8 %)" in written["table"] and "temperature 1.5 from validation" in written["table"]
    assert written["csv"].splitlines() == [
        "path,rank,class,probability,error",
        "a.png,1,cat,0.912346,",
        "a.png,2,dog,0.087654,",
        "b.png,,,,bad",
    ]
    rows = json.loads(written["json"])["predictions"]
    assert rows[0]["classes"][0] == {"class": "cat", "probability": 0.912346} and rows[1]["error"] == "bad"


def test_sets_are_calibrated_on_the_validation_images(finished_run, images, tmp_path, capsys):
    code, found = as_json(capsys, finished_run, images / "00.png", "--top", "10", "--coverage", "0.6")
    trained = TrainedModel.open(finished_run / "best", torch.device("cpu"))
    known = Predictions.load(finished_run / "best" / "selection.npz")
    sets = ConformalSets.of(torch.softmax(known.logits.double(), dim=1), known.labels, 0.6)
    row = torch.softmax(trained.on_test().logits[0].double(), dim=0)
    names = trained.checkpoint.context["class_names"]
    assert code == 0 and found["coverage"] == 0.6
    assert found["predictions"][0]["set"] == [names[label] for label in sets.members(row)]
    assert found["classes_in_every_set"] == [names[label] for label in sets.always]
    (finished_run / "best" / "selection.npz").unlink()  # the logits are computed again
    assert (
        as_json(capsys, finished_run, images / "00.png", "--coverage", "0.6")[1]["predictions"][0]["set"]
        == (found["predictions"][0]["set"])
    )


def test_a_class_with_too_few_images_is_in_every_set_and_named(finished_run, images, capsys):
    assert main([str(finished_run), str(images / "00.png"), "--coverage", "0.999", "--format", "csv"]) == 0
    shown = capsys.readouterr()
    assert "a coverage of 0.999 needs 999 validation images of a class: 0, 1, 2" in shown.err
    row = next(csv.DictReader(shown.out.splitlines()))
    assert row["set_size"] == "10" and sorted(json.loads(row["set"])) == [str(label) for label in range(10)]


@pytest.mark.parametrize("coverage", ["0", "1", "90", "-0.1", "nan", "inf", "much"])
def test_a_coverage_outside_of_0_to_1_is_refused(coverage: str, tmp_path: Path, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path), str(tmp_path), f"--coverage={coverage}"])
    assert ended.value.code == 2 and "argument --coverage: " in capsys.readouterr().err
