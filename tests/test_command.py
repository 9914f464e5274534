"""Exit codes and error messages of commands."""

import os
import subprocess
import sys

import pytest

from ltray.arguments import why_not_local_path
from ltray.command import exit_with
from ltray.errors import UsageError
from ltray.parser import Parser


def exit_code_of(main: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["program", "word"])
    with pytest.raises(SystemExit) as raised:
        exit_with(main)  # type: ignore[arg-type]
    assert isinstance(raised.value.code, int)
    return raised.value.code


@pytest.mark.parametrize("code", [0, 1])
def test_exit_code_is_the_return_value_of_the_command(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    given: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        given.append(arguments)
        return code

    assert exit_code_of(main, monkeypatch) == code
    assert given == [["word"]]


def test_usage_error_prints_a_sentence_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: list[str]) -> int:
        raise UsageError("no such thing.")

    assert exit_code_of(main, monkeypatch) == 2
    assert capsys.readouterr().err == "error: no such thing.\n"


def test_interruption_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    assert exit_code_of(main, monkeypatch) == 130


def test_unexpected_exception_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(arguments: list[str]) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_with(main)


def test_closed_output_pipe_gives_no_traceback() -> None:
    program = "from ltray.command import exit_with\n"
    program += "exit_with(lambda arguments: [print('x' * 100) for _ in range(10_000)] and 0)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 1 and process.stderr.read() == b""


def test_full_disk_prints_a_sentence_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: list[str]) -> int:
        raise OSError(28, "No space left on device", "/data/a.beton")

    assert exit_code_of(main, monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: /data/a.beton: No space left on device; free some space")


def test_unencodable_character_gives_no_traceback() -> None:
    program = "from ltray.command import exit_with\nfrom ltray.console import new_console\n"
    program += "exit_with(lambda arguments: new_console().print('K\\xf6nig [old] \\udcdf') or 0)"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, b"K\\xf6nig [old] \\xdf\n"), done.stderr


@pytest.mark.parametrize("arguments", [["--output", "a", "--output", "a"], ["--output=a", "--output", "b"]])
def test_option_given_twice_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("train")
    parser.add_argument("--output")
    with pytest.raises(SystemExit, match="2"):
        parser.parse(arguments)
    assert f"argument --output: given twice, the second time as '{arguments[-1]}'; keep one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "path", ["s3://bucket/x", "S3://x", "gs://b", "http://h/x", "file:///a", " ", "a\0b", "x" * 256]
)
def test_path_that_is_not_local_is_refused(path: str) -> None:
    assert why_not_local_path(path) and not why_not_local_path("a:b/c") and not why_not_local_path("C x/é")


def test_full_disk_without_file_name_prints_a_sentence_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: list[str]) -> int:
        raise OSError(28, "No space left on device")

    assert exit_code_of(main, monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: No space left on device; free some space")
