"""`make advisories`: what it prints for each result of pip-audit. The internet is not used."""

import importlib.util
import json
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.paths import ROOT

SPECIFICATION = importlib.util.spec_from_file_location("advisories", ROOT / "tools" / "advisories.py")
assert SPECIFICATION and SPECIFICATION.loader
advisories = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(advisories)

SOUND = {"name": "torch", "version": "2.11.0", "vulns": []}
FIXED = {"name": "pillow", "version": "10.0", "vulns": [{"id": "CVE-2099-1", "fix_versions": ["10.4", "11.0"]}]}
NOT_FIXED = {"name": "ray", "version": "2.60.0", "vulns": [{"id": "CVE-2099-2", "fix_versions": []}]}
LEFT_OUT = {"name": "ffcv", "skip_reason": "Dependency not found"}


def outcome(*packages: dict[str, Any], code: int = 0) -> tuple[int, str]:
    return advisories.outcome(code, json.dumps({"dependencies": packages, "fixes": []}), "")


def test_no_advisory_ends_with_0() -> None:
    assert outcome(SOUND) == (0, "1 packages of constraints.txt: no known advisory.")


def test_every_advisory_has_a_line_with_the_version_that_corrects_it() -> None:
    code, text = outcome(SOUND, FIXED, NOT_FIXED, LEFT_OUT, code=1)
    assert code == 1
    assert text.splitlines()[:2] == [
        "pillow 10.0: CVE-2099-1, fixed in 10.4, 11.0",
        "ray 2.60.0: CVE-2099-2, no fixed version",
    ]
    assert "make constraints" in text and text.endswith("no advisories of them: ffcv.")
    assert outcome(FIXED, code=1)[0] == 1


def test_packages_that_were_not_checked_are_named() -> None:
    code, text = outcome(SOUND, LEFT_OUT)
    assert code == 0 and "ffcv" in text.splitlines()[1]


def test_a_mirror_without_advisories_is_not_taken_for_good_news() -> None:
    code, text = outcome(LEFT_OUT, LEFT_OUT)
    assert code == 2 and "cannot be read" in text
    assert outcome()[0] == 2


@pytest.mark.parametrize(
    "errors",
    [
        "error: Failed to fetch: `pip-audit`\n  Caused by: dns error",
        "requests.exceptions.ConnectionError: Max retries exceeded",
        "ERROR: Could not resolve host",
        "error: client error (Connect)\ntunnel error: unsuccessful",
    ],
)
def test_without_internet_one_sentence_says_so(errors: str) -> None:
    code, text = advisories.outcome(1, "", errors)
    assert code == 2 and "needs the internet" in text and "\n" not in text


@pytest.mark.parametrize(("printed", "errors"), [("", ""), ("[]", "x\nBroken\n\n"), ('{"a": 1}', "Broken"), ("no", "")])
def test_other_failure_of_pip_audit_is_shown(printed: str, errors: str) -> None:
    code, text = advisories.outcome(3, printed, errors)
    assert code == 2 and "code 3" in text and ("Broken" in text) == ("Broken" in errors)


def test_command_is_pinned_and_installs_nothing_into_this_environment(monkeypatch, capsys) -> None:
    calls: list[list[str]] = []

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        calls.append(command)
        return SimpleNamespace(returncode=0, stdout=json.dumps({"dependencies": [SOUND]}), stderr="")

    monkeypatch.setattr(advisories.subprocess, "run", run)
    assert advisories.main() == 0 and "no known advisory" in capsys.readouterr().out
    (command,) = calls
    assert command[1:3] == ["tool", "run"]  # in an environment of its own
    assert any(re.fullmatch(r"pip-audit==[\d.]+", word) for word in command)
    assert {"--require-hashes", "--disable-pip"} <= set(command)
    assert command[-1] == str(ROOT / "requirements" / "constraints.txt")


def test_every_pin_has_a_hash_as_pip_audit_requires() -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / "requirements" / "constraints.txt").read_text().strip())
    assert len(blocks) > 100
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_script_runs_alone(tmp_path) -> None:
    """It needs nothing else of ltray."""
    code = subprocess.run(
        [sys.executable, "-I", "-c", f"import runpy; runpy.run_path({str(ROOT / 'tools' / 'advisories.py')!r})"]
    ).returncode
    assert code == 0
