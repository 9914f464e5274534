"""The built package: it has all files, and it runs without the checkout."""

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
from tests.paths import ROOT

# setuptools replaces sys.argv during a build, so the folder is read before.
BUILD = "import sys, setuptools.build_meta as b; to = sys.argv[1]; b.build_wheel(to); b.build_sdist(to)"
DATA = ("datasets", "search_spaces")  # folders at the top of the repository, package data in the wheel


def tracked() -> list[str]:
    """Return every file of the repository, including files not yet committed."""
    arguments = ("git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and os.path.lexists(ROOT / name)]


def build(source: Path, target: Path) -> None:
    """Build a wheel and a source archive, without a network and without isolation."""
    arguments = [sys.executable, "-c", BUILD, str(target)]
    done = subprocess.run(arguments, cwd=source, env=without_checkout(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def without_checkout() -> dict[str, str]:
    """Return the environment variables of a user without a checkout."""
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
    """Return the only wheel in a folder."""
    (wheel,) = folder.glob("*.whl")
    return wheel


def expected() -> set[str]:
    """Return the files that a wheel must have: those of the package and, below it, of the data folders."""
    files = [name for name in tracked() if (ROOT / name).is_file()]
    own = {name for name in files if name.startswith("ltray/")}
    return own | {f"ltray/{name}" for name in files if name.split("/")[0] in DATA and "/" in name}


def test_wheel_has_every_file_of_the_package_and_its_data(built: Path) -> None:
    with zipfile.ZipFile(wheel_in(built)) as wheel:
        names = {name for name in wheel.namelist() if not name.startswith(f"ltray-{__version__}.dist-info/")}
        for name in DATA:
            for file in (ROOT / name).rglob("*.yaml"):
                assert wheel.read(f"ltray/{file.relative_to(ROOT)}") == file.read_bytes()
    assert names == expected()
    assert {Path(name).suffix for name in names} == {".py", ".yaml", ".json", ".css", ".html", ".js", ".typed"}
    assert "ltray/py.typed" in names and "ltray/search_spaces/paper/bcl-table1.yaml" in names


def test_source_archive_has_the_files_of_the_wheel(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert expected() | {"pyproject.toml", "README.md", "LICENSE"} <= names


def test_wheel_metadata_has_the_program_and_the_version(built: Path) -> None:
    with zipfile.ZipFile(wheel_in(built)) as wheel:
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        lines = wheel.read(metadata).decode().splitlines()
        scripts = wheel.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert f"Version: {__version__}" in lines and "License-Expression: Apache-2.0" in lines
    assert "ltray = ltray.__main__:program" in scripts.splitlines()


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and its dependencies, without the checkout.

    Attributes:
        environment: Its folder.
        here: An empty folder to work in.
    """

    environment: Path
    here: Path

    def run(self, *arguments: str, program: str = "ltray", timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs in the working folder."""
        command = [str(self.environment / "bin" / program), *arguments]
        variables = without_checkout() | {"LTRAY_DATA": str(self.here / "data"), "PYTHONDONTWRITEBYTECODE": "1"}
        variables["PATH"] = f"{self.environment / 'bin'}:{variables['PATH']}"
        return subprocess.run(
            command, cwd=self.here, env=variables, capture_output=True, text=True, check=False, timeout=timeout
        )


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment with the packages of the running one, but not its checkout of ltray."""
    folder = tmp_path_factory.mktemp("installed")
    environment, here = folder / "environment", folder / "here"
    here.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = str(environment / "bin" / "python")
    arguments = ("pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, str(wheel_in(built)))
    subprocess.run([sys.executable, "-m", "uv", *arguments], check=True)
    # Only a path: the .pth files in that folder, which point to the checkout, are not read.
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(environment, here)


@pytest.mark.slow
def test_installed_package_is_that_of_the_wheel(installed: Installed) -> None:
    program = "import ltray, importlib.metadata as m; print(ltray.__file__, m.version('ltray'))"
    done = installed.run("-c", program, program="python")
    file, version = done.stdout.split()
    assert Path(file).is_relative_to(installed.environment), file
    assert version == __version__
    assert installed.run("--version").stdout == f"ltray {__version__}\n"


@pytest.mark.slow
def test_installed_program_lists_copies_and_suggests(installed: Installed) -> None:
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
def test_demo_runs_from_an_empty_folder(installed: Installed) -> None:
    small = ("rescom.epochs=1", "search.trials=2", "stop.rule=none")
    done = installed.run("tune", "quickstart", *small, timeout=560)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test accuracy" in done.stdout
    run = installed.here / "runs" / "quickstart-digits-lt"
    with (run / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    report = installed.run("report", str(run))
    assert report.returncode == 0 and (run / "report.html").is_file(), report.stderr
