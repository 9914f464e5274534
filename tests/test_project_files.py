"""The files around the code: metadata, licence, citation, pre-commit, issue templates, the public CI."""

import hashlib
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from ltray import __version__

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"  # of the unmodified text
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
# https://docs.github.com, "Syntax for GitHub's form schema": what each kind of element must have.
ELEMENTS = {"markdown": "value", "textarea": "label", "input": "label", "dropdown": "options", "checkboxes": "options"}


def read(path: Path) -> Any:
    """Return a YAML file's content; a duplicate key is an error, as on GitHub."""
    text = path.read_text(encoding="utf-8")
    for keys in _keys(yaml.compose(text, Loader=yaml.SafeLoader)):
        assert len(keys) == len(set(keys)), f"{path}: {keys}"
    return yaml.safe_load(text)


def _keys(node: yaml.Node | None) -> list[list[str]]:
    """Return the keys of every mapping in a document."""
    if isinstance(node, yaml.MappingNode):
        own = [key.value for key, _ in node.value]
        return [own, *(keys for _, value in node.value for keys in _keys(value))]
    return [keys for item in node.value for keys in _keys(item)] if isinstance(node, yaml.SequenceNode) else []


def make_targets() -> set[str]:
    """Return the targets that the Makefile declares."""
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert declared
    return set(declared.group(1).split())


def targets_in(text: str) -> set[str]:
    """Return the targets of every `make TARGET` in a command, a document or a template."""
    return set(re.findall(r"(?:^|`|; |&& )make ([a-z][a-z-]*)(?=$|`| +#| [A-Z]+=| &&|;)", text, re.M))


def test_licence_is_the_unmodified_apache_2_text() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2
    assert PROJECT["license"] == "Apache-2.0"
    assert PROJECT["license-files"] == ["LICENSE"]
    assert not [
        line for line in PROJECT["classifiers"] if line.startswith("License ::")
    ]  # an expression and a classifier must not both exist


def test_citation_is_complete_and_agrees_with_the_package() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # required by format 1.2.0
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["authors"] == PROJECT["authors"] == [{"name": "The ltray developers"}]
    assert citation["license"] == PROJECT["license"]
    assert citation["version"] == __version__
    assert set(citation["keywords"]) <= set(PROJECT["keywords"])
    # All values are text: 1.10 without quotes would be the number 1.1.
    assert all(isinstance(citation[key], str) for key in ("title", "message", "abstract", "version", "cff-version"))
    allowed = {"cff-version", "message", "title", "authors", "type", "abstract", "version", "license", "keywords"}
    allowed |= {"date-released", "doi", "references", "preferred-citation", "contact", "identifiers"}
    assert citation.keys() <= allowed
    assert isinstance(citation.get("date-released", date.today()), date)


def test_pre_commit_hooks_exist_and_download_nothing() -> None:
    repositories = read(ROOT / ".pre-commit-config.yaml")["repos"]
    assert {repository["repo"] for repository in repositories} == {"local"}
    hooks = [hook for repository in repositories for hook in repository["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}  # the other kinds create their own environment
    assert "make lint" in {hook["entry"] for hook in hooks}
    for hook in hooks:
        assert hook["pass_filenames"] is False, hook["id"]  # each hook checks all files
        assert targets_in(hook["entry"]) <= make_targets(), hook["id"]
        for path in re.findall(r"\S+\.py", hook["entry"]):
            assert (ROOT / path).is_file(), hook["id"]


def test_public_ci_runs_the_checks_on_every_supported_python() -> None:
    workflow = read(GITHUB / "workflows" / "ci.yml")
    assert {"push", "pull_request"} <= workflow[True].keys()  # YAML 1.1 reads the key `on` as true
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    classified = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", line)]
    assert job["strategy"]["matrix"]["python"] == classified  # as text: 3.10 would be the number 3.1
    assert PROJECT["requires-python"] == f">={classified[0]}"
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[-1] == "CI= .ci/run"
    assert targets_in("\n".join(commands)) <= make_targets()


@pytest.mark.parametrize("minor", range(9, 17))
def test_setup_accepts_the_classified_python_versions(minor: int) -> None:
    (program,) = re.findall(r"^question='(.*)'$", (ROOT / "tools" / "find_python.sh").read_text(), re.M)
    fake = f"import sys; sys._base_executable = 'python'; sys.version_info = (3, {minor}, 0); {program}"
    taken = subprocess.run([sys.executable, "-c", fake], capture_output=True, check=False).returncode == 0
    assert taken == (f"Programming Language :: Python :: 3.{minor}" in PROJECT["classifiers"])


def test_public_ci_installs_the_packages_of_setup() -> None:
    (job,) = read(GITHUB / "workflows" / "ci.yml")["jobs"].values()
    (line,) = re.findall(r"apt-get install .*", "\n".join(step.get("run", "") for step in job["steps"]))
    assert f'"{line}"' in (ROOT / "tools" / "build_tools.py").read_text()  # the whole command


@pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.stem)
def test_issue_form_follows_the_github_schema(path: Path) -> None:
    form = read(path)
    assert form.keys() == {"name", "description", "labels", "body"}
    assert isinstance(form["name"], str) and isinstance(form["description"], str)
    elements = form["body"]
    assert any(element["type"] != "markdown" for element in elements)
    for element in elements:
        assert element.keys() <= {"type", "id", "attributes", "validations"}
        assert ELEMENTS[element["type"]] in element["attributes"], element
        assert element.get("validations", {}).keys() <= {"required"}
        assert re.fullmatch(r"[\w-]+", element["id"])
    assert len({element["id"] for element in elements}) == len(elements)
    labels = [element["attributes"]["label"] for element in elements]
    assert len(set(labels)) == len(labels)


def test_issue_forms_exist_for_bugs_methods_and_wrong_numbers() -> None:
    assert [path.stem for path in FORMS] == ["bug", "config", "method", "wrong_number"]
    assert read(GITHUB / "ISSUE_TEMPLATE" / "config.yml") == {"blank_issues_enabled": True}
    environment = [e for e in read(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")["body"] if e.get("id") == "environment"]
    (command,) = re.findall(r"`(python -m [\w.]+)`", environment[0]["attributes"]["description"])
    assert (ROOT / f"{command.split()[-1].replace('.', '/')}.py").is_file()
    assert "required" in environment[0]["validations"]


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_names_only_existing_commands_and_files(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert targets_in(text) <= make_targets()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|#", link):
            assert (ROOT / name).parent.joinpath(link.split("#")[0]).exists(), link


def test_changelog_begins_with_the_unreleased_section() -> None:
    sections = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert sections[0] == "Unreleased"
    kinds = re.findall(r"^### (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Renamed"}
