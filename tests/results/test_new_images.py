"""New labelled images: every form, class names matched with the model's, the same scores as in the engine."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from ltray import evaluate
from ltray.data.sources.new_images import open_new_images
from ltray.errors import UsageError

ANIMALS = ("cat", "dog", "owl")


def digits(root: Path, *labels: int, count: int = 3) -> Path:
    """Write some of scikit-learn's digits, as the data set of the run converts them, into class folders."""
    data = load_digits()
    for label in labels:
        (root / str(label)).mkdir(parents=True)
        for number, pixels in enumerate(data.images[data.target == label][:count]):
            grey = np.clip(pixels * 255 / 16, 0, 255).round().astype(np.uint8)
            Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2)).save(root / str(label) / f"{number}.png")
    return root


def png(seed: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(content, "png")
    return content.getvalue()


def fill(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(seed))
    return root


def table(root: Path, name: str, *rows: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / name).write_text("\n".join(rows) + "\n")
    return root / name


def found(place: Path, **settings: str) -> list[str]:
    """Return name and class of every image."""
    images = open_new_images(place, settings, ANIMALS)
    names = [Path(images.originals.name(index)).name for index in range(len(images.names))]
    assert all(images.originals.read(index).startswith(b"\x89PNG") for index in range(len(names)))
    return sorted(f"{name} {label}" for name, label in zip(names, images.names, strict=True))


@pytest.mark.parametrize(
    ("files", "given", "expected"),
    [
        (["cat/1.png", "dog/2.png"], "", ["1.png cat", "2.png dog"]),
        (["cat/1.png"], "", ["1.png cat"]),  # one class only
        (["new/new/cat/1.png"], "", ["1.png cat"]),
        (["cat/tabby/1.png"], "", ["1.png cat"]),  # a class of the model, not a folder around classes
        (["test/cat/1.png"], "", ["1.png cat"]),  # no training split is needed
        (["test/cat/1.png", "train/cat/2.png", "train/dog/3.png"], "", ["1.png cat"]),
        (["val/cat/1.png", "train/cat/2.png"], "", ["1.png cat"]),
        (["train/cat/1.png", "train/dog/2.png"], "", ["1.png cat", "2.png dog"]),
        (["cat/train/1.png", "cat/test/2.png", "dog/train/3.png"], "", ["2.png cat"]),
    ],
)
def test_folders(tmp_path: Path, files: list[str], given: str, expected: list[str]) -> None:
    assert found(fill(tmp_path / "images", *files) / given) == expected


def test_a_class_with_the_name_of_a_split_is_a_class(tmp_path: Path) -> None:
    place = fill(tmp_path / "p", "train/engines/1.png", "bus/2.png")
    assert open_new_images(place, {}, ("bus", "train")).names == ("bus", "train")


@pytest.mark.parametrize("split", ["", "test"])
def test_tables(tmp_path: Path, split: str) -> None:
    fill(tmp_path / "i", "1.png", "2.png")
    rows = ["image,label,split", f"1.png,cat,{split}", f"2.png,owl,{split}"]
    path = table(tmp_path / "i", "new.csv", *(row if split else row.rpartition(",")[0] for row in rows))
    assert found(path) == found(tmp_path / "i") == ["1.png cat", "2.png owl"]


def test_of_several_splits_in_a_table_the_test_split_is_used(tmp_path: Path) -> None:
    fill(tmp_path / "i", "1.png", "2.png")
    path = table(tmp_path / "i", "all.tsv", "file\tkind\tfold", "1.png\tcat\ttrain", "2.png\towl\ttest")
    settings = {"label_column": "kind", "split_column": "fold"}
    assert found(path, **settings) == ["2.png owl"]
    assert "the test split is used; not used: train" in open_new_images(path, settings, ANIMALS).notes


def test_zip_and_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as archive:
        archive.writestr("cat/1.png", png(1))
        archive.writestr("owl/2.png", png(2))
    assert found(tmp_path / "new.zip") == ["1.png cat", "2.png owl"]
    pq.write_table(pa.table({"image": [png(1), png(2)], "label": ["owl", "dog"]}), tmp_path / "new.parquet")
    assert found(tmp_path / "new.parquet") == ["new.parquet, row 0 owl", "new.parquet, row 1 dog"]


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (lambda root: root / "absent", {}, "no such file or folder"),
        (lambda root: fill(root, "1.png") / "1.png", {}, "must be a folder of images"),
        (lambda root: fill(root / "cat", "1.png"), {}, "no folder with the name of a class"),
        (
            lambda root: fill(root / "p", "cat/1.png"),
            {"image_size": 4},
            "`image_size` is not a setting of new images",
        ),
        (lambda root: table(root / "t", "n.csv", "image,label", "a.png,"), {}, "no row has a label"),
    ],
)
def test_unusable_form_or_setting_is_an_error(tmp_path: Path, make, settings: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_new_images(make(tmp_path), settings, ANIMALS)


def test_new_images_are_scored_as_the_images_of_the_data_set(finished_run: Path, tmp_path: Path) -> None:
    """The same digits, through class folders and through the run's own data set, have the same scores."""
    by_run = evaluate.run(finished_run, test=True)
    place = digits(tmp_path / "new", *range(10), count=200)
    before = {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()}
    found = evaluate.run(finished_run, place)
    assert before == {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()}  # no look
    assert found.look == 0
    assert found.predictions.split == "new" and found.predictions.tail == by_run.predictions.tail
    known = {tuple(row.tolist()) for row in (found.predictions.logits * 1000).round()}
    own = {tuple(row.tolist()) for row in (by_run.predictions.logits * 1000).round()}
    assert len(own & known) > 0.95 * len(own)


def test_the_command(finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = digits(tmp_path / "new", 7, 3)
    assert evaluate.main([str(finished_run), str(place), "--classes"]) == 0
    printed = capsys.readouterr().out
    assert "new images: 6: all" in printed and "95 % intervals: all" in printed and "look at the test" not in printed
    assert "no image of 8 of 10 classes, which are left out of means over classes: 0, 1, 2, 4, 5, 6, 8, 9" in printed
    shutil.copy(place / "3" / "0.png", place / "3" / "ninth.png")
    (place / "3" / "broken.png").write_bytes(b"\x89PNG no image")
    assert evaluate.main([str(finished_run), str(place), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == 7 and told["split"] == "new" and told["test_look"] == 0
    assert [Path(one.split(" (")[0]).name for one in told["new_images"]["unusable"]] == ["broken.png"]
    low, high = told["intervals"]["new/acc_all"]
    assert 0 <= low <= told["metrics"]["new/acc_all"] < high <= 1


@pytest.mark.parametrize(
    ("names", "words", "message"),
    [
        (["three", "0"], [], r"3 images of 1 class that the model does not have: `three`; .* The model has: 0, 1"),
        (["0"], ["--test"], "`test` has no effect with new images"),
        (["0"], ["image_column=x"], "`image_column` has no effect: .* is taken as a folder"),
    ],
)
def test_refused(finished_run: Path, tmp_path: Path, names: list[str], words: list[str], message: str) -> None:
    place = digits(tmp_path / "new", 0, 1)
    for name, new in zip(("0", "1"), names, strict=False):
        (place / name).rename(place / f"{new}_")
        (place / f"{new}_").rename(place / new)
    with pytest.raises(UsageError, match=message):
        evaluate.main([str(finished_run), str(place), *words])


def test_a_setting_without_new_images_and_only_broken_images_are_errors(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`label_column` has no effect"):
        evaluate.run(finished_run, settings={"label_column": "a"})
    (tmp_path / "new" / "4").mkdir(parents=True)
    (tmp_path / "new" / "4" / "a.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"none of its 1 image can be used; the first one: .*a.png \("):
        evaluate.run(finished_run, tmp_path / "new")


def test_images_of_the_models_own_folder_are_reported(finished_run: Path, tmp_path: Path) -> None:
    place = digits(tmp_path / "own", 0, 1)
    trained = evaluate.run(finished_run, place).trained
    object.__setattr__(trained.experiment.dataset, "folder", str(tmp_path))
    found, images = evaluate.evaluate_new_images(trained, place, {}, tail=trained.data.tail)
    assert any("6 images in the folder of the data set that the model was trained on" in n for n in images.notes)
    assert torch.equal(found.labels, torch.tensor([0] * 3 + [1] * 3))
