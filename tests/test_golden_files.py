"""Inputs of the tests: a missing file fails the test, and no test is skipped silently."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.paths import GOLDEN

TESTS = Path(__file__).parent
ROOT = TESTS.parent
VECTORS = sorted(path.relative_to(GOLDEN) for path in GOLDEN.glob("*/*.npz"))


def test_missing_golden_file_fails(golden, monkeypatch):
    assert golden("bcl_step")
    monkeypatch.setattr("pathlib.Path.glob", lambda *_: iter(()))
    with pytest.raises(AssertionError, match=r"golden_bcl_step\.npz must exist exactly once below .*golden"):
        golden("bcl_step")
    monkeypatch.undo()
    with pytest.raises(AssertionError, match=r"golden_schedules\.npz must exist exactly once"):
        golden("schedules")  # both folders have this name


def test_every_golden_file_is_described_and_compared():
    sources = "".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py"))
    described = (GOLDEN / "README.md").read_text(encoding="utf-8")
    assert len(VECTORS) == 49
    for path in VECTORS:
        name = path.stem.removeprefix("golden_")
        assert re.search(rf'golden\("({path.parent}/)?{name}"\)', sources), f"no test reads {path}"
        assert f"`{name}`" in described or f"`{path.parent}/{name}`" in described, (
            f"the README does not describe {path}"
        )


def test_no_test_is_skipped_because_of_a_missing_file():
    allowed = (
        r"not torch\.cuda",
        r"\s*os\.geteuid\(\) != 0",
        r"\"needs the right to mount",
        r"\s*CHROMIUM is None and not",
    )
    hidden = re.compile(rf"skip(if)?\((?!{'|'.join(allowed)})")
    found = [(path.name, m.group()) for path in TESTS.rglob("*.py") for m in hidden.finditer(path.read_text("utf-8"))]
    assert not [(name, text) for name, text in found if name != Path(__file__).name]


def test_make_reports_which_tests_it_excludes(tmp_path):
    def planned(*arguments, **environment):
        command = ["make", "--dry-run", "--always-make", "test", "RUN=python", *arguments]
        variables = {name: value for name, value in os.environ.items() if name != "CI"} | dict(environment)
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=variables).stdout

    left_out = planned(f"CIFAR={tmp_path}")
    assert 'not gpu and not data"' in left_out and f"No Parquet files in {tmp_path}" in left_out
    (tmp_path / "cifar100-train.parquet").touch()
    for complete in (planned(f"CIFAR={tmp_path}"), planned("CIFAR=none", CI="true")):
        assert 'not gpu"' in complete and "Left out" not in complete
