"""`ltray status`: training runs that run, were interrupted and are complete."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.quantities import duration
from ltray.run_folder import RunFolder
from ltray.status import main
from tests.folder_in_use import held


def told(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main([str(folder)]) == 0
    return capsys.readouterr().out


@pytest.fixture
def run(finished_run: Path) -> Path:
    """A complete run with its settings."""
    evaluation = RunFolder(finished_run).best.evaluation()
    assert evaluation
    RunFolder(finished_run).claim({"settings": evaluation["settings"]}, {}, may_differ=())
    return finished_run


def test_complete_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(run, capsys)
    last = RunFolder(run).history()[-1]
    assert "; complete\n" in text and f"epoch {last['total_epochs']} of {last['planned_epochs']}: all" in text
    assert "test (first look" in text and "to continue" not in text and "left" not in text


def test_interrupted_and_running_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(RunFolder(run).best.path)
    assert "; interrupted" in (text := told(run, capsys)) and "to continue: the command" in text
    with held(run) as process:
        text = told(run, capsys)
        assert f"running: process {process} on " in text and "to continue" not in text
    assert "; interrupted" in told(run, capsys)


def test_wrong_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder of ltray.train or ltray.tune"):
        main([str(tmp_path)])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3570, "1 h 0 min"), (3900, "1 h 5 min"), (86399, "1 d 0 h")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.floats(0, 1e7))
def test_duration_is_within_its_last_unit(seconds: float) -> None:
    size = {"s": 1, "min": 60, "h": 3600, "d": 86400}
    words = duration(seconds).split()
    shown = sum(int(count) * size[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(shown - seconds) <= size[words[-1]]
