"""`ltray`: it lists the commands, runs them, and shows their names as the user called them."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from ltray import __main__ as program
from ltray import __version__
from ltray.command import exit_with
from ltray.program import as_called, called
from tests.paths import ROOT
from tests.test_start_up import SLOW, imported_by

PROGRAM = ["/usr/bin/ltray"]
PACKAGE = [str(ROOT / "ltray" / "__main__.py")]
MODULE = [str(ROOT / "ltray" / "tune.py")]


def modules() -> set[str]:
    """Return every command that `python -m ltray.NAME` runs: modules that end with `exit_with(main)`."""
    files = [*(ROOT / "ltray").glob("*.py"), *(ROOT / "ltray").glob("*/__main__.py")]
    ends = [file for file in files if file.read_text().endswith('if __name__ == "__main__":\n    exit_with(main)\n')]
    return {file.parent.name if file.stem == "__main__" else file.stem for file in ends}


def test_program_has_every_command() -> None:
    assert modules() == program.COMMANDS.keys()
    for module, _ in program.COMMANDS.values():
        assert callable(importlib.import_module(module).main)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_program_lists_the_commands(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [*PROGRAM, *arguments])
    with pytest.raises(SystemExit, match="0"):
        program.program()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: ltray COMMAND …"
    for name, (_, summary) in program.COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, summary] for line in lines)


def test_program_lists_commands_without_slow_imports() -> None:
    assert imported_by("ltray.__main__").isdisjoint({*SLOW, "torch", "pandas", "numpy"})


def test_program_version_is_the_package_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        program.main(["--version"])
    assert capsys.readouterr().out == f"ltray {__version__}\n"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tunne", "Did you mean `tune`?"),
        ("Train", "Did you mean `train`?"),
        ("x", "Known: `analyse`"),
        ("", "Known: `analyse`"),
        ("./tune", "Did you mean `tune`?"),
        ("--tune", "unknown option '--tune'"),
        ("-m", "unknown option '-m'"),
        ("\x1b[31m", "is not a command"),
    ],
)
def test_unknown_command_prints_a_sentence_and_exits_with_2(
    word: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [*PROGRAM, word])
    with pytest.raises(SystemExit, match="2"):
        exit_with(program.main)
    printed = capsys.readouterr()
    assert message in printed.err and not printed.out and "\x1b" not in printed.err


def test_argument_after_two_dashes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main(["--", "tune"])
    assert "unexpected argument 'tune'" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [PROGRAM, PACKAGE, MODULE, ["/usr/bin/pytest"], ["default_worker.py"], [""], []])
def test_command_name_is_the_one_that_was_called(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    name = {PROGRAM[0]: "ltray tune", PACKAGE[0]: "python -m ltray tune"}.get("".join(argv), "python -m ltray.tune")
    assert called("tune") == name
    assert as_called("run `python -m ltray.tune ls`, or tune") == f"run `{name} ls`, or tune"


@pytest.mark.parametrize("command", sorted(program.COMMANDS))
def test_command_help_shows_the_called_name(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", PROGRAM)
    with pytest.raises(SystemExit, match="0"):
        program.main([command, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: ltray {command} ") and "python -m" not in printed


def test_package_runs_like_the_program(tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "ltray", "methods", "no-such"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2 and "no-such" in done.stderr
