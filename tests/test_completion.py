"""Completion in bash with the script that `ltray --completion bash` prints."""

import subprocess
from pathlib import Path

import pytest

from ltray import __main__ as program
from ltray.completion import script
from ltray.methods import METHODS
from ltray.space import catalog


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "ltray.bash"
    path.write_text(script("bash", program.new_parser(), program.COMMANDS))
    return path


def completed(bash_script: Path, *arguments: str, folder: Path) -> set[str]:
    """Return the completions that bash offers for the last argument after `ltray`."""
    line = f"""
        shopt -s extglob progcomp
        source {bash_script}
        COMP_WORDS=(ltray {" ".join(repr(word) for word in arguments)}); COMP_CWORD={len(arguments)}
        _shtab_ltray ltray; printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, cwd=folder)
    assert not found.stderr
    return {word.strip() for word in found.stdout.splitlines() if word.strip()}


def test_completion_of_commands_and_options(bash_script: Path, tmp_path: Path) -> None:
    assert completed(bash_script, "", folder=tmp_path) == program.COMMANDS.keys()
    assert completed(bash_script, "--c", folder=tmp_path) == {"--completion"}
    assert completed(bash_script, "tune", "--d", folder=tmp_path) == {"--dry-run"}
    assert completed(bash_script, "--completion", "", folder=tmp_path) == set(program.SHELLS)


def test_completion_of_methods_data_sets_and_search_spaces(bash_script: Path, tmp_path: Path) -> None:
    assert completed(bash_script, "train", "--methods", "b", folder=tmp_path) == {m for m in METHODS if m[0] == "b"}
    assert completed(bash_script, "methods", "resc", folder=tmp_path) == {"rescom"}
    assert "digits-lt" in completed(bash_script, "train", "--dataset", "", folder=tmp_path)
    assert completed(bash_script, "tune", "", folder=tmp_path) == set(catalog.known())


def test_completion_of_files(bash_script: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert completed(bash_script, "predict", "r", folder=tmp_path) >= {"run"}
    assert completed(bash_script, "train", "--output", "r", folder=tmp_path) == {"run"}


@pytest.mark.parametrize("shell", program.SHELLS)
def test_completion_script_of_each_shell_has_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in program.COMMANDS)
