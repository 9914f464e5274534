"""Names with any characters are shown unchanged in the shell and the terminal; the page: tests/report."""

import os
import subprocess

import pytest

from ltray.console import new_console
from ltray.results.paths import shell_word

NAMES = ["plain", "it's", "a b", "$(touch x)", "*", "", "l\nb'c", "\x1b'\\", os.fsdecode(b"\xe4'\\n\"$x"), "~", "-n"]


def test_shell_word_is_read_by_bash_as_the_original_name() -> None:
    script = "printf '%s\\0' " + " ".join(shell_word(name) for name in NAMES)
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]] == NAMES


@pytest.mark.parametrize("terminal", ["1", ""])
def test_console_does_not_interpret_markup_or_emoji(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", terminal)
    console = new_console()
    assert console.is_terminal == bool(terminal)
    with console.capture() as printed:
        console.print("[bold]x[/bold] [/red] :smile:")
    assert printed.get() == "[bold]x[/bold] [/red] :smile:\n"
