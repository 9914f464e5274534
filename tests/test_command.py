"""How commands end."""

import os
import subprocess
import sys

import pytest

from ltray.arguments import why_no_place
from ltray.command import exit_with
from ltray.errors import UsageError
from ltray.parser import Parser


def ends(main: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["program", "word"])
    with pytest.raises(SystemExit) as raised:
        exit_with(main)  # type: ignore[arg-type]
    assert isinstance(raised.value.code, int)
    return raised.value.code


@pytest.mark.parametrize("code", [0, 1])
def test_the_commands_code_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    given: list[list[str]] = []

    def main(words: list[str]) -> int:
        given.append(words)
        return code

    assert ends(main, monkeypatch) == code
    assert given == [["word"]]


def test_a_users_mistake_is_a_sentence_and_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(words: list[str]) -> int:
        raise UsageError("no such thing.")

    assert ends(main, monkeypatch) == 2
    assert capsys.readouterr().err == "error: no such thing.\n"


def test_an_interruption_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(words: list[str]) -> int:
        raise KeyboardInterrupt

    assert ends(main, monkeypatch) == 130


def test_the_unforeseen_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def main(words: list[str]) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_with(main)


def test_a_reader_that_has_seen_enough_is_no_traceback() -> None:
    program = (
        "from ltray.command import exit_with\nexit_with(lambda words: [print('x' * 100) for _ in range(10_000)] and 0)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 1 and process.stderr.read() == b""


def test_a_full_disk_is_a_sentence_and_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def main(words: list[str]) -> int:
        raise OSError(28, "No space left on device", "/data/a.beton")

    assert ends(main, monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: /data/a.beton: No space left on device; free some space")


def test_a_terminal_without_the_letter_is_no_traceback() -> None:
    program = "from ltray.command import exit_with\nfrom ltray.console import new_console\n"
    program += "exit_with(lambda words: new_console().print('K\\xf6nig [old] \\udcdf') or 0)"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (0, b"K\\xf6nig [old] \\xdf\n"), done.stderr


@pytest.mark.parametrize("words", [["--output", "a", "--output", "a"], ["--output=a", "--output", "b"]])
def test_an_option_that_is_given_twice_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("train")
    parser.add_argument("--output")
    with pytest.raises(SystemExit, match="2"):
        parser.parse(words)
    assert f"argument --output: given twice, the second time as '{words[-1]}'; keep one" in capsys.readouterr().err


@pytest.mark.parametrize(
    "place", ["s3://bucket/x", "S3://x", "gs://b", "http://h/x", "file:///a", " ", "a\0b", "x" * 256]
)
def test_what_is_no_place_of_this_machine_is_refused(place: str) -> None:
    assert why_no_place(place) and not why_no_place("a:b/c") and not why_no_place("C x/é")


def test_a_full_disk_that_names_no_file_is_a_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(words: list[str]) -> int:
        raise OSError(28, "No space left on device")

    assert ends(main, monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: No space left on device; free some space")
