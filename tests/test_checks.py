"""The checks: `make lint`, `make test`, and `.ci/run`, which runs both."""

import os
import re
import subprocess
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
    """A folder with a `make` that logs its targets and fails at the target that the file `fails` names."""
    log = tmp_path / "targets.log"
    script = tmp_path / "make"
    script.write_text(
        f'#!/bin/sh\necho "$* CI=$CI in $(pwd)" >> "{log}"\n[ "$1" != "$(cat "{tmp_path}/fails" 2>/dev/null)" ]\n'
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


@pytest.mark.parametrize(("target", "targets"), [("lint", ["lint"]), ("test", ["lint", "test"])])
def test_ci_run_stops_at_the_first_failure(make: Path, target: str, targets: list[str]) -> None:
    (make / "fails").write_text(target)
    code, lines = check(make)
    assert code != 0
    assert [line.split()[0] for line in lines] == targets
