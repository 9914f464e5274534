"""The built package is complete: what it holds, and that it runs where there is no checkout."""

import csv
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from ltray import __version__
from tests.given import ROOT

# setuptools replaces sys.argv as it builds, so the folder is read from it once.
BUILD = "import sys, setuptools.build_meta as b; to = sys.argv[1]; b.build_wheel(to); b.build_sdist(to)"
DATA = ("datasets", "search_spaces")  # folders at the top of the repository, package data in the wheel


def tracked() -> list[str]:
    """Every file of the repository, those included that are not committed yet."""
    words = ("git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and os.path.lexists(ROOT / name)]


def build(source: Path, target: Path) -> None:
    """Build a wheel and a source archive, without a network and without isolation."""
    words = [sys.executable, "-c", BUILD, str(target)]
    done = subprocess.run(words, cwd=source, env=without_checkout(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def without_checkout() -> dict[str, str]:
    """The environment variables of a user who has no checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive, built from a copy of the repository's files."""
    folder = tmp_path_factory.mktemp("built")
    for name in tracked():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / "source" / name, follow_symlinks=False)
    build(folder / "source", folder)
    return folder


def wheel_in(folder: Path) -> Path:
    """The only wheel of a folder."""
    (wheel,) = folder.glob("*.whl")
    return wheel


def expected() -> set[str]:
    """The files that a wheel must hold: the package's, and the data folders' below it."""
    files = [name for name in tracked() if (ROOT / name).is_file()]
    own = {name for name in files if name.startswith("ltray/")}
    return own | {f"ltray/{name}" for name in files if name.split("/")[0] in DATA and "/" in name}


def test_the_wheel_holds_every_file_of_the_package_and_its_data(built: Path) -> None:
    with zipfile.ZipFile(wheel_in(built)) as wheel:
        held = {name for name in wheel.namelist() if not name.startswith(f"ltray-{__version__}.dist-info/")}
        for name in DATA:
            for file in (ROOT / name).rglob("*.yaml"):
                assert wheel.read(f"ltray/{file.relative_to(ROOT)}") == file.read_bytes()
    assert held == expected()
    assert {Path(name).suffix for name in held} == {".py", ".yaml", ".json", ".css", ".typed"}
    assert "ltray/py.typed" in held and "ltray/search_spaces/paper/bcl-table1.yaml" in held


def test_the_source_archive_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        held = {name.partition("/")[2] for name in source.getnames()}
    assert expected() | {"pyproject.toml", "README.md", "LICENSE"} <= held


def test_the_wheel_names_the_program_and_the_version(built: Path) -> None:
    with zipfile.ZipFile(wheel_in(built)) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        lines = wheel.read(metadata).decode().splitlines()
        scripts = wheel.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert f"Version: {__version__}" in lines and "License-Expression: Apache-2.0" in lines
    assert "ltray = ltray.__main__:program" in scripts.splitlines()


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel, and beside it only what ltray depends on.

    Attributes:
        environment: Its folder.
        here: An empty folder to work in.
    """

    environment: Path
    here: Path

    def run(self, *words: str, program: str = "ltray", timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs in the working folder."""
        command = [str(self.environment / "bin" / program), *words]
        variables = without_checkout() | {"LTRAY_DATA": str(self.here / "data"), "PYTHONDONTWRITEBYTECODE": "1"}
        variables["PATH"] = f"{self.environment / 'bin'}:{variables['PATH']}"
        return subprocess.run(
            command, cwd=self.here, env=variables, capture_output=True, text=True, check=False, timeout=timeout
        )


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment; the running one's packages are behind it, its checkout of ltray is not."""
    folder = tmp_path_factory.mktemp("installed")
    environment, here = folder / "environment", folder / "here"
    here.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = str(environment / "bin" / "python")
    words = ("pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, str(wheel_in(built)))
    subprocess.run([sys.executable, "-m", "uv", *words], check=True)
    # A path alone: the .pth files in that folder, which lead to the checkout, are not read.
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(environment, here)


@pytest.mark.slow
def test_the_installed_package_is_the_wheels(installed: Installed) -> None:
    program = "import ltray, importlib.metadata as m; print(ltray.__file__, m.version('ltray'))"
    done = installed.run("-c", program, program="python")
    file, version = done.stdout.split()
    assert Path(file).is_relative_to(installed.environment), file
    assert version == __version__
    assert installed.run("--version").stdout == f"ltray {__version__}\n"


@pytest.mark.slow
def test_the_installed_program_lists_copies_and_explains(installed: Installed) -> None:
    listed = installed.run("tune", "ls").stdout
    for name in ("rescom", "paper/bcl-table1", "which-method"):
        assert name in listed
    assert installed.run("convert", "--help").stdout.startswith("usage: ltray convert ")
    copied = installed.run("tune", "cp", "rescom", "mine.yaml")
    assert copied.stdout.rstrip().endswith("ltray tune mine.yaml"), copied
    missing = installed.run("tune", "search_spaces/rescom.yaml")
    assert missing.returncode == 2 and "Did you mean `rescom`?" in missing.stderr
    assert str(installed.environment) in missing.stderr


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.ffcv
def test_the_demo_runs_from_an_empty_folder(installed: Installed) -> None:
    small = ("rescom.epochs=1", "search.trials=2", "stop.rule=none")
    done = installed.run("tune", "quickstart", *small, timeout=560)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test accuracy" in done.stdout
    run = installed.here / "runs" / "quickstart-digits-lt"
    with (run / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    report = installed.run("report", str(run))
    assert report.returncode == 0 and (run / "report.html").is_file(), report.stderr
