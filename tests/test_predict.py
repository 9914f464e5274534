"""`python -m ltray.predict`: the data set's own predictions, and files that are no images."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ltray.data.image_files import image_files
from ltray.errors import UsageError
from ltray.outcome.assessment import Trained
from ltray.predict import main


@pytest.fixture
def images(finished_run: Path, tmp_path: Path) -> Path:
    """The first test images as PNG files, and two files that are none."""
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    pool = Trained.open(finished_run / "best", torch.device("cpu")).data.test().pool
    for place, pixels in enumerate(next(pool.stream(torch.arange(12), 12))):
        path = folder / ("deeper" if place > 8 else "") / f"{place:02d}.png"
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    (folder / "bad.png").write_text("no image")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def as_json(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict]:
    code = main([str(word) for word in (*words, "--format", "json")])
    return code, json.loads(capsys.readouterr().out)


def test_files_get_the_predictions_of_the_data_set(finished_run, images, capsys):
    code, found = as_json(capsys, finished_run, images, "--top", "10")
    trained = Trained.open(finished_run / "best", torch.device("cpu"))
    logits = trained.on_test().logits[:12]
    rows = {Path(row["path"]).stem: row for row in found["predictions"]}
    assert code == 1 and rows["bad"] == {"path": str(images / "bad.png"), "error": "not an image of a known kind"}
    shares = torch.softmax(logits.double() / found["temperature"], dim=1)
    for place in range(12):
        classes = rows[f"{place:02d}"]["classes"]
        assert classes[0]["class"] == str(int(logits[place].argmax()))
        by_name = {one["class"]: one["probability"] for one in classes}
        assert np.allclose([by_name[str(k)] for k in range(10)], shares[place], atol=2e-5)
        assert [one["probability"] for one in classes] == sorted(by_name.values(), reverse=True)


def test_probabilities_are_calibrated_where_validation_logits_were_saved(finished_run, images, capsys):
    _, found = as_json(capsys, finished_run, images / "00.png")
    assert found["temperature_from"] == "validation images" and found["temperature"] != 1.0
    (finished_run / "best" / "selection.npz").unlink()
    _, plain = as_json(capsys, finished_run, images / "00.png")
    assert (plain["temperature"], plain["temperature_from"]) == (1.0, "none: not calibrated")
    assert [c["class"] for c in plain["predictions"][0]["classes"]] == [
        c["class"] for c in found["predictions"][0]["classes"]
    ]


def test_csv_goes_to_a_file_and_repeats_exactly(finished_run, images, tmp_path, capsys):
    words = [str(finished_run), str(images), str(images / "absent.png"), "--top", "2", "--format", "csv", "--output"]
    assert main([*words, str(tmp_path / "a.csv")]) == main([*words, str(tmp_path / "b.csv")]) == 1
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == 12 * 2 + 2 and rows[-1]["error"] == "no such file"
    assert capsys.readouterr().out == ""


def test_folders_are_searched_in_order_and_files_taken_as_given(images):
    names = [str(path.relative_to(images)) for path in image_files([images / "notes.txt", images])]
    assert names[:2] == ["notes.txt", "00.png"] and names[-1] == "deeper/11.png" and len(names) == 14


def test_a_table_names_the_temperature_and_an_empty_folder_is_refused(finished_run, images, tmp_path, capsys):
    assert main([str(finished_run), str(images / "00.png")]) == 0
    assert "from validation images" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no image in"):
        main([str(finished_run), str(tmp_path / "empty")])


def test_every_suffix_of_a_conversion_is_read_and_what_systems_leave_is_not(finished_run, tmp_path, capsys):
    place = tmp_path / "look"
    (place / "__MACOSX").mkdir(parents=True)
    pixels = Image.new("RGB", (8, 8), "red")
    for name, kind in (("a.pgm", "ppm"), ("b.jfif", "jpeg"), ("c.JPE", "jpeg"), ("d.jp2", "jpeg2000")):
        (pixels.convert("L") if kind == "ppm" else pixels).save(place / name, kind)
    for name in ("._a.png", ".hidden.jpg", "__MACOSX/e.png"):
        (place / name).write_bytes(b"no image")
    code, found = as_json(capsys, finished_run, place)
    assert code == 0 and [Path(row["path"]).name for row in found["predictions"]] == [
        "a.pgm",
        "b.jfif",
        "c.JPE",
        "d.jp2",
    ]
