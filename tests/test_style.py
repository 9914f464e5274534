"""House style beyond ruff and mypy (`make lint`), over every file that is or would be committed."""

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from tests.given import ROOT

LONGEST = 400  # lines of a Python file
LOOP = 160  # lines of the training loop: it is read in one sitting
# Where packages come from is the user's own matter. (Letters in brackets, here and below: this file must pass, too.)
REGISTRIES = re.compile(
    r"pypi[.]org|pythonhosted[.]org|download[.]pytorch[.]org|anaconda[.]org"
    r"|https?://\S*/(simple|packages)/|^\s*(-i|-f|--(extra-)?index-url|--find-links)\b",
    re.MULTILINE,
)
# Neither the folders of whoever wrote a file, nor code that was left for later.
THIS_MACHINE = re.compile("|".join(re.escape(f"{folder}/") for folder in (ROOT.parent, Path.home())))
LEFT_FOR_LATER = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")


def committed() -> dict[str, str]:
    """Every text file that git tracks or would add, by its path."""
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
        ):  # a picture, just deleted, a link to a folder
            continue
    return files


FILES = committed()


def offenders(pattern: re.Pattern[str], files: dict[str, str]) -> list[str]:
    """`path:line: text` of every match."""
    return [
        f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match.group().strip()}"
        for name, text in files.items()
        for match in pattern.finditer(text)
    ]


def classes(files: dict[str, str]) -> dict[str, list[str]]:
    """Where each class of the package is defined, by its name; an inner class counts like any other."""
    found = defaultdict(list)
    for name, text in files.items():
        if name.startswith("ltray/") and name.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(f"{name}:{node.lineno}")
    return found


def repeated(files: dict[str, str]) -> dict[str, list[str]]:
    """The classes of the package that share a name, a leading underscore aside."""
    by_name = defaultdict(list)
    for name, places in classes(files).items():
        by_name[name.lstrip("_")] += places
    return {name: places for name, places in by_name.items() if len(places) > 1}


def test_git_lists_the_files() -> None:
    assert {"Makefile", "pyproject.toml", "ltray/knobs.py", "tests/test_style.py"} <= FILES.keys()
    assert len(FILES) > 150


def test_files_are_short() -> None:
    lines = {name: text.count("\n") for name, text in FILES.items() if name.endswith(".py")}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_the_loop_is_read_in_one_sitting() -> None:
    assert FILES["ltray/engine/loop.py"].count("\n") <= LOOP


def test_no_two_classes_have_one_name() -> None:
    assert len(classes(FILES)) > 150
    assert repeated(FILES) == {}


def test_a_repeated_class_is_named() -> None:
    files = {"ltray/a.py": "class Look:\n    pass\n", "ltray/b/c.py": "def f():\n    class _Look:\n        pass\n"}
    assert repeated(files | {"tests/d.py": "class Look: ..."}) == {"Look": ["ltray/a.py:1", "ltray/b/c.py:2"]}


@pytest.mark.parametrize("pattern", [REGISTRIES, THIS_MACHINE, LEFT_FOR_LATER], ids=["registry", "path", "later"])
def test_no_file_holds(pattern: re.Pattern[str]) -> None:
    assert offenders(pattern, FILES) == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (REGISTRIES, ["--index", "-url mirror.example"]),
        (REGISTRIES, ["see https://mirror.example/sim", "ple/torch"]),
        (REGISTRIES, ["files.python", "hosted.org"]),
        (THIS_MACHINE, ["read ", f"{Path.home()}/data"]),
        (LEFT_FOR_LATER, ["# TO", "DO: the rest"]),
    ],
)
def test_an_offender_is_named(pattern: re.Pattern[str], words: list[str]) -> None:
    # In pieces, or this file would be an offender.
    (found,) = offenders(pattern, {"a.txt": f"first\n{''.join(words)}\n"})
    assert found.startswith("a.txt:2: ")


# Pictures and personified code where the field has a term. In pieces: this file must pass, too.
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
    """The text of a file that people read: a page, or the strings and docstrings of a module, line by line."""
    if not name.endswith(".py"):
        return text
    strings = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    return "\n".join(re.sub(r"\s+", " ", node.value) for node in strings if isinstance(node.value, str))


def idioms(files: dict[str, str]) -> list[str]:
    """`path: phrase` of every idiom in the strings, docstrings, pages and settings files of the project."""
    kinds = (".py", ".md", ".yaml")
    read = {
        name: prose(name, text) for name, text in files.items() if name.endswith(kinds) and name not in STYLE_GUIDES
    }
    return [f"{name}: {match.group()}" for name, text in read.items() for match in IDIOMS.finditer(text)]


def test_texts_use_the_terms_of_the_field() -> None:
    package = {name: text for name, text in FILES.items() if not name.startswith("tests/")}
    assert len(package) > 150
    assert idioms(package) == []


@pytest.mark.parametrize(
    "words",
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
def test_an_idiom_is_named(words: list[str], shape: str) -> None:
    assert idioms({"a.py": shape.format("".join(words))}) != []
    assert idioms({"a.md": "".join(words)}) != []
    assert idioms({"a.py": f"# {''.join(words)}\nx = 1\n"}) == []
