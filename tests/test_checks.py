"""The checks: `make lint`, `make test`, and `.ci/run`, which runs both and failed tests a second time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINTERS = {"ruff check", "ruff format", "mypy", "mypy --strict"}


def commands_of(target: str) -> str:
    """Return the commands that `make` would run for a target, including set-up."""
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    command = ["make", "-n", "--no-print-directory", target]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_make_lint_runs_ruff_and_mypy_on_all_files() -> None:
    commands = commands_of("lint")
    ran = set(re.findall(r"-m (ruff check|ruff format|mypy --strict|mypy)", commands))
    assert ran == LINTERS
    assert re.search(r"ruff format .*--check", commands)  # a check must not change files
    assert "--fix" not in commands
    assert re.search(r"mypy --strict .*tools cluster", commands)


def test_make_test_runs_no_linter() -> None:
    assert not re.search("ruff|mypy", commands_of("test"))
    assert "-m pytest" in commands_of("test")


@pytest.fixture
def make(tmp_path: Path) -> Path:
    """A folder with a `make` that logs its targets and fails at the targets that the file `fails` lists."""
    log = tmp_path / "targets.log"
    script = tmp_path / "make"
    script.write_text(
        f'#!/bin/sh\necho "$* CI=$CI in $(pwd)" >> "{log}"\n! grep -qx "$1" "{tmp_path}/fails" 2>/dev/null\n'
    )
    script.chmod(0o755)
    return tmp_path


def check(make: Path, **environment: str) -> tuple[int, list[str]]:
    """Run `.ci/run` from another folder with this `make`; return its exit code and the targets."""
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    kept |= {"PATH": f"{make}:{os.environ['PATH']}"} | environment
    done = subprocess.run([ROOT / ".ci" / "run"], cwd=make, env=kept, capture_output=True, text=True, check=False)
    return done.returncode, (make / "targets.log").read_text().splitlines()


def test_ci_run_lints_then_tests_without_exclusions(make: Path) -> None:
    assert check(make) == (0, [f"lint CI=true in {ROOT}", f"test CI=true in {ROOT}"])


def test_ci_run_without_cifar_excludes_the_tests_that_read_it(make: Path) -> None:
    assert check(make, CI="") == (0, [f"lint CI= in {ROOT}", f"test CI= in {ROOT}"])


@pytest.mark.parametrize(
    ("failing", "targets", "passes"),
    [
        (["lint"], ["lint"], False),
        (["test"], ["lint", "test", "test-failed"], True),
        (["test", "test-failed"], ["lint", "test", "test-failed"], False),
    ],
)
def test_ci_run_runs_failed_tests_once_more_and_fails_if_they_fail_again(
    make: Path, failing: list[str], targets: list[str], passes: bool
) -> None:
    (make / "fails").write_text("".join(f"{target}\n" for target in failing))
    code, lines = check(make)
    assert (code == 0) is passes
    assert [line.split()[0] for line in lines] == targets


TWO_TESTS = "def test_changing(): assert {passes}\ndef test_passing(): pass\n"


def test_failed_tests_are_run_again_by_name_and_nothing_else_passes(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    suite = tmp_path / "tests" / "test_two.py"

    def again(passes: bool) -> tuple[bool, str]:
        suite.write_text(TWO_TESTS.format(passes=passes))
        command = ["make", "test-failed", "LTRAY_SHARED_DATA=."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode == 0, done.stdout

    assert not again(True)[0]  # no test failed before: what failed was not a test
    suite.write_text(TWO_TESTS.format(passes=False))
    subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, check=False)
    passed, output = again(False)
    assert not passed
    assert "test_two.py::test_changing" in output
    passed, output = again(True)
    assert passed
    assert "PASSED tests/test_two.py::test_changing" in output
    assert "test_passing" not in output
