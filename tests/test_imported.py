"""Dotted paths: the named object is imported, or the error states the problem and the remedy."""

import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.imported import check_code, imported, is_dotted_path
from tests.other_package import unload, written

MODULES = {
    "sound": "NUMBER = 7\nNUMBERS = [7]\n_HIDDEN = 8\nTEXT = 'seven'\nclass Seven: pass\n",
    "raises": "value = 1\nraise RuntimeError('no licence\\nfound')\n",
    "leaves": "import sys\nsys.exit(3)\n",
    "unfinished": "def open(:\n",
    "needs_more": "import a_package_that_nobody_has\n",
    "needs_name": "from math import nothing_of_the_kind\n",
    "divides": "def half():\n    return 1 / 0\nhalf()\n",
    "silent": "raise ValueError\n",
}


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package `outside` with valid and broken modules."""
    written(tmp_path, "outside", **MODULES)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    unload("outside")


def is_number(found: object) -> bool:
    return isinstance(found, int)


def test_dotted_path_returns_the_object() -> None:
    assert imported("outside.sound:NUMBER", is_number, "a number") == 7
    assert imported("math:pi", lambda found: True, "anything") is math.pi


def test_only_the_named_module_is_imported() -> None:
    imported("outside.sound:NUMBER", is_number, "a number")
    assert {name for name in sys.modules if name.startswith("outside")} == {"outside", "outside.sound"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("outside.sound:NUMBR", r"the module `outside\.sound` has no `NUMBR`\. Did you mean `NUMBER`\?"),
        ("outside.sound:Q", r"has no `Q`\. Known: `NUMBER`\."),  # private names and other types are not listed
        ("outside.sound:TEXT", r"is an object of the type `str`, but must be a number\. Known: `NUMBER`\."),
        ("outside.sound:Seven", r"is the class `Seven`, but must be a number"),
        ("outside.sond:NUMBER", r"the package `outside` has no module `sond`\. Did you mean `sound`\?"),
        ("outside.sound.deep:NUMBER", r"`outside\.sound` is a module, not a package: it has no `deep`"),
        ("outsid:NUMBER", r"Python finds no module `outsid`; install its package .* PYTHONPATH .*every node"),
        ("outsid.sound:NUMBER", r"Python finds no module `outsid`; install"),
        (
            "outside.raises:NUMBER",
            r"importing `outside\.raises` failed: RuntimeError: no licence found \(.*, line 2\)",
        ),
        ("outside.leaves:NUMBER", r"importing `outside\.leaves` failed: SystemExit: .*leaves\.py, line 2"),
        ("outside.unfinished:NUMBER", r"failed: SyntaxError: .*unfinished\.py, line 1"),
        ("outside.needs_more:NUMBER", r"failed: ModuleNotFoundError: No module named 'a_package_that_nobody_has'"),
        ("outside.needs_name:NUMBER", r"failed: ImportError: cannot import name 'nothing_of_the_kind'"),
        ("outside.divides:NUMBER", r"failed: ZeroDivisionError: division by zero .*divides\.py, line 2"),
        ("outside.silent:NUMBER", r"failed: ValueError: .*silent\.py, line 1"),
        ("outside/sound.py:NUMBER", r"is a file; write the module .*PYTHONPATH"),
        ("sound.py:NUMBER", "is a file"),
        ("__main__:NUMBER", "worker processes cannot import"),
        ("outside.sound:", "is not a dotted path; write module:name"),
        (":NUMBER", "is not a dotted path"),
        (":", "is not a dotted path"),
        (".sound:NUMBER", "is not a dotted path"),
        ("outside..sound:NUMBER", "is not a dotted path"),
        ("outside.sound:NUMBER:2", "is not a dotted path"),
        ("outside.sound:NUMBER()", "is not a dotted path"),
        ("outside sound:NUMBER", "is not a dotted path"),
        ("out\nside:NUMBER", "is not a dotted path"),
    ],
)
def test_failed_import_is_reported(path: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        imported(path, is_number, "a number")
    assert str(caught.value).startswith(repr(path)) and "\n" not in str(caught.value)


def test_keyboard_interrupt_is_not_caught(tmp_path: Path) -> None:
    (tmp_path / "outside" / "long.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        imported("outside.long:NUMBER", is_number, "a number")


@given(st.text())
def test_any_text_gives_an_object_or_a_usage_error(text: str) -> None:
    if is_dotted_path(text) and not re.match(r"\w+(\.\w+)*:\w+\Z", text):
        with pytest.raises(UsageError, match="is not a dotted path|is a file"):
            imported(text, is_number, "a number")
    assert is_dotted_path(text) == (":" in text)


def test_settings_of_the_start_of_a_checkpoint_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"  # the parent folder is on the path, so its modules are allowed
    here.mkdir()
    (here / "gift.py").write_text("raise RuntimeError('it ran')\n")
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    named, plain = {"methods": ["gift:METHOD"]}, {"methods": ["bcl"]}
    first = {"settings": named, "context": {"class_names": ["gift:METHOD"]}}
    second = {"settings": plain, "context": {"start": first}}
    for context in ({"start": first}, {"start": second}):
        with pytest.raises(UsageError, match="run/best: its settings contain 'gift:METHOD'"):
            check_code(plain, context, "run/best")
    check_code(plain, {"class_names": ["gift:METHOD"]}, "run/best")
