"""Fixtures: a user's folder of images, and commands run as from a shell."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ltray import command

RunCommand = Callable[..., tuple[int, str]]
"""Called with a command's main function and its arguments; returns the exit code and the standard error."""


def fill(folder: Path, *classes: str) -> None:
    """Write four images of 40 pixels into each class folder."""
    random = np.random.default_rng(list(folder.name.encode()))
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with eight images of pets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    fill(tmp_path / "pets", "cat", "dog")
    return tmp_path


@pytest.fixture
def run_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Run a command as a shell does; returns the exit code and the standard error."""

    def run(main: Callable[[list[str]], int], *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["ltray", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.exit_with(main)
        return int(ended.value.code or 0), capsys.readouterr().err

    return run
