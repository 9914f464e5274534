"""Style rules in addition to ruff and mypy (`make lint`), for every file that is or would be committed."""

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.paths import ROOT

LONGEST = 400  # lines of a Python file
LOOP = 160  # lines of the training loop
# The user chooses the package index. (Letters in brackets, here and below: this file must pass, too.)
REGISTRIES = re.compile(
    r"pypi[.]org|pythonhosted[.]org|download[.]pytorch[.]org|anaconda[.]org"
    r"|https?://\S*/(simple|packages)/|^\s*(-i|-f|--(extra-)?index-url|--find-links)\b",
    re.MULTILINE,
)
# No paths of a developer's machine, and no code marked as unfinished.
THIS_MACHINE = re.compile("|".join(re.escape(f"{folder}/") for folder in (ROOT.parent, Path.home())))
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")


def committed() -> dict[str, str]:
    """Return every text file that git tracks or would add, by its path."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = {}
    for name in filter(None, names):
        try:
            files[name] = (ROOT / name).read_text(encoding="utf-8")
        except (
            UnicodeDecodeError,
            FileNotFoundError,
            IsADirectoryError,
        ):  # an image, a file just deleted, a link to a folder
            continue
    return files


FILES = committed()


def matches(pattern: re.Pattern[str], files: dict[str, str]) -> list[str]:
    """Return `path:line: text` of every match."""
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group().strip()}"
        for name, text in files.items()
        for match in pattern.finditer(text)
    ]


def classes(files: dict[str, str]) -> dict[str, list[str]]:
    """Return the positions of each class of the package by name, including inner classes."""
    found = defaultdict(list)
    for name, text in files.items():
        if name.startswith("ltray/") and name.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{name}:{node.lineno}")
    return found


def repeated(files: dict[str, str]) -> dict[str, list[str]]:
    """Return the classes of the package that share a name, without regard to a leading underscore."""
    by_name = defaultdict(list)
    for name, places in classes(files).items():
        by_name[name.lstrip("_")] += places
    return {name: places for name, places in by_name.items() if len(places) > 1}


def test_committed_files_are_found() -> None:
    assert {"Makefile", "pyproject.toml", "ltray/knobs.py", "tests/test_style.py"} <= FILES.keys()
    assert len(FILES) > 150


def test_files_have_at_most_the_maximum_of_lines() -> None:
    lines = {name: text.count("\n") for name, text in FILES.items() if name.endswith(".py")}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_training_loop_is_short() -> None:
    assert FILES["ltray/engine/loop.py"].count("\n") <= LOOP


def test_class_names_are_unique() -> None:
    assert len(classes(FILES)) > 150
    assert repeated(FILES) == {}


def test_repeated_class_name_is_reported() -> None:
    files = {"ltray/a.py": "class Look:\n    pass\n", "ltray/b/c.py": "def f():\n    class _Look:\n        pass\n"}
    assert repeated(files | {"tests/d.py": "class Look: ..."}) == {"Look": ["ltray/a.py:1", "ltray/b/c.py:2"]}


@pytest.mark.parametrize("pattern", [REGISTRIES, THIS_MACHINE, UNFINISHED], ids=["registry", "path", "unfinished"])
def test_no_file_contains(pattern: re.Pattern[str]) -> None:
    assert matches(pattern, FILES) == []


@pytest.mark.parametrize(
    ("pattern", "pieces"),
    [
        (REGISTRIES, ["--index", "-url mirror.example"]),
        (REGISTRIES, ["see https://mirror.example/sim", "ple/torch"]),
        (REGISTRIES, ["files.python", "hosted.org"]),
        (THIS_MACHINE, ["read ", f"{Path.home()}/data"]),
        (UNFINISHED, ["# TO", "DO: the rest"]),
    ],
)
def test_forbidden_text_is_reported(pattern: re.Pattern[str], pieces: list[str]) -> None:
    # Split into pieces, because this file must pass, too.
    (found,) = matches(pattern, {"a.txt": f"first\n{''.join(pieces)}\n"})
    assert found.startswith("a.txt:2: ")


# Metaphors and personified code instead of standard terms. In pieces: this file must pass, too.
IDIOMS = re.compile(
    r"what[ _]moved|\bthe[ ]front\b(?! of)|told[ ]from chance|beyond[ ]chance|stands[ ]twice|is[ ]no YAML"
    r"|without[ ]a word"
    r"|\bmend(?:s|ed)?[ ](?:it|its|them|the)\b|\b(?:paper)[ ]0\b|, from[ ]none"
    r"|MB[ ]are free|\d[.]\d+e[+]\d\d[ ]\w+ hours"
    r"|\b(?:all|everything)[ ]it knows\b|knows[ ]no (?:method|cluster)|gives[ ]up Python's lock|stand[ ]side by side"
    r"|\bby[ ]hindsight\b"
    r"|cannot[ ]be told|the[ ]same command (?:then )?continues|was[ ]there too little|\bby more[ ]than chance",
    re.IGNORECASE,
)
STYLE_GUIDES = ("CONTRIBUTING.md", "CHANGELOG.md")  # they list the former phrases next to the new ones


def prose(name: str, text: str) -> str:
    """Return the readable text of a file: a page, or the strings and docstrings of a module, one per line."""
    if not name.endswith(".py"):
        return text
    strings = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    return "\n".join(re.sub(r"\s+", " ", node.value) for node in strings if isinstance(node.value, str))


def idioms(files: dict[str, str]) -> list[str]:
    """Return `path: phrase` of every idiom in the strings, docstrings, pages and settings files of the project."""
    kinds = (".py", ".md", ".yaml")
    read = {
        name: prose(name, text) for name, text in files.items() if name.endswith(kinds) and name not in STYLE_GUIDES
    }
    return [f"{name}: {match.group()}" for name, text in read.items() for match in IDIOMS.finditer(text)]


def test_texts_use_standard_terms() -> None:
    package = {name: text for name, text in FILES.items() if not name.startswith("tests/")}
    assert len(package) > 150
    assert idioms(package) == []


@pytest.mark.parametrize(
    "pieces",
    [
        ["What mov", "ed it"],
        ["not told fr", "om chance"],
        ["`x` stands tw", "ice"],
        ["the process ended without", " a word"],
        ["mend ", "its permissions"],
        ["temperature 1, from", " none"],
        ["1.16e+0", "3 CPU hours"],
        ["74,271 MB", " are free"],
        ["its own keys; everything it kn", "ows is a buffer"],
        ["the engine knows no met", "hod"],
        ["the features stand side b", "y side"],
    ],
)
@pytest.mark.parametrize("shape", ['"""{}"""', 'print(f"a {{b}} {}")', "def f():\n    '''A.\n\n    {}\n    '''\n"])
def test_idiom_is_reported(pieces: list[str], shape: str) -> None:
    assert idioms({"a.py": shape.format("".join(pieces))}) != []
    assert idioms({"a.md": "".join(pieces)}) != []
    assert idioms({"a.py": f"# {''.join(pieces)}\nx = 1\n"}) == []
