"""The token's file: made by ltray, readable by its owner only."""

import os
import stat
from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.on_ray import token_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_new_token_is_readable_only_by_its_owner_with_any_umask(
    home: Path, umask: int, capsys: pytest.CaptureFixture
) -> None:
    before = os.umask(umask)
    try:
        token_file.provide()
    finally:
        os.umask(before)
    file = home / ".ray" / "auth_token"
    assert mode(file) == 0o600 and mode(file.parent) == 0o700
    assert len(file.read_text()) == 64 and list(file.parent.iterdir()) == [file]
    assert "RAY_AUTH_TOKEN" not in os.environ and capsys.readouterr().err == ""
    token = file.read_text()
    token_file.provide()
    assert file.read_text() == token


def test_existing_token_is_kept_and_made_private(home: Path, capsys: pytest.CaptureFixture) -> None:
    file = home / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("f" * 64)
    file.chmod(0o644)
    token_file.provide()
    assert file.read_text() == "f" * 64 and mode(file) == 0o600
    assert "other users of this machine could read the token" in capsys.readouterr().err
    token_file.provide()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("content", ["", " \n"])
def test_empty_token_file_gets_a_token(home: Path, content: str) -> None:
    file = home / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text(content)
    token_file.provide()
    assert len(file.read_text()) == 64 and mode(file) == 0o600


def test_token_written_first_by_another_process_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = home / ".ray" / "auth_token"
    link = os.link

    def another_first(source: str, target: str) -> None:
        file.write_text("another's")
        link(source, target)

    monkeypatch.setattr(os, "link", another_first)
    token_file.provide()
    assert file.read_text() == "another's" and list(file.parent.iterdir()) == [file]


def test_token_without_a_home_is_only_for_this_process(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null/none")
    token_file.provide()
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    monkeypatch.delenv("RAY_AUTH_TOKEN")


def test_token_file_of_the_user_is_used_and_never_changed(home: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    own = home / "own"
    own.write_text("a" * 64)
    own.chmod(0o640)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(own))
    token_file.provide()
    assert mode(own) == 0o640 and not (home / ".ray").exists()
    assert f"{own}: other users of this machine can read the token" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["absent", "empty", "folder", "nul"])
@pytest.mark.parametrize("check", [token_file.provide, token_file.check_present])
def test_given_file_without_a_token_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, what: str, check) -> None:
    path = home / "named"
    if what == "empty":
        path.touch()
    elif what == "folder":
        path.mkdir()
    if what == "nul":
        monkeypatch.setattr(os, "environ", os.environ | {"RAY_AUTH_TOKEN_PATH": "a\0b"})
    else:
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    with pytest.raises(UsageError, match="RAY_AUTH_TOKEN_PATH"):
        check()


def test_unknown_auth_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "on")
    with pytest.raises(UsageError, match="RAY_AUTH_MODE=on: must be `token` or `disabled`"):
        token_file.provide()


def test_cluster_without_token_gives_a_warning(home: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    token_file.provide()
    assert "every user of this machine can run code" in capsys.readouterr().err and not (home / ".ray").exists()


def test_missing_required_token_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token_file.check_present()
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(UsageError, match=r"no token in .*\.ray/auth_token: copy the cluster's token there"):
        token_file.check_present()
    token_file._write(home / ".ray" / "auth_token")
    token_file.check_present()
