"""The token that a Ray cluster requires: a file that only its owner can read.

Ray writes the file with the permissions of the process's umask, so that usually all users can read it; then every user
of the machine can run code as its owner. Therefore ltray creates the file before Ray.
"""

import os
import secrets
import stat
import sys
from pathlib import Path

from ltray.errors import UsageError
from ltray.files import reason
from ltray.printable import printable

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
PRIVATE, OTHERS = 0o600, 0o077


def default_file() -> Path:
    """Return the file from which Ray reads the token if no environment variable is set."""
    return Path(os.path.expanduser("~/.ray/auth_token"))


def provide() -> None:
    """Ensure that a cluster that this command starts has a token that no other user can read.

    If the home folder cannot be written, only this process and its children have the token.

    Raises:
        UsageError: RAY_AUTH_MODE is not one of Ray's modes, or the file of RAY_AUTH_TOKEN_PATH contains no token.
    """
    mode = os.environ.get(MODE, "token").lower()
    if mode == "disabled":
        _print_line(
            f"{MODE}=disabled: every user of this machine can run code in this command's cluster; unset the variable"
        )
        return
    check()
    if os.environ.get(TOKEN) or os.environ.get(TOKEN_PATH):
        return
    file = default_file()
    try:
        if not _has_token(file):
            _write(file)
        _close_to_others(file)
    except UsageError as error:
        raise UsageError(f"{error}: remove it, or export {TOKEN_PATH}=FILE.") from error
    except OSError:  # a container's user without a home folder, or a read-only home folder
        os.environ[TOKEN] = secrets.token_hex(32)


def check() -> None:
    """Check the variables for the token, because Ray would end the process if they are wrong.

    Raises:
        UsageError: RAY_AUTH_MODE is not one of Ray's modes, or the file of RAY_AUTH_TOKEN_PATH contains no token.
    """
    mode = os.environ.get(MODE)
    if mode is not None and mode.lower() not in ("token", "disabled"):
        raise UsageError(f"{MODE}={printable(mode)}: must be `token` or `disabled`, or unset.")
    path = os.environ.get(TOKEN_PATH)
    if not path or os.environ.get(TOKEN) or (mode or "token").lower() == "disabled":
        return
    try:
        present = _has_token(Path(path))
        readable = present and Path(path).stat().st_mode & OTHERS
    except (OSError, ValueError) as error:  # ValueError: a NUL character, or a folder in `_has_token`
        raise UsageError(
            f"{TOKEN_PATH}={printable(path)}: {reason(error)}. Set it to the cluster's token file."
        ) from error
    if not present:
        raise UsageError(
            f"{TOKEN_PATH}={printable(path)}: the file does not exist or is empty. Set it to the cluster's token file."
        )
    if readable:
        _print_line(
            f"{TOKEN_PATH}={printable(path)}: other users of this machine can read the token; run chmod 600 on it"
        )


def check_present() -> None:
    """Check that there is a token if RAY_AUTH_MODE requires one.

    Raises:
        UsageError: There is none, or `check` fails.
    """
    check()
    if os.environ.get(MODE, "").lower() != "token" or os.environ.get(TOKEN) or os.environ.get(TOKEN_PATH):
        return
    if not found():
        raise UsageError(
            f"{MODE}=token, but there is no token in {printable(default_file())}: copy the cluster's token there with "
            f"permissions 600, or export {TOKEN_PATH}=FILE."
        )
    _close_to_others(default_file())


def found() -> bool:
    """Return whether there is a token that Ray would use."""
    if os.environ.get(TOKEN) or os.environ.get(TOKEN_PATH):
        return True
    try:
        return _has_token(default_file())
    except OSError:
        return False


def _has_token(file: Path) -> bool:
    """Return whether a regular file contains more than white space; False if there is no file."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{printable(file)} is not a file")
    with file.open("rb") as opened:
        return bool(opened.read(4096).strip())


def _write(file: Path) -> None:
    """Write a new token; if another process writes one at the same time, that token is used."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w") as opened:
        opened.write(secrets.token_hex(32))
    try:
        if file.exists():  # empty, otherwise `_has_token` would have found a token
            os.replace(temporary, file)
        else:
            os.link(temporary, file)  # complete as soon as it exists, and never replaces the file of another process
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)


def _close_to_others(file: Path) -> None:
    """Remove other users' access to a token file of this user."""
    status = file.stat()
    if not status.st_mode & OTHERS:
        return
    if status.st_uid != os.getuid():
        _print_line(
            f"{printable(file)}: other users of this machine can read the token, and the file belongs to another user"
        )
        return
    file.chmod(PRIVATE)
    _print_line(
        f"{printable(file)}: other users of this machine could read the token; its permissions are now 600. If "
        "somebody may have read it, remove the file while no cluster runs: the next start creates a new token"
    )


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
