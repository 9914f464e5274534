"""The documents: every page is in the index, every link, path and command in them is real."""

import importlib
import importlib.util
import re
import shlex
from argparse import Namespace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ltray.parser import Parser
from ltray.setting_names import complete_keys
from ltray.settings import parse_assignments
from ltray.space.search_space import SearchSpace
from tests.given import ROOT
from tests.test_extending import MOVED, blocks
from tests.test_project_files import make_targets, targets_in

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md"), *ROOT.glob("[bc]*/README.md")])
# The test file that runs each command; what takes longer is marked slow there.
RUN_BY = {
    "convert": "tests/test_convert.py",
    "evaluate": "tests/test_evaluate.py",
    "methods": "tests/methods/test_find.py",
    "predict": "tests/test_predict.py",
    "report": "tests/report/test_report.py",
    "space": "tests/space/test_settings_page.py",
    "train": "tests/on_ray/test_train_command.py",
    "tune": "tests/on_ray/test_tune_command.py",
    "views": "tests/test_views.py",
}
NAMED = "|".join(RUN_BY)
COMMAND = re.compile(
    rf"(?:^|`|-- )((?:python -m (?:ltray|benchmarks|tests)\.[\w.]+|ltray (?:{NAMED})(?![\w-]))(?: [^`\n]*)?)", re.M
)


class Accepted(Exception):
    """The command's parser took the words."""


def commands_in(text: str) -> list[list[str]]:
    """The words of every command of a document: module first, without comments and what goes into a file."""
    found = []
    for line in COMMAND.findall(text.replace("\\\n", " ")):
        words = shlex.split(line.partition(" > ")[0], comments=True)
        if "..." in words:
            continue  # abbreviated
        found.append(words[2:] if words[0] == "python" else [f"ltray.{words[1]}", *words[2:]])
    return found


DOCUMENTED = sorted({tuple(words) for page in PAGES for words in commands_in(page.read_text(encoding="utf-8"))})
OF_LTRAY = [words for words in DOCUMENTED if words[0].startswith("ltray.")]


def accept(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> Namespace:
    """What the command's own parser makes of the words; the command ends there."""
    taken: list[Namespace] = []

    def ending(parse: Any) -> Any:
        def parsed(parser: Parser, given: list[str]) -> NoReturn:
            taken.append(parse(parser, given))
            raise Accepted

        return parsed

    monkeypatch.setattr(Parser, "parse", ending(Parser.parse))
    package = importlib.util.find_spec(words[0])
    assert package, f"{words[0]} is not a module"
    module = f"{words[0]}.__main__" if package.submodule_search_locations else words[0]
    with pytest.raises(Accepted):
        importlib.import_module(module).main(list(words[1:]))
    return taken[0]


@pytest.mark.parametrize("words", OF_LTRAY, ids=" ".join)
def test_a_command_is_one_that_its_parser_accepts(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.chdir(ROOT)
    given = accept(monkeypatch, words)
    if words[0] == "ltray.train" and "mypackage" not in " ".join(words):
        complete_keys(parse_assignments(given.settings), given.methods)
    if words[0] == "ltray.tune" and hasattr(given, "space") and Path(given.space).is_file():
        SearchSpace.read(given.space, parse_assignments(given.settings))


@pytest.mark.parametrize("module", sorted({words[0] for words in DOCUMENTED}))
def test_a_command_exists_and_a_test_runs_it(module: str) -> None:
    package, _, name = module.partition(".")
    assert importlib.util.find_spec(module), module
    if package == "ltray":
        text = (ROOT / RUN_BY[name]).read_text(encoding="utf-8")
        assert re.search(rf"ltray[.]{name}|ltray import .*{name}|from tests.on_ray.commands", text), RUN_BY[name]


def test_commands_are_found() -> None:
    assert len(OF_LTRAY) > 20
    assert {words[0].removeprefix("ltray.") for words in OF_LTRAY} == RUN_BY.keys()
    text = (
        "ltray trains.\n`python -m ltray.tune ls`, `ltray.tune`\n```\nray job submit -- python -m ltray.train a=1 \\\n"
        "  --b  # c\nltray tune x > y\nltray train ... z\n```"
    )
    expected = [["ltray.tune", "ls"], ["ltray.train", "a=1", "--b"], ["ltray.tune", "x"]]
    assert commands_in(text) == expected


@pytest.mark.parametrize("words", [("ltray.tune", "x.yaml", "--dry"), ("ltray.train", "--method", "bcl", "--no")])
def test_a_wrong_option_is_seen(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        if accept(monkeypatch, (*words, "--surely-wrong")):
            raise RuntimeError("accepted")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_paths_and_targets_of_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert targets_in(text) <= make_targets()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if not re.match(r"https?:", link):
            file = page.parent / target if target else page
            assert file.exists(), link
            assert not anchor or anchor in _anchors(file), link
    written = {block.file for block in blocks()} | {f"{folder}/{name}" for name, folder in MOVED.items()}
    for path in re.findall(r"\b(?:ltray|tests|datasets|search_spaces|benchmarks|tools)/[\w./-]+", text):
        name = path.rstrip("./")
        assert name in written or (ROOT / name).exists(), path


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_lists_every_page_and_the_readme_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\(([\w-]+\.md)\)", index)
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md") if page.name != "README.md")
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
