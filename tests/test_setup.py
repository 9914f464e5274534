"""Set-up: messages about missing tools, recognition of a finished set-up, and environments that it must not change."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.paths import ROOT

PINS = (ROOT / "requirements" / "constraints.txt").read_text()


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with some environment variables changed."""
    return subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


def script(folder: Path, name: str, body: str) -> Path:
    """Write an executable shell script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that set-up reads, without an environment."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "requirements", root / "requirements")
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


@pytest.fixture
def finished(checkout: Path) -> Path:
    """A checkout whose environment has one small package and the stamp of a finished set-up."""
    environment = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "small.py").write_text("ONE = 1\n")
    info = site / "small-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
    (info / "RECORD").write_text("small.py,,8\nsmall-1.0.dist-info/RECORD,,\n")
    (environment / "made-by-ltray-setup").touch()
    program = "import setup_environment as s; print(s.digest())"
    digest = run(sys.executable, "-c", program, cwd=checkout / "tools").stdout.strip()
    (environment / "ltray-setup.json").write_text(json.dumps({"digest": digest, "installed": ["small==1.0"]}))
    return checkout


def set_up(checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run set-up in a checkout."""
    return run(sys.executable, checkout / "tools" / "setup_environment.py", cwd=checkout, **environment)


def test_finished_setup_is_not_changed(finished: Path) -> None:
    done = set_up(finished, PATH="/nowhere")  # no program is searched or called
    assert (done.returncode, done.stdout) == (0, "ltray: .venv is up to date\n"), done.stderr


@pytest.mark.parametrize("damage", ["missing", "truncated", "uninstalled"])
def test_damaged_environment_is_detected(finished: Path, damage: str) -> None:
    site = next(finished.glob(".venv/lib/python*/site-packages"))
    if damage == "missing":
        (site / "small.py").unlink()
    elif damage == "truncated":
        (site / "small.py").write_text("ONE")
    else:
        shutil.rmtree(site / "small-1.0.dist-info")
    done = set_up(finished, PATH="/nowhere", CXX="")  # without a compiler, set-up stops before the download
    assert "lost or damaged packages (small" in done.stdout
    assert done.returncode == 2


def test_changed_pins_require_a_new_environment(finished: Path) -> None:
    with (finished / "requirements" / "constraints.txt").open("a") as pins:
        pins.write("# changed\n")
    assert "up to date" not in set_up(finished, PATH="/nowhere", CXX="").stdout


def test_failed_setup_leaves_no_stamp_and_is_repeated(finished: Path, tmp_path: Path) -> None:
    (finished / "requirements" / "constraints.txt").write_text("numpy==1.0\n")  # does not pin the installer
    tools = tmp_path / "tools"
    script(tools, "pkg-config", "exit 0")
    script(tools, "c++", "exit 0")
    for _ in range(2):
        done = set_up(finished, PATH=str(tools), CXX="c++")
        assert done.returncode == 1
        assert "must pin each of uv, setuptools" in done.stderr
        assert not (finished / ".venv" / "ltray-setup.json").exists()


def test_foreign_environment_is_not_changed(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    tools = tmp_path / "tools"
    script(tools, "pkg-config", "exit 0")
    done = set_up(checkout, PATH=f"{tools}:{script(tools, 'c++', 'exit 0').parent}", CXX="c++")
    assert done.returncode == 2
    assert "was not made by `make setup`" in done.stderr
    assert [path.name for path in (checkout / ".venv").iterdir()] == ["bin"]


def test_missing_build_tools_are_named_for_every_package_manager(checkout: Path) -> None:
    done = set_up(checkout, PATH="/nowhere", CXX="")
    assert done.returncode == 2
    for message in ("a C++ compiler", "pkg-config", "apt-get install", "dnf install", "brew install", "conda install"):
        assert message in done.stderr
    assert not (checkout / ".venv").exists()


def test_only_the_missing_library_is_named(tmp_path: Path) -> None:
    script(tmp_path, "pkg-config", '[ "$2" != opencv4 ]')
    script(tmp_path, "c++", "exit 0")
    program = "import build_tools; print(build_tools.missing())"
    done = run(sys.executable, "-c", program, cwd=ROOT / "tools", PATH=str(tmp_path), CXX="c++")
    assert done.stdout.strip() == "['opencv4']", done.stderr


def test_apt_get_runs_only_without_a_password_prompt(tmp_path: Path) -> None:
    program = "import build_tools; print(build_tools.install())"
    log = tmp_path / "called"
    script(tmp_path, "env", 'shift; exec "$@"')
    script(tmp_path, "apt-get", f'echo "$*" >> "{log}"')
    script(tmp_path, "sudo", 'shift; exec "$@"')
    allowed = run(sys.executable, "-c", program, cwd=ROOT / "tools", PATH=str(tmp_path)).stdout
    if not Path("/etc/debian_version").is_file():
        assert allowed.strip() == "False" and not log.exists()
        return
    assert allowed.splitlines()[-1] == "True"
    calls = log.read_text().splitlines()
    assert calls[0] == "update" and calls[1].startswith("install -y") and "libopencv-dev" in calls[1]


def test_unsuitable_python_is_refused_with_a_remedy(tmp_path: Path) -> None:
    old = script(tmp_path, "python3", 'case "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac')
    done = run("sh", "tools/find_python.sh", PYTHON=str(old))
    assert done.returncode == 2
    assert "Python 3.9.2" in done.stderr and "make setup PYTHON=" in done.stderr


def test_suitable_python_is_found(tmp_path: Path) -> None:
    done = run("sh", str(ROOT / "tools" / "find_python.sh"), cwd=tmp_path, PYTHON=sys.executable)
    assert done.returncode == 0
    # The base Python of the environment, not the environment's own.
    base = run(done.stdout.strip(), "-c", "import sys; print(sys.prefix == sys.base_prefix)")
    assert base.stdout.strip() == "True"


def test_every_dependency_is_pinned_with_hashes_within_its_limits() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {canonicalize_name(name): version for name, version in re.findall(r"^(\S+?)==([^\s;]+)", PINS, re.M)}
    blocks = re.findall(r"^\S+==.*", PINS, re.M)
    assert len(blocks) > 100 and all(line.endswith("\\") for line in blocks)  # a hash follows
    wanted = [
        *project["dependencies"],
        *(text for extra in project["optional-dependencies"].values() for text in extra),
    ]
    for text in [*wanted, "setuptools"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)], prereleases=True), text


def test_the_running_environment_has_the_pinned_versions() -> None:
    pinned = dict(re.findall(r"^(torch|torchvision|ray|optuna|ffcv|tensorboard)==([^\s;]+)", PINS, re.M))
    assert {name: importlib.metadata.version(name) for name in pinned} == pinned


def test_make_lists_every_command() -> None:
    text = (ROOT / "Makefile").read_text()
    declared = re.search(r"^\.PHONY: (.*)$", text, re.M)
    assert declared
    listed = run("make", "-s").stdout
    for name in declared.group(1).split():
        assert re.search(rf"^  make {name} ", listed, re.M), name


def test_ci_run_passes_only_by_make_test_or_by_its_failed_tests() -> None:
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    commands = [line for line in path.read_text().splitlines() if line.startswith(("make", "exec"))]
    assert commands == ["make test && exit", "exec make test-failed"]
