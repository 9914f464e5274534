"""The functions `run` of the commands' modules: the command's arguments as keywords, errors as exceptions."""

import errno
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image

import ltray
from ltray.errors import RunFailed, UsageError
from ltray.run_folder import RunFolder
from tests.on_ray.commands import environment
from tests.other_package import METHOD, written
from tests.paths import ROOT

# Arguments with another name in the function, and options that concern only the printed output.
RENAMED = {"--from": "start", "--on-error": "on_error", "--all": "names", "--analyses": "names"}
# What the other functions of a module do; all analyses are those of no name.
FURTHER = {"tune": lambda module: [module.table], "evaluate": lambda module: [module.analyses]}
PRINTING = {"--help", "--shift", "--prior", "--adapt", "--format", "--output", "--json", "--classes", "--dry-run"}


@pytest.mark.parametrize("name", ["train", "tune", "convert", "evaluate", "predict"])
def test_every_option_of_a_command_is_an_argument_of_its_function(name: str) -> None:
    module = getattr(ltray, name)
    functions = [module.run, *FURTHER.get(name, lambda module: [])(module)]
    arguments = {argument for function in functions for argument in inspect.signature(function).parameters}
    printing = PRINTING - {"--output"} if name in ("train", "tune", "convert") else PRINTING
    for action in module.new_parser().declared():
        option = next((word for word in action.option_strings if word.startswith("--")), "")
        if option in printing:
            continue
        wanted = RENAMED.get(option, option.removeprefix("--").replace("-", "_") or action.dest)
        assert wanted in arguments or (name, wanted) == ("evaluate", "run"), (name, wanted)
    assert all(inspect.signature(function).return_annotation is not inspect.Signature.empty for function in functions)


GOOD = {"dataset": "digits-lt", "methods": "cross_entropy"}
WRONG_TRAINING = [
    ({"dataset": "digits"}, "digits"),
    ({"dataset": 3}, "`dataset` must be a path, but is 3"),
    ({"methods": "cros_entropy"}, "Did you mean `cross_entropy`"),
    ({"methods": []}, "`methods` must contain at least one method"),
    ({"methods": [3]}, "is not a method"),
    ({"workers": 0}, "`workers` must be a whole number from 1"),
    ({"workers": True}, "`workers` must be a whole number from 1"),
    ({"cpus_per_worker": 1.5}, "`cpus_per_worker` must be a whole number"),
    ({"settings": {"epoch": 2}}, "`epoch` is not a setting|Did you mean"),
    ({"settings": {"epochs": -1}}, "epochs"),
    ({"settings": {"methods": ["bcl"]}}, "`methods` is set with the option --methods"),
    ({"settings": ["epochs=2"]}, "`settings` must be a mapping"),
    ({"settings": {3: 4}}, "3"),
    ({"start": "absent"}, "no such folder"),
    ({"output": ""}, "`output` is empty"),
    ({"output": "s3://bucket"}, "is a URL"),
]


@pytest.mark.parametrize(("given", "message"), WRONG_TRAINING)
def test_train_run_refuses_a_wrong_argument(given: dict, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        ltray.train.run(**GOOD | given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"space": "rescm"}, "rescom"),
        ({"space": None}, "`space` must be a path"),
        ({"settings": {"search.trial": 2}}, "Did you mean"),
        ({"settings": 4}, "`settings` must be a mapping"),
        ({"budget": "2 days"}, "budget"),
        ({"budget": 3}, "budget"),
        ({"resume": True}, "nothing to resume"),
        ({"start": "absent"}, "no such folder"),
    ],
)
def test_tune_run_refuses_a_wrong_argument(given: dict, message: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        ltray.tune.run(**{"space": "rescom"} | given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dataset": "absent"}, "absent"),
        ({"dataset": None}, "`dataset` must be a path"),
        ({"on_error": "skp"}, "'skp' is not a treatment .* Did you mean `skip`"),
        ({"settings": {"image_sise": 8}}, "Did you mean `image_size`"),
        ({"settings": "image_size=8"}, "`settings` must be a mapping"),
    ],
)
def test_convert_run_refuses_a_wrong_argument(given: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        ltray.convert.run(**{"dataset": "digits-lt", "output": tmp_path} | given)
    assert not list(tmp_path.iterdir())


def test_full_disk_fails_a_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **named: object) -> bool:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "digits/train.beton")

    monkeypatch.setattr(ltray.convert, "convert", full)
    with pytest.raises(RunFailed, match="digits/train.beton: No space left on device; completed parts are kept$"):
        ltray.convert.run("digits-lt", output=tmp_path)


def test_evaluate_and_predict_return_what_the_commands_print(finished_run: Path, tmp_path: Path, capsys) -> None:
    RunFolder(finished_run).claim({"settings": {}}, {}, may_differ=())
    found = ltray.evaluate.run(finished_run)
    assert found.look == 0 and capsys.readouterr().out == ""
    ltray.evaluate.main([str(finished_run), "--json"])
    assert f'"val/acc_all": {found.predictions.metrics()["val/acc_all"]}' in capsys.readouterr().out
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    for images in (tmp_path / "a.png", str(tmp_path / "a.png"), [tmp_path / "a.png"]):
        (one,) = ltray.predict.run(finished_run, images, top=2).predictions
        assert one.path == tmp_path / "a.png" and len(one.classes) == 2
    assert capsys.readouterr().out == ""
    for wrong, message in (([], "no image in"), (None, "must be a path"), ([3], "`images` must be a path, but is 3")):
        with pytest.raises(UsageError, match=message):
            ltray.predict.run(finished_run, wrong)


SCRIPT = """
import signal, sys, threading
import ray
import ltray

mode = sys.argv[1]
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
sys.path.insert(0, "elsewhere")
if mode == "users":
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
found = []

def train():
    found.append(ltray.train.run(
        dataset="digits-lt", methods=["kept.smooth:METHOD"], output="run",
        settings={"epochs": 1, "dataset.largest_class": 40},
    ))

if mode == "thread":
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
else:
    train()
assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
assert ray.is_initialized() == (mode == "users")
(run,) = found
assert len(run.history) == 1 and 0 <= run.metrics["test/acc_all"] <= 1, run.metrics
print("classes", len(run.model("cpu").class_names), run.best["methods"])
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("mode", ["plain", "users", "thread"])
def test_script_without_main_guard_trains_its_own_method(mode: str, tmp_path: Path) -> None:
    """Only the script adds the folder of its module to the path; conversion and workers start processes."""
    (tmp_path / "elsewhere").mkdir()
    written(tmp_path / "elsewhere", "kept", smooth=METHOD)
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, "script.py", mode],
        cwd=tmp_path,
        env=environment(tmp_path / "data"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "classes 10 ['kept.smooth:METHOD']" in done.stdout and done.stdout.count("converted") <= 1


@pytest.mark.slow
@pytest.mark.ray
def test_train_command_trains_a_method_from_another_folder(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    written(tmp_path / "packages", "kept", smooth=METHOD)
    (tmp_path / "work").mkdir()
    small = ["epochs=1", "dataset.largest_class=40"]
    arguments = ["-m", "ltray.train", "--methods", "kept.smooth:METHOD", "--dataset", "digits-lt", "--output", "run"]
    variables = environment(tmp_path / "data")
    paths = [str(tmp_path / "packages"), *filter(None, [variables.get("PYTHONPATH"), str(ROOT)])]
    done = subprocess.run(
        [sys.executable, *arguments, "--workers", "2", *small],
        cwd=tmp_path / "work",
        env=variables | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "epoch 1/1" in done.stdout and (tmp_path / "work" / "run" / "best").is_dir()
