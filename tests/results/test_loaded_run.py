"""`ltray.load`: content of runs, searches and checkpoints, and errors for other folders."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import ltray
from ltray.errors import UsageError
from ltray.results.predictions import TrainedModel
from ltray.run_folder import RunFolder
from ltray.seal import seal
from tests.other_package import METHOD, unload, written

CPU = torch.device("cpu")


@pytest.fixture
def run(finished_run: Path) -> Path:
    """A finished run with the settings that the train command writes."""
    settings = TrainedModel.open(finished_run / "best", CPU).experiment.settings()
    RunFolder(finished_run).claim({"settings": settings, "workers": {}}, {}, may_differ=())
    return finished_run


def test_loaded_run_has_epochs_best_settings_and_metrics(run: Path) -> None:
    loaded = ltray.load(str(run))
    assert isinstance(loaded, ltray.LoadedRun) and loaded.folder == run
    assert list(loaded.history["epoch"]) == [1, 2, 3] and set(loaded.history["trial"]) == {0}
    (row,) = loaded.results.to_dict("records")
    assert row["epochs"] == 3 and row["cross_entropy.epochs"] == 3 and row["methods"] == "cross_entropy"
    best = loaded.history.loc[loaded.history["epoch"] == row["best_epoch"]].iloc[0]
    assert row["val/acc_all"] == best["val/acc_all"] == loaded.history["val/acc_all"].max()
    assert loaded.best["cross_entropy.schedule"] == "cosine" and 0.0 <= loaded.metrics["test/acc_all"] <= 1.0
    assert type(loaded.results) is type(loaded.history) is pd.DataFrame


def test_checkpoint_is_loaded_as_a_run_of_one_epoch(run: Path) -> None:
    loaded = ltray.load(run / "best")
    assert loaded.record is None and len(loaded.history) == len(loaded.results) == 1
    assert loaded.results["best_epoch"][0] == loaded.history["epoch"][0]
    assert loaded.best == TrainedModel.open(run / "best", CPU).experiment.settings() and loaded.metrics == {}


def test_model_predicts_files_arrays_and_tensors_equally(run: Path, tmp_path: Path) -> None:
    model = ltray.load(run).model("cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    files = [tmp_path / f"{place}.png" for place in range(3)]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    expected = [(one.classes, one.probabilities) for one in ltray.predict.run(run, files).predictions]
    tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    for given in (
        files,
        [str(file) for file in files],
        pixels,
        list(pixels),
        tensors,
        [files[0], pixels[1], tensors[2]],
    ):
        assert [(one.classes, one.probabilities) for one in model.predict(given)] == expected
    for single in (files[0], str(files[0]), pixels[0], tensors[0]):
        (one,) = model.predict(single)
        assert one.classes == expected[0][0] and one.probabilities == pytest.approx(expected[0][1], abs=1e-6)
    assert len(model.class_names) == 10 and len(model.predict(pixels, top=99)[0].classes) == 10
    assert sum(model.predict(pixels, top=10)[0].probabilities) == pytest.approx(1.0)
    assert model.predict([]) == [] and model.predict(tmp_path / "absent.png")[0].error == "no such file"


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8, 3)), r"an array \(H, W, 3\) of type uint8, but has the shape \(8, 8, 3\) and type float64"),
        (np.zeros((8, 8), np.uint8), r"an array \(H, W, 3\)"),
        (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\)"),
        (np.zeros((0, 8, 3), np.uint8), "an array"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), r"a tensor \(3, H, W\)"),
        (torch.zeros(3, 8, 8), "of type uint8, but .* torch.float32"),
        ([None], "An image must be a path, an array or a tensor, but is None"),
        ([7], "but is 7"),
        ([[1, 2]], r"but is \[1, 2\]"),
    ],
)
def test_invalid_image_is_refused(run: Path, image: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ltray.load(run).model("cpu").predict(image)
    with pytest.raises(UsageError, match="`top` is 0"):
        ltray.load(run).model("cpu").predict([], top=0)


def test_invalid_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for given, message in {
        "": "is empty",
        "absent": "no such folder",
        ".": "contains no checkpoint",
        "file": "no such folder",
        "s3://bucket/run": "is a URL",
        "a\0b": "NUL",
    }.items():
        with pytest.raises(UsageError, match=message):
            ltray.load(tmp_path / given if given and ":" not in given and "\0" not in given else given)
    with pytest.raises(UsageError, match="`run` must be a path, but is None"):
        ltray.load(None)


def damage_config(run: Path) -> None:
    (run / "config.yaml").write_text("settings: 3\n")


def damage_history(run: Path) -> None:
    lines = (run / "history.jsonl").read_text().replace('"stage": 0', '"stage": 1')
    (run / "history.jsonl").write_text(lines)


def damage_evaluation(run: Path) -> None:
    path = run / "best" / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"epoch": 99}))


def set_newer_format(run: Path) -> None:
    path = run / "best" / "evaluation.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(seal(content) | {"format": 99}))


@pytest.mark.parametrize("change", [damage_config, damage_history, damage_evaluation, set_newer_format])
def test_damaged_run_is_refused(run: Path, change) -> None:
    change(run)
    with pytest.raises(UsageError, match=r"config\.yaml|history\.jsonl|evaluation\.json"):
        ltray.load(run)


def test_damaged_weights_are_refused_when_read(run: Path) -> None:
    path = run / "best" / "checkpoint.pt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match="damaged"):
        ltray.load(run).model()


def test_search_without_a_model_is_reported(run: Path) -> None:
    config = {"settings": ltray.load(run).record.settings, "search": {"objectives": ["acc_all"]}}
    folder = run.parent / "search"
    RunFolder(folder).claim(config, {}, may_differ=())
    loaded = ltray.load(folder)
    assert len(loaded.history) == 0 and len(loaded.results) == 0 and loaded.metrics == {}
    for use in (lambda: loaded.best, loaded.model):
        with pytest.raises(UsageError, match="contains no checkpoint"):
            use()


def test_foreign_run_imports_nothing_from_the_current_folder(tmp_path: Path, monkeypatch) -> None:
    from ltray.imported import check_not_from_current_folder as check

    written(tmp_path, "foreignpackage", smooth="raise RuntimeError('it ran')")
    (tmp_path / "single.py").write_text("raise RuntimeError('it ran')\n")
    named = [
        {"methods": ["foreignpackage.smooth:METHOD"]},
        {"dataset.source": "single:open"},
        {"backbone": "foreignpackage.x:y"},
    ]
    monkeypatch.chdir(tmp_path)
    for place in ("", str(tmp_path)):  # an interactive session; `python -m`
        monkeypatch.setattr(sys, "path", [place, *[p for p in sys.path if p not in ("", str(tmp_path))]])
        for settings in named:
            with pytest.raises(UsageError, match="from the current folder.*export PYTHONPATH="):
                check(settings, "run")
        check({"methods": ["bcl"], "dataset.source": "json:loads", "x": ["a:b c", ":", "absent_package:X"]}, "run")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])  # as with PYTHONPATH or an installed package
    for settings in named:
        check(settings, "run")
    monkeypatch.setattr(sys, "path", ["/nowhere", *sys.path[1:]])
    for settings in named:
        check(settings, "run")


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_commands_refuse_code_in_the_current_folder(
    command: str, short_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ltray.engine.checkpoint import Checkpoint
    from ltray.run_folder import checkpoint_of

    saved = Checkpoint.load(checkpoint_of(short_run))
    settings = dict(saved.settings) | {"methods": ["foreignpackage.smooth:METHOD"]}
    type(saved)(**{**saved.__dict__, "settings": settings}).save(tmp_path / "gift")
    written(tmp_path, "foreignpackage", smooth=METHOD + "\nopen('it_ran', 'w')\n")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    arguments = ["gift", "a.png"] if command == "predict" else ["gift"]
    with pytest.raises(UsageError, match="gift: its settings contain 'foreignpackage.smooth:METHOD'"):
        getattr(ltray, command).main(arguments)
    with pytest.raises(UsageError, match="gift: its settings contain"):
        ltray.load("gift").model()
    assert not (tmp_path / "it_ran").exists() and "foreignpackage" not in sys.modules
    unload("foreignpackage")


def test_import_ltray_is_fast() -> None:
    program = (
        "import sys, time; t = time.perf_counter(); import ltray; ltray.UsageError; print(time.perf_counter() - t)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True) for _ in range(3)
    ]
    assert min(float(done.stdout) for done in runs) < 0.5
