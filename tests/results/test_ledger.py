"""Looks at the test images are counted per search; a declared set of looks counts once."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ltray.errors import UsageError
from ltray.results.ledger import declare_end_of, declare_look, describe_look, looks, note_look, ordinal, run_of
from ltray.run_folder import RunFolder
from ltray.seal import write_sealed


def texts(folder: Path) -> list[str]:
    return [look.what for look in looks(folder)]


def test_every_look_is_counted_and_a_declared_one_once(tmp_path: Path) -> None:
    assert looks(tmp_path) == []
    assert declare_look(tmp_path, "trial 3, epoch 20") == 1
    assert note_look(tmp_path, "ltray.evaluate --test of best") == 2
    assert note_look(tmp_path, "ltray.evaluate --test of best") == 3
    assert declare_look(tmp_path, "finalists 0003, paper") == 4
    assert declare_look(tmp_path, "finalists 0003, paper") == 4  # an interrupted command, continued
    assert declare_look(tmp_path, "trial 3, epoch 20") == 1
    assert texts(tmp_path)[3] == "finalists 0003, paper" and looks(tmp_path)[0].time.endswith("+00:00")


def test_another_best_trial_is_another_look(tmp_path: Path) -> None:
    honest = SimpleNamespace(selection="val")
    assert declare_end_of(tmp_path, honest, "trial 3, epoch 20") == 1  # type: ignore[arg-type]
    assert declare_end_of(tmp_path, honest, "trial 9, epoch 20") == 2  # type: ignore[arg-type]


def test_all_epochs_are_one_look_with_the_paper_protocol(tmp_path: Path) -> None:
    paper = SimpleNamespace(selection="test")
    numbers = [declare_end_of(tmp_path, paper, f"trial {n}, epoch 20") for n in range(3)]  # type: ignore[arg-type]
    assert numbers == [1, 1, 1] and "protocol paper" in texts(tmp_path)[0]


@pytest.mark.parametrize("reads", [0, 1, 3])
def test_looks_counted_by_a_former_version_are_kept(tmp_path: Path, reads: int) -> None:
    RunFolder(tmp_path).best.path.mkdir()
    RunFolder(tmp_path).best.evaluation_file.write_text("{}")
    if reads:
        write_sealed(RunFolder(tmp_path).best.test_reads_file, {"reads": reads})
    before = max(reads, 1)
    assert len(looks(tmp_path)) == before
    assert note_look(tmp_path, "again") == before + 1 == len(looks(tmp_path))


def test_damaged_ledger_is_named(tmp_path: Path) -> None:
    note_look(tmp_path, "trial 3, epoch 20")
    note_look(tmp_path, "trial 4, epoch 20")
    text = RunFolder(tmp_path).looks_file.read_text()
    RunFolder(tmp_path).looks_file.write_text(text.replace("trial 3", "trial 8", 1))
    with pytest.raises(UsageError, match="test_looks.jsonl:1"):
        looks(tmp_path)


def test_trial_and_finalist_belong_to_their_search(tmp_path: Path) -> None:
    search = tmp_path / "search"
    for run in (search, search / "finalists" / "0001-seed1-data0"):
        (run / "best").mkdir(parents=True)
        RunFolder(run).config_file.write_text("{}")
    (search / "trials" / "0007" / "checkpoint_000004").mkdir(parents=True)
    for checkpoint in ("best", "trials/0007/checkpoint_000004", "finalists/0001-seed1-data0/best"):
        assert run_of(search / checkpoint) == search
    (tmp_path / "alone").mkdir()
    assert run_of(tmp_path / "alone") == tmp_path / "alone"


def test_look_is_described() -> None:
    assert describe_look(1) == "first look at the test images"
    assert describe_look(2) == "second look at the test images: do not use it to choose anything"
    assert [ordinal(n) for n in (10, 11, 12, 21, 22, 101, 111)] == [
        "tenth", "11th", "12th", "21st", "22nd", "101st", "111th",
    ]  # fmt: skip
