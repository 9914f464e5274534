"""Output folders: commands accept new and empty folders and runs, and replace only files written by ltray."""

import os
import shutil
from pathlib import Path

import pytest
import yaml

from ltray import train, tune
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.results.final_evaluation import keep_evaluated
from ltray.results.output_folder import check_output
from ltray.run_folder import RunFolder, checkpoint_of
from ltray.testing import contract

SETTINGS = Experiment.from_settings({"dataset": "digits-lt", "methods": ["bcl"]}).settings()
CONFIG = {"settings": SETTINGS, "workers": {}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


def test_new_folders_empty_folders_and_runs_are_accepted(folder: Path) -> None:
    check_output(folder / "absent" / "deeper")
    check_output(folder)
    with RunFolder(folder).locked():
        check_output(folder)
        (folder / ".DS_Store").write_bytes(b"")
        (folder / ".config.yaml.17.tmp").write_text("sett")
        (folder / "env.json").write_text("{}")
        check_output(folder)
        assert not RunFolder(folder).claim(CONFIG, {}, may_differ=())
    (folder / "notes.txt").write_text("a user's file next to a run's files")
    check_output(folder)
    assert RunFolder(folder).claim(CONFIG, {}, may_differ=())


@pytest.mark.parametrize("name", ["photo.jpg", ".git", "best", "env.json.bak", "config.yml", "trials", ".hidden"])
def test_folder_that_is_not_a_run_is_refused_and_not_changed(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    with pytest.raises(
        UsageError, match=f"run: is not a run folder: it does not contain config.yaml, but contains {name}. Use an"
    ):
        check_output(folder)
    assert os.listdir(folder) == [name]


def test_first_foreign_names_are_listed_escaped(folder: Path) -> None:
    for name in ("a\x1b[2J", "b", "c", "d", "e"):
        (folder / name).touch()
    with pytest.raises(UsageError, match=r"but contains a\\x1b\[2J, b, c and 2 more\."):
        check_output(folder)


@pytest.mark.parametrize("content", ["", "a: 1", "- 1", "settings: [", "\x00"])
def test_foreign_config_file_is_refused(folder: Path, content: str) -> None:
    (folder / "config.yaml").write_text(content)
    with pytest.raises(UsageError, match=r"config\.yaml: "):
        claim_after_check(folder)
    assert (folder / "config.yaml").read_text() == content and os.listdir(folder) == ["config.yaml"]


def claim_after_check(folder: Path) -> None:
    check_output(folder)
    RunFolder(folder).claim(CONFIG, {}, may_differ=())


def test_file_dangling_link_and_subfolder_of_a_run_are_refused(folder: Path) -> None:
    (folder / "file").touch()
    (folder / "link").symlink_to("nothing")
    for name in ("file", "link"):
        with pytest.raises(UsageError, match=f"{name}: is not a folder"):
            check_output(folder / name)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    for inside in (folder / "trials" / "0001", folder / "new"):
        with pytest.raises(UsageError, match=f"is inside the run {folder}"):
            check_output(inside)


def test_link_to_a_run_is_accepted(folder: Path, tmp_path: Path) -> None:
    RunFolder(folder).claim(CONFIG, {}, may_differ=())
    (tmp_path / "link").symlink_to(folder)
    check_output(tmp_path / "link")
    assert RunFolder(tmp_path / "link").claim(CONFIG, {}, may_differ=())


@pytest.mark.parametrize("command", ["train", "tune", "dry run"])
def test_commands_refuse_a_foreign_folder_before_writing(folder: Path, command: str) -> None:
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="is not a run folder"):
        if command == "train":
            train.main(["--methods", "cross_entropy", "--dataset", "digits-lt", "--output", str(folder)])
        else:
            tune.main(["rescom", "dataset=digits-lt", "--output", str(folder), *(["--dry-run"] * (command != "tune"))])
    assert os.listdir(folder) == ["thesis.tex"]


def foreign_file(best: Path) -> None:
    (best / "model.onnx").write_bytes(b"exported")


def foreign_folder(best: Path) -> None:
    shutil.rmtree(best)
    best.mkdir()
    (best / "checkpoint.pt").write_bytes(b"somebody else's")


def link(best: Path) -> None:
    best.rename(best.parent / "elsewhere")
    best.symlink_to("elsewhere")


def file(best: Path) -> None:
    shutil.rmtree(best)
    best.write_text("text of a user")


@pytest.mark.parametrize("make", [foreign_file, foreign_folder, link, file])
def test_foreign_best_folder_is_not_removed(finished_run: Path, make) -> None:
    best = finished_run / "best"
    make(best)
    before = {path: path.read_bytes() for path in sorted(finished_run.rglob("*")) if path.is_file()}
    for replace in (
        lambda: RunFolder(finished_run).best.check_written_by_ltray(),
        lambda: keep_evaluated(finished_run, sorted(finished_run.glob("checkpoint_*"))[0], contract.CPU),
    ):
        with pytest.raises(UsageError, match=r"best: .*Move it, then run the same command to continue\."):
            replace()
    assert {path: path.read_bytes() for path in sorted(finished_run.rglob("*")) if path.is_file()} == before


def test_best_folder_of_ltray_is_replaced_and_temporary_files_are_removed(finished_run: Path) -> None:
    (finished_run / ".ltray-abc" / "best").mkdir(parents=True)
    (finished_run / "best.tmp").mkdir()
    (finished_run / "best" / "test_reads.json").write_text('{"reads": 5}')
    other = sorted(finished_run.glob("checkpoint_*"))[0]
    evaluation = keep_evaluated(finished_run, other, contract.CPU, stamps={"trial": 3})
    assert RunFolder(finished_run).best.evaluation()["trial"] == evaluation["trial"] == 3
    assert checkpoint_of(finished_run) == finished_run / "best" and not (finished_run / "best/test_reads.json").exists()
    assert (finished_run / "best.tmp").is_dir() and not list(finished_run.glob(".ltray-*"))
