"""`python -m ltray.reproduce`: list rows, train them with several seeds, continue them, judge them."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltray.errors import RunFailed, UsageError
from ltray.reproduce import main
from ltray.reproduction import hours
from ltray.reproduction.availability import MachineCheck
from ltray.reproduction.row import PublishedRow
from ltray.train import RunInterrupted
from tests.on_ray.commands import environment, run
from tests.reproduction.finished import write_run

FOCAL = "bcl-table3/focal-loss/cifar100-lt/100"
TAU = "bcl-table4/tau-norm/cifar100-lt/100"
TINY = (
    "dataset.largest_class=20",
    "dataset.imbalance_factor=4",
    "dataset.test_per_class=2",
    "cross_entropy.batch_size=64",
    "cross_entropy.epochs=4",
)


@pytest.fixture
def without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and an empty data folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LTRAY_SHARED_DATA", str(tmp_path / "none"))
    return tmp_path


@pytest.fixture
def trained(without_data: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The runs that the command starts, which are written without training."""
    calls: list[dict[str, Any]] = []

    def write(dataset: str, methods: tuple[str, ...], settings: dict, resources: object, **paths: Any) -> Path:
        calls.append({"dataset": dataset, "methods": methods, "settings": settings} | paths)
        seed = settings.pop("seed")
        write_run(PublishedRow.of(FOCAL, settings), paths["output"], seed=seed, accuracy=0.38 + 0.002 * seed)
        return paths["output"]

    monkeypatch.setattr("ltray.reproduce.begin_or_continue", write)
    return calls


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    return capsys.readouterr().out


def test_seeds_are_trained_one_after_another_and_judged_together(
    trained: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, FOCAL, "--seeds", "2", "precision=bfloat16")
    folder = PublishedRow.of(FOCAL, {}).folder
    assert [call["output"] for call in trained] == [folder, folder.with_name(f"{folder.name}-seed1")]
    assert [call["settings"]["focal.precision"] for call in trained] == ["bfloat16"] * 2
    assert trained[0]["settings"]["dataset.protocol"] == "paper"
    assert "published 38.41 %, ours 38.1 (65.8 / 35.6 / 8.4) % (2 runs)" in text
    assert "verdict: within noise; with focal.precision=bfloat16 instead of float32" in text
    assert f"| 2026-11-29 | `{FOCAL}`, seeds 0, 1 | 38.1 (65.8 / 35.6 / 8.4) | 38.41 | within noise" in text
    again = printed(capsys, FOCAL, "--seeds", "3", "precision=bfloat16")
    assert len(trained) == 3 and again.count("finished in") == 2  # finished runs are not trained again
    assert "done (3 seeds): within noise" in printed(capsys, "--list", FOCAL, "precision=bfloat16")


def test_output_is_the_run_folder(trained: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, FOCAL, "--output", "mine")
    assert [call["output"] for call in trained] == [Path("mine")]


@pytest.mark.parametrize(("error", "code"), [(RunFailed("a reason"), 1), (RunInterrupted(), 130)])
def test_failed_and_interrupted_runs_have_their_exit_codes(
    without_data: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("ltray.reproduce.begin_or_continue", fail)
    assert main([FOCAL]) == code


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name at least one row"),
        ([FOCAL, FOCAL], "named twice"),
        ([FOCAL, TAU, "--output", "x"], "--output is the folder of one row"),
        ([FOCAL, "--runnable"], "--runnable has no effect without --list"),
        ([FOCAL, "--time"], "--time has no effect without --list"),
        (["--list", "--seeds", "2"], "--seeds has no effect with --list"),
        (["--list", "--background"], "--background has no effect with --list"),
        (["--list", "--paper", "bcl-tabel3"], "Did you mean `bcl-table3`"),
        (["--list", FOCAL, "--dataset", "cifar10-lt"], "no listed row has this value"),
        (["bcl-table3/focal-los/cifar100-lt/100"], "Did you mean `bcl-table3/focal-loss/cifar100-lt/100`"),
        (["bcl-table3/bbn/cifar100-lt/100"], "cannot be trained: not in ltray: BBN"),
        (["rescom-table3/rescom/imagenet-lt-corrupted/resnet-50"], "not in ltray: the data set"),
        (["paco-table13/ce/imagenet-lt/resnet-50"], "a variant that is not in ltray"),
        ([FOCAL, "precision=float8"], "must be one of"),
        ([TAU, "batch_siz=2"], "is not a setting"),
        ([TAU, "epochs=2"], "could be any of `cross_entropy.epochs`, `tau_norm.epochs`"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    without_data: Path, arguments: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        main(arguments)
    assert list(without_data.iterdir()) == []


def test_folder_in_use_is_refused(without_data: Path) -> None:
    write_run(PublishedRow.of(FOCAL, {}), Path("run"), epochs=1, accuracy=None)
    program = "import fcntl, time; file = open('run/.lock', 'a+'); fcntl.lockf(file, fcntl.LOCK_EX)"
    program += "; print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline()
        with pytest.raises(UsageError, match="run: in use by another process"):
            main([FOCAL, "--output", "run"])
        other.kill()
    with open("run/.lock", "a+") as own:
        fcntl.lockf(own, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the check has kept no lock


def test_list_without_data_states_what_is_missing(without_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--list", "--paper", "bcl-table4")
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "no" in lines[TAU].split() and "cifar100-lt is not on this machine" in lines[TAU]
    assert lines["bcl-table4/dro-lt/cifar100-lt/100"].endswith("not in ltray: DRO-LT")
    assert "9 rows, 0 of them can be trained here" in text
    assert "0 rows" in printed(capsys, "--list", "--runnable", "--method", "dlsa")
    assert not (without_data / "data").exists()


def test_rows_whose_data_are_here_can_be_trained(without_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"cifar100-lt"}
    monkeypatch.setattr(
        "ltray.reproduction.availability.open_if_present",
        lambda definition: object() if definition.name in here else None,
    )
    machine = MachineCheck()
    assert machine.of(PublishedRow.of(FOCAL, {})).runnable
    assert machine.of(PublishedRow.of(FOCAL, {})).reason == ""
    unstated = machine.of(PublishedRow.of("mislas-readme/stage-2-mislas/cifar100-lt/100", {}))
    assert unstated.runnable and "the source does not state its epochs, ours: 200" in unstated.reason
    assert not machine.of(PublishedRow.of("bcl-table3/focal-loss/cifar10-lt/100", {})).runnable
    clip = machine.of(PublishedRow.of("lift-leaderboard/lift/cifar100-lt/100/clip-vit-b-16", {}))
    assert not clip.runnable and "the weights of openclip/ViT-B-16/openai are not on this machine" in clip.reason
    ambiguous = machine.of(PublishedRow.of(FOCAL, {"epochs": 3}))
    assert ambiguous.reason == "not comparable: their epochs: 200, ours: 3"


def test_hours_are_measured_once_for_each_kind_of_step(without_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from ltray.engine.timing import StageTime
    from ltray.long_tail import LongTail
    from ltray.study.cost import TrialCost

    timed: list[str] = []

    def measure(experiment: Any, data: Any, device: object) -> TrialCost:
        timed.append(experiment.methods[0].name)
        return TrialCost((StageTime(200, 85, 0.36, 7.2),), 1)

    def open_data(experiment: Any, device: object) -> SimpleNamespace:
        images = {100.0: 108, 50.0: 126, 10.0: 199}[experiment.dataset.imbalance_factor]
        return SimpleNamespace(tail=LongTail((images,) * 100), selection_counts=(100,) * 100)

    monkeypatch.setattr(hours, "measure", measure)
    monkeypatch.setattr("ltray.experiment.Experiment.open_data", open_data)
    known = hours.RowHours(hours.torch.device("cpu"))
    rows = [PublishedRow.of(f"bcl-table3/focal-loss/cifar100-lt/{factor}", {}) for factor in (100, 50, 10)]
    assert known.known(rows[0]) is None
    found = [known.measure(row).hours for row in rows]
    assert timed == ["focal"]
    assert found[0] == pytest.approx(200 * (85 * 0.36 + 7.2) / 3600)
    assert found[2] == pytest.approx(200 * (157 * 0.36 + 7.2) / 3600)
    known.measure(PublishedRow.of(FOCAL, {"precision": "bfloat16"}))
    assert timed == ["focal", "focal"]  # another number format: other steps
    again = hours.RowHours(hours.torch.device("cpu"))
    assert again.known(rows[0]) == hours.KnownHours(found[0], True)
    assert again.known(rows[0]).text == "2.1"
    monkeypatch.setattr(hours, "commit", lambda: "another")
    assert hours.RowHours(hours.torch.device("cpu")).known(rows[0]).text == "(2.1)"
    monkeypatch.setattr(hours, "processor", lambda: "another machine")
    assert hours.RowHours(hours.torch.device("cpu")).known(rows[0]) is None


def test_damaged_file_of_hours_is_named(without_data: Path) -> None:
    (without_data / "data").mkdir()
    (without_data / "data" / hours.FILE).write_text("{")
    with pytest.raises(UsageError, match=hours.FILE):
        hours.RowHours(hours.torch.device("cpu"))


def test_background_process_gets_the_same_command(
    without_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[tuple[list[str], Path]] = []
    monkeypatch.setattr("ltray.reproduce.start", lambda words, log: started.append((words, log)) or 4321)
    text = printed(capsys, "precision=bfloat16", FOCAL, "--backgr", "--seeds", "2", "--output", "a run")
    ((words, log),) = started
    assert words == [FOCAL, "--seeds", "2", "precision=bfloat16", "--output", "a run"]
    assert log == Path("a run.log")
    assert "tail -f 'a run.log'" in text and "kill 4321" in text


def wait_for(reached: Callable[[], bool], limit: float = 600) -> None:
    end = time.monotonic() + limit
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.ffcv
def test_killed_reproduction_continues_to_the_same_result(
    tmp_path: Path, cifar_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTRAY_SHARED_DATA", str(cifar_folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    whole = run("reproduce", TAU, *TINY, "--output", "whole", data=tmp_path)
    text = run("reproduce", TAU, *TINY, "--output", "cut", "--background", data=tmp_path)
    process = int(re.search(r"as process (\d+)", text)[1])
    log = tmp_path / "cut.log"
    wait_for(lambda: "epoch 2/" in log.read_text())
    os.killpg(process, signal.SIGKILL)
    assert not (tmp_path / "cut" / "best").exists()
    rest = run("reproduce", TAU, *TINY, "--output", "cut", data=tmp_path)
    assert "continues the run in cut" in rest
    verdicts = [re.search(r"^verdict: (.*)$", one, re.M)[1] for one in (whole, rest)]
    assert verdicts[0] == verdicts[1] and verdicts[0].startswith("not comparable: ")
    ours = [re.search(r"ours ([^%]*) %", one)[1] for one in (whole, rest)]
    assert ours[0] == ours[1]
    assert environment(tmp_path)["LTRAY_DATA"] == str(tmp_path)
