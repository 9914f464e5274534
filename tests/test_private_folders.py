"""Folders that other users cannot read: their permissions with every umask, and names that others can know."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ltray.data.beton import node_copy
from ltray.data.data_folder import make_data_folder
from ltray.data.feature_cache import FeatureCache
from ltray.errors import UsageError
from ltray.private_folders import make_own, make_private
from ltray.results.folder_session import FolderSession
from ltray.run_folder import RunFolder

NOBODY = 65534


@pytest.fixture(params=[0o000, 0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def claim(folder: Path) -> None:
    RunFolder(folder).claim({"settings": {}}, {}, may_differ=())


def lock(folder: Path) -> None:
    with RunFolder(folder).locked():
        pass


@pytest.mark.parametrize("make", [make_private, make_own, make_data_folder, claim, lock, FolderSession])
def test_new_folder_is_private_with_every_umask(make: Callable[[Path], Any], umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    made = make(folder)
    assert mode(folder) == 0o700
    del made


@pytest.mark.parametrize("make", [make_private, make_data_folder, claim, lock, FolderSession])
def test_existing_folder_keeps_its_permissions(make: Callable[[Path], Any], umask: int, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o755)  # the user shares it
    made = make(folder)
    assert mode(folder) == 0o755
    del made


def test_folders_above_a_private_one_follow_the_umask(umask: int, tmp_path: Path) -> None:
    make_private(tmp_path / "runs" / "a")
    assert mode(tmp_path / "runs") == 0o777 & ~umask


def test_data_folder_is_private_as_a_whole(umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    make_data_folder(tmp_path / "data" / "digits" / "a")
    assert mode(tmp_path / "data") == 0o700
    assert mode(tmp_path / "data" / "digits") == 0o777 & ~umask


def test_cached_features_are_in_the_private_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    with FeatureCache(tmp_path / "data" / "features").computing("key"):
        assert mode(tmp_path / "data") == 0o700


def test_own_folder_is_made_private_again(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir(mode=0o777)
    (tmp_path / "own").chmod(0o777)
    make_own(tmp_path / "own")
    assert mode(tmp_path / "own") == 0o700


@pytest.mark.parametrize("target", ["folder", "missing", "file"])
def test_link_with_a_known_name_is_refused(target: str, tmp_path: Path) -> None:
    """Another user can create it in /tmp; it leads to a folder of this user."""
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "file").touch()
    (tmp_path / "own").symlink_to(tmp_path / target)
    before = mode(tmp_path / "folder")
    with pytest.raises(UsageError, match="belongs to another user, or is not a folder"):
        make_own(tmp_path / "own")
    assert mode(tmp_path / "folder") == before
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder to another user")
def test_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir(mode=0o777)
    os.chown(folder, NOBODY, NOBODY)
    with pytest.raises(UsageError, match="belongs to another user"):
        make_own(folder)


def test_no_stamp_is_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / f"ltray-{os.getuid()}").symlink_to(tmp_path / "victim")
    monkeypatch.setattr(node_copy.tempfile, "gettempdir", lambda: str(tmp_path))
    assert node_copy._stamp(None) is None  # type: ignore[arg-type]
    assert not any((tmp_path / "victim").iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run a process as another user")
def test_other_user_cannot_read_a_run_unless_it_is_shared(open_folder: Path) -> None:
    claim(open_folder / "run")
    program = "import os, sys; print(sorted(os.listdir(sys.argv[1])), open(sys.argv[1] + '/config.yaml').read())"
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable

    def read() -> subprocess.CompletedProcess[str]:
        command = [python, "-I", "-c", program, str(open_folder / "run")]
        return subprocess.run(
            command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, text=True
        )

    refused = read()
    assert refused.returncode == 1 and "Permission denied" in refused.stderr, refused
    assert refused.stdout == ""
    (open_folder / "run").chmod(0o755)
    assert "config.yaml" in read().stdout
