"""`python -m ltray.tune` without training: `ls`, `cp`, names of search spaces, dry runs."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from ltray.engine.memory_session import MemorySession
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.run_folder import RunFolder
from ltray.seal import write_listed
from ltray.space import catalog
from ltray.space.search_space import SearchSpace
from ltray.study.cost import expected_share
from ltray.testing.contract import SMALL_DIGITS
from ltray.tune import main

SMALL = ["dataset.largest_class=40", "dataset.imbalance_factor=8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def here(tmp_path, data, monkeypatch):
    """An empty working folder; the data folder is another one."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LTRAY_DATA", str(data))
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def test_ls_lists_every_shipped_space(here, capsys):
    assert main(["ls"]) == 0
    lines = capsys.readouterr().out.splitlines()
    files = list(catalog.SHIPPED.rglob("*.yaml"))
    names = {line.split("│")[1].strip() for line in lines if line.startswith("│")} - {""}
    assert names == {str(file.relative_to(catalog.SHIPPED).with_suffix("")) for file in files}
    (bcl,) = [line for line in lines if line.startswith("│ bcl ")]
    assert [cell.strip() for cell in bcl.split("│")[2:5]] == ["bcl", "cifar100-lt", "9 knobs"]
    (table,) = [line for line in lines if line.startswith("│ paper/bcl-table1 ")]
    assert "3 rows" in table and "BCL, Table 1" in table


def test_cp_copies_a_space_whose_first_line_runs_the_copy(here, capsys):
    assert main(["cp", "crt", "mine.yaml"]) == 0
    copied = Path("mine.yaml").read_text()
    assert copied.startswith("# python -m ltray.tune mine.yaml --from runs/")
    assert copied.partition("\n")[2] == (catalog.SHIPPED / "crt.yaml").read_text().partition("\n")[2]
    with pytest.raises(UsageError, match="mine.yaml: exists already.*--overwrite"):
        main(["cp", "bcl", "mine.yaml"])
    assert Path("mine.yaml").read_text() == copied
    assert main(["cp", "bcl", "mine.yaml", "--overwrite"]) == 0
    assert SearchSpace.read("mine.yaml").alternatives[0].methods == ("bcl",)
    assert main(["cp", "paper/bcl-table1"]) == 0 and Path("bcl-table1.yaml").is_file()
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        main(["cp", "bcl", "nowhere/x.yaml"])


def test_space_is_found_by_name_and_the_nearest_one_is_suggested(here):
    assert catalog.find("rescom").samefile(catalog.SHIPPED / "rescom.yaml")
    with pytest.raises(UsageError, match="rescmo: no such file, and no search space of this name.*mean `rescom`"):
        main(["rescmo"])
    shutil.copy(catalog.SHIPPED / "bcl.yaml", "rescom")  # a file has precedence over a name
    assert catalog.find("rescom") == Path("rescom")


@pytest.mark.ffcv
def test_dry_run_prints_space_cost_and_disk_and_writes_nothing(here, capsys):
    arguments = ["which-method", "methods={among: [ldam, [ldam, tau_norm]]}", "dataset=digits-lt", "epochs=9", *SMALL]
    assert main([*arguments, "search.trials=5", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "digits-lt: 10 classes" in printed and "ldam | ldam, tau_norm" in printed
    assert "ldam.margin" in printed and "0.1 … 0.8" in printed and "margin of the rarest class" in printed
    assert "5 trials of 10 epochs: about" in printed and re.search(
        r"about [\d.,]+ CPU (hours|minutes|seconds)", printed
    )
    assert "early stopping at epochs [2, 6] (asha" in printed and "iB free" in printed
    assert list(here.iterdir()) == []


@pytest.mark.ffcv
def test_dry_run_shows_every_row(here, capsys):
    Path("mine.yaml").write_text(
        "dataset: digits-lt\nmethods: [cross_entropy]\nrows:\n  - {name: slow, learning_rate: 0.01}\n  - {name: fast}\n"
    )
    assert main(["mine.yaml", *SMALL, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "2 rows, one trial each" in printed and "slow" in printed and "0.01" in printed
    assert "no early stopping" in printed and "2 trials of 30 epochs" in printed


@pytest.mark.ffcv
@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("trial.workers=3", "`ldam.batch_size` is 16, which cannot be divided equally among 3 workers"),
        ("trial.cpus_per_worker=1000", "A trial needs 1000 CPU cores .* but this machine has"),
        ("ldam.margin=3", "`0 <= margin <= 2` must hold"),
        ("explore.ldam.margin={from: 0.6, to: 0.7}", "`ldam.margin` does not contain the papers' value"),
        ("stop.first_rung=99999", "`stop.first_rung` must be below the"),
        ("search.objectives=[acc_many]", "`acc_many` does not exist: no class of this data is many-shot"),
        ("search.warm_start=[nowhere]", "nowhere contains no search"),
    ],
)
@pytest.mark.parametrize("dry_run", [["--dry-run"], []])
def test_invalid_search_is_refused_before_a_folder_is_created(here, word, sentence, dry_run):
    with pytest.raises(UsageError, match=sentence):
        main(["ldam", "dataset=digits-lt", *SMALL, word, *dry_run])
    assert list(here.iterdir()) == []


@pytest.mark.ffcv
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["backbone=resnet50", "weights=nowhere.pt"], "nowhere.pt'"),
        (["stop.rule=pbt", "search.sampler=random", "search.trials=1"], "needs a population"),
        (["stop.rule=pbt", "search.sampler=random", "finalists.best=2"], "no single setting to train again"),
        (
            ["stop.fidelity=short_runs", "stop.promotion=continue", "finalists.best=2"],
            "each finalist is trained in one complete run",
        ),
    ],
)
def test_incompatible_settings_are_refused_before_a_folder_is_created(here, arguments, sentence):
    with pytest.raises(UsageError, match=sentence):
        main(["rescom", "dataset=digits-lt", *SMALL, *arguments])
    assert list(here.iterdir()) == []


@pytest.mark.ffcv
def test_second_stage_starts_from_a_run(here, tmp_path, capsys):
    with pytest.raises(UsageError, match="`crt` continues from a trained network: give a run with --from"):
        main(["crt", "dataset=digits-lt", "--dry-run"])
    settings = {**SMALL_DIGITS, "methods": ["cross_entropy"], "cross_entropy.epochs": 1}
    session = MemorySession()
    Experiment.from_settings(settings).train(session, torch.device("cpu"))
    run = tmp_path / "run" / "best"
    session.resume().save(run)
    arguments = ["crt", "dataset=digits-lt", "dataset.image_size=8", *SMALL, "--dry-run"]
    assert main([*arguments, "--from", str(run.parent)]) == 0
    assert f"start={run}" in capsys.readouterr().out.replace("\n", "")
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        main([*arguments, "--from", "nowhere"])


def test_expected_share_of_successive_halving():
    assert expected_share([], 9, keep_one_in=3) == 1.0
    assert expected_share([1, 3], 9, keep_one_in=3) == pytest.approx((1 + 2 / 3 + 6 / 9) / 9)


@pytest.fixture
def begun(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a search that was begun in `here` with relative paths, and ended before its first trial."""
    shutil.copy(catalog.SHIPPED / "quickstart.yaml", "mine.yaml")
    monkeypatch.setattr("ltray.on_ray.search.join_cluster", lambda space, budget: None)
    monkeypatch.setattr("ltray.on_ray.search.search", lambda *arguments, **options: 130)
    assert (
        main(["mine.yaml", "--output", "run", "search.trials=3", *SMALL, "explore.temperature={from: 0.1, to: 0.3}"])
        == 130
    )
    return (here / "run").resolve()


def test_folder_alone_continues_its_search_from_any_directory(
    begun: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = RunFolder(begun).config()
    monkeypatch.chdir(tmp_path)
    assert main([str(begun)]) == 130
    assert f"continues the search in {begun}" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main([str(begun), "search.trials=5"]) == 130  # settings that may change can be given
    config = RunFolder(begun).config()
    assert config["trials"] == 5 and config["settings"] == before["settings"] and config["explore"] == before["explore"]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="different settings: .*learning_rate"):
        main([str(begun), "rescom.learning_rate=0.3"])


def test_folder_that_cannot_be_continued_alone_is_reported(begun: Path, tmp_path: Path) -> None:
    for option in ("--output", "--from"):
        with pytest.raises(UsageError, match=f"{option}: not with the folder of a search"):
            main([str(begun), option, str(tmp_path / "other")])
    with pytest.raises(UsageError, match="not the folder of a search"):
        main([str(tmp_path)])
    (begun.parent / "mine.yaml").unlink()
    with pytest.raises(UsageError, match="mine.yaml: no such file"):
        main([str(begun)])
    config = RunFolder(begun).config()
    write_listed(RunFolder(begun).config_file, yaml.safe_dump({k: v for k, v in config.items() if k != "directory"}))
    with pytest.raises(UsageError, match="earlier version of ltray, which did not record the command"):
        main([str(begun)])
