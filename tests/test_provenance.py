"""The recorded commit is that of ltray, not of an enclosing project."""

import subprocess
from pathlib import Path

import pytest

from ltray import provenance
from tests.paths import ROOT


def repository(folder: Path) -> str:
    """Make a repository with one commit; return the commit."""
    arguments = ("-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "One")
    subprocess.run(("git", "init", "-q", str(folder)), check=True)
    subprocess.run(("git", "-C", str(folder), *arguments), check=True)
    head = ("git", "-C", str(folder), "rev-parse", "HEAD")
    return subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("path", "known"),
    [("ltray", True), ("lib/site-packages/ltray", False), (".venv/lib/python3.11/site-packages/ltray", False)],
)
def test_installed_ltray_does_not_report_the_commit_of_the_enclosing_project(
    path: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = repository(tmp_path / "project ü")
    package = tmp_path / "project ü" / path
    package.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    assert provenance.commit() == (head if known else None)


def test_commit_is_none_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "ltray" / "provenance.py"))
    assert provenance.commit() is None


def test_commit_of_the_checkout() -> None:
    head = subprocess.run(("git", "-C", str(ROOT), "rev-parse", "HEAD"), capture_output=True, text=True, check=True)
    assert (provenance.commit() or "").removesuffix("+changes") == head.stdout.strip()
