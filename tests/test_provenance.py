"""What a result rests on: the commit of ltray, and of nothing else."""

import subprocess
from pathlib import Path

import pytest

from ltray import provenance
from tests.given import ROOT


def repository(folder: Path) -> str:
    """Make a repository with one commit; return the commit."""
    words = ("-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "One")
    subprocess.run(("git", "init", "-q", str(folder)), check=True)
    subprocess.run(("git", "-C", str(folder), *words), check=True)
    head = ("git", "-C", str(folder), "rev-parse", "HEAD")
    return subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("place", "known"),
    [("ltray", True), ("lib/site-packages/ltray", False), (".venv/lib/python3.11/site-packages/ltray", False)],
)
def test_an_installed_ltray_is_not_at_the_commit_of_the_project_around_it(
    place: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = repository(tmp_path / "project ü")
    package = tmp_path / "project ü" / place
    package.mkdir(parents=True)
    monkeypatch.setattr(provenance, "__file__", str(package / "provenance.py"))
    assert provenance.commit() == (head if known else None)


def test_outside_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "ltray" / "provenance.py"))
    assert provenance.commit() is None


def test_the_checkouts_commit_is_known() -> None:
    head = subprocess.run(("git", "-C", str(ROOT), "rev-parse", "HEAD"), capture_output=True, text=True, check=True)
    assert (provenance.commit() or "").removesuffix("+changes") == head.stdout.strip()
