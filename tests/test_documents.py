"""The documents: every page is in the index, and every link, path and command in them is valid."""

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
from tests.paths import ROOT
from tests.test_extending import MOVED, blocks
from tests.test_project_files import make_targets, targets_in

DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md"), *ROOT.glob("[bc]*/README.md")])
# The test file that runs each command; long runs are marked slow there.
RUN_BY = {
    "analyse": "tests/analysis/test_analyse.py",
    "convert": "tests/test_convert.py",
    "evaluate": "tests/test_evaluate.py",
    "export": "tests/test_export.py",
    "methods": "tests/methods/test_find.py",
    "predict": "tests/test_predict.py",
    "report": "tests/report/test_report.py",
    "reproduce": "tests/test_reproduce.py",
    "space": "tests/space/test_settings_page.py",
    "status": "tests/test_status.py",
    "train": "tests/on_ray/test_train_command.py",
    "tune": "tests/on_ray/test_tune_command.py",
    "views": "tests/test_views.py",
}
NAMED = "|".join(RUN_BY)
COMMAND = re.compile(
    rf"(?:^|`|-- )((?:python -m (?:ltray|benchmarks|tests)\.[\w.]+|ltray (?:{NAMED})(?![\w-]))(?: [^`\n]*)?)", re.M
)


class Accepted(Exception):
    """The command's parser accepted the arguments."""


def commands_in(text: str) -> list[list[str]]:
    """Return the arguments of every command of a document: module first, without comments and redirections."""
    found = []
    for line in COMMAND.findall(text.replace("\\\n", " ")):
        arguments = shlex.split(line.partition(" > ")[0], comments=True)
        if "..." in arguments:
            continue  # abbreviated
        found.append(arguments[2:] if arguments[0] == "python" else [f"ltray.{arguments[1]}", *arguments[2:]])
    return found


DOCUMENTED = sorted({tuple(arguments) for page in PAGES for arguments in commands_in(page.read_text(encoding="utf-8"))})
OF_LTRAY = [arguments for arguments in DOCUMENTED if arguments[0].startswith("ltray.")]


def accept(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> Namespace:
    """Parse the arguments with the command's own parser, and end the command after that."""
    parsed_options: list[Namespace] = []

    def ending(parse: Any) -> Any:
        def parsed(parser: Parser, given: list[str]) -> NoReturn:
            parsed_options.append(parse(parser, given))
            raise Accepted

        return parsed

    monkeypatch.setattr(Parser, "parse", ending(Parser.parse))
    package = importlib.util.find_spec(arguments[0])
    assert package, f"{arguments[0]} is not a module"
    module = f"{arguments[0]}.__main__" if package.submodule_search_locations else arguments[0]
    with pytest.raises(Accepted):
        importlib.import_module(module).main(list(arguments[1:]))
    return parsed_options[0]


@pytest.mark.parametrize("arguments", OF_LTRAY, ids=" ".join)
def test_documented_command_is_accepted_by_its_parser(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(ROOT)
    given = accept(monkeypatch, arguments)
    if arguments[0] == "ltray.train" and "mypackage" not in " ".join(arguments):
        complete_keys(parse_assignments(given.settings), given.methods)
    if arguments[0] == "ltray.tune" and hasattr(given, "space") and Path(given.space).is_file():
        SearchSpace.read(given.space, parse_assignments(given.settings))


@pytest.mark.parametrize("module", sorted({arguments[0] for arguments in DOCUMENTED}))
def test_documented_command_exists_and_is_run_by_a_test(module: str) -> None:
    package, _, name = module.partition(".")
    assert importlib.util.find_spec(module), module
    if package == "ltray":
        text = (ROOT / RUN_BY[name]).read_text(encoding="utf-8")
        assert re.search(rf"ltray[.]{name}|ltray import .*{name}|from tests.on_ray.commands", text), RUN_BY[name]


def test_commands_in_documents_are_found() -> None:
    assert len(OF_LTRAY) > 20
    assert {arguments[0].removeprefix("ltray.") for arguments in OF_LTRAY} == RUN_BY.keys()
    text = (
        "ltray trains.\n`python -m ltray.tune ls`, `ltray.tune`\n```\nray job submit -- python -m ltray.train a=1 \\\n"
        "  --b  # c\nltray tune x > y\nltray train ... z\n```"
    )
    expected = [["ltray.tune", "ls"], ["ltray.train", "a=1", "--b"], ["ltray.tune", "x"]]
    assert commands_in(text) == expected


@pytest.mark.parametrize("arguments", [("ltray.tune", "x.yaml", "--dry"), ("ltray.train", "--method", "bcl", "--no")])
def test_wrong_option_in_a_document_is_detected(monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        if accept(monkeypatch, (*arguments, "--surely-wrong")):
            raise RuntimeError("accepted")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_paths_and_make_targets_of_a_page_exist(page: Path) -> None:
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


def test_index_lists_every_page_and_readme_links_to_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\(([\w-]+\.md)\)", index)
    assert sorted(listed) == sorted(page.name for page in DOCS.glob("*.md") if page.name != "README.md")
    assert "(docs/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
