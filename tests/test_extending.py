"""docs/extending.md: every block is written to the file in its first line, in a copy of ltray; every check runs."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltray.methods.__main__ import main as methods_command
from tests.other_package import unload
from tests.paths import ROOT

PAGE = ROOT / "docs" / "extending.md"
UNFINISHED = shutil.ignore_patterns(
    "*.pyc.*", "tmp.*"
)  # files that other processes may be writing; compiled files save time
METHOD = ("mypackage/vs_loss.py", "search_spaces/vs_loss.yaml", "ltray/methods/__init__.py")


MOVED = {"vs_loss.py": "ltray/methods", "stripes.py": "ltray/data/sources"}  # "To make it part of ltray, move it"


@dataclass(frozen=True)
class Block:
    """A code block of the page: its first line and the rest."""

    title: str
    text: str

    @property
    def file(self) -> str:
        """The file that the block is, or is inserted into."""
        return self.title.partition(",")[0]

    @property
    def place(self) -> str:
        """Position in the file: "in NAME", "above NAME", or "" if the block is the complete file."""
        return self.title.partition(", ")[2]

    @property
    def lines(self) -> int:
        """Number of lines that are not blank."""
        return sum(bool(line.strip()) for line in self.text.splitlines())


def blocks() -> list[Block]:
    """Return the code blocks of the page, in order."""
    found = re.findall(r"^```(?:python|yaml)\n# ([^\n]*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(found) == len(re.findall(r"^```(?:python|yaml)$", PAGE.read_text(encoding="utf-8"), re.M))
    return [Block(title, text) for title, text in found]


def inserted(source: str, place: str, text: str) -> str:
    """Return a file's text with a block inserted above or in the named statement."""
    how, _, name = place.partition(" ")
    lines = source.splitlines(keepends=True)
    at = [number for number, line in enumerate(lines) if line.startswith(name)]
    assert len(at) == 1, f"{place}: found {len(at)} times"
    start = at[0]
    if how == "above":
        while lines[start - 1].startswith("@"):
            start -= 1
    else:
        assert how == "in"
        line = lines[start].rstrip("\n")
        if line.endswith(")"):  # a tuple or an import on one line
            if "import" in line:
                return "".join([*lines[: start + 1], text, *lines[start + 1 :]])
            lines[start] = f"{line[:-1]}, {text.strip()})\n"
            return "".join(lines)
        start += 1
    return "".join([*lines[:start], text, *lines[start:]])


def write(folder: Path, *, inside: bool) -> None:
    """Write the page's blocks into a folder: those of a user's package, or those that change ltray."""
    for block in blocks():
        if not block.title.startswith("check") and block.file.startswith(("ltray/", "search_spaces/")) == inside:
            file = folder / block.file
            file.parent.mkdir(exist_ok=True)
            new = inserted(file.read_text(encoding="utf-8"), block.place, block.text) if block.place else block.text
            file.write_text(new, encoding="utf-8")


def checks(*, inside: bool) -> list[str]:
    """Return the code of the page's quick checks: those that need the additions to ltray, or the others."""
    found = [block.text for block in blocks() if block.title.startswith("check:")]
    return [
        text for text in found if ("mypackage" in text or '.yaml")' in text and "search_spaces" not in text) != inside
    ]


def run(folder: Path, code: str) -> None:
    """Run code in a separate process that imports the folder's packages first."""
    (folder / "check.py").write_text(code, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "check.py"], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_checks_of_a_users_package_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, inside=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert len(checks(inside=False)) == 6
    for code in checks(inside=False):
        exec(code, {"__name__": "check"})
    assert methods_command(["mypackage.vs_loss:METHOD"]) == 0
    unload("mypackage")


def test_checks_of_additions_to_ltray_pass(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "ltray", tmp_path / "ltray", ignore=UNFINISHED)
    for name in ("datasets", "search_spaces"):
        shutil.copytree(ROOT / name, tmp_path / name)
    write(tmp_path, inside=False)
    write(tmp_path, inside=True)
    for name, folder in MOVED.items():
        shutil.move(tmp_path / "mypackage" / name, tmp_path / folder / name)
    assert len(checks(inside=True)) == 6
    run(tmp_path, "\n".join(checks(inside=True)))


@pytest.mark.slow
def test_method_of_the_page_passes_the_contract(tmp_path: Path) -> None:
    write(tmp_path, inside=False)
    (check,) = [block for block in blocks() if block.title.startswith("check, slow")]
    run(tmp_path, check.text)


def test_page_states_the_size_of_its_method() -> None:
    by_file = {name: sum(b.lines for b in blocks() if b.file == name) for name in METHOD}
    module, space, entries = by_file.values()
    assert (
        f"1 file with {module} lines that are not blank, and no change of ltray; to make it part of ltray, {entries} "
        f"lines in one existing file and a search space of {space} lines."
    ) in " ".join(PAGE.read_text(encoding="utf-8").split())
