"""The reason of a failure in one line, extracted from Ray's output."""

from types import SimpleNamespace

import pytest

from ltray.on_ray.last_line import NOTHING, last_line
from ltray.on_ray.trial import error_of

CASES = [
    (
        "Traceback:\n  File x\nOSError: [Errno 28] No space left on device\n",
        "OSError: [Errno 28] No space left on device",
    ),
    ("worker died. Some common causes include: (1) memory", "worker died."),
    (" \n", NOTHING),
    ("", NOTHING),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_last_line_of_text_and_of_the_error_file(text, expected, tmp_path):
    (tmp_path / "error.txt").write_text(text)
    assert last_line(text) == error_of(SimpleNamespace(error_file=str(tmp_path / "error.txt"))) == expected


@pytest.mark.parametrize("file", [None, "nowhere/error.txt"])
def test_trial_without_error_file_has_a_reason(file):
    assert error_of(SimpleNamespace(error_file=file)) == "the process exited without an error message"
