"""List the known security advisories of the pinned packages. It needs the internet.

`make advisories` runs this. pip-audit runs in an environment of its own, which uv creates and keeps in its cache:
ltray does not depend on it, and nothing of ltray's environment is changed.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "requirements" / "constraints.txt"
PIP_AUDIT = "pip-audit==2.9.0"
# The pins are complete and have hashes: pip-audit asks about each of them, and resolves and installs nothing.
OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")
FOUND, UNREACHABLE = 1, 2
# Of uv and of pip-audit, when a name is not resolved, or a connection is refused, ends or is not answered.
NO_CONNECTION = (
    "connection",
    "connect",
    "dns",
    "failed to fetch",
    "max retries",
    "name resolution",
    "offline",
    "proxy",
    "resolve host",
    "timed out",
    "tunnel",
)


def command(uv: str) -> list[str]:
    """Return the command that asks for the advisories.

    Args:
        uv: The program.
    """
    return [uv, "tool", "run", "--quiet", PIP_AUDIT, *OPTIONS, "--requirement", str(PINS)]


def outcome(code: int, printed: str, errors: str) -> tuple[int, str]:
    """Return the exit code and the text to print for what pip-audit returned.

    Args:
        code: Its exit code.
        printed: Its output: JSON with the advisories of each package, or with the reason why it was left out.
        errors: Its messages.
    """
    try:
        packages = json.loads(printed)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return UNREACHABLE, _why_not_read(code, errors)
    left_out = [one["name"] for one in packages if "skip_reason" in one]
    if not packages or len(left_out) == len(packages):
        return UNREACHABLE, (
            "The advisories cannot be read: the package index answers, but has advisories of none of the packages, as "
            "many mirrors. Run this command where the public index can be reached."
        )
    lines = [
        f"{one['name']} {one['version']}: {advisory['id']}, "
        f"{'fixed in ' + ', '.join(advisory['fix_versions']) if advisory.get('fix_versions') else 'no fixed version'}"
        for one in packages
        for advisory in one.get("vulns", [])
    ]
    if lines:
        lines.append("Raise these versions in pyproject.toml, then run `make constraints`.")
    else:
        lines.append(f"{len(packages) - len(left_out)} packages of {PINS.name}: no known advisory.")
    if left_out:
        lines.append(f"Not checked, because the index has no advisories of them: {', '.join(left_out)}.")
    return FOUND if len(lines) > 1 + bool(left_out) else 0, "\n".join(lines)


def _why_not_read(code: int, errors: str) -> str:
    if any(sign in errors.lower() for sign in NO_CONNECTION):
        return (
            "The advisories cannot be read: this command needs the internet, for pip-audit and for the list of "
            "advisories. Run it on a machine that has it."
        )
    last = next((line for line in reversed(errors.splitlines()) if line.strip()), "no message")
    return f"The advisories cannot be read: pip-audit ended with code {code}: {last.strip()}"


def main() -> int:
    """List the advisories; return 0 if there are none, 1 if there are, 2 if they cannot be read."""
    local = Path(sys.executable).with_name("uv")
    uv = str(local) if local.is_file() else shutil.which("uv")
    if uv is None:
        print("uv is missing: run `make setup`.", file=sys.stderr)
        return UNREACHABLE
    done = subprocess.run(command(uv), capture_output=True, text=True, check=False)
    code, text = outcome(done.returncode, done.stdout, done.stderr)
    print(text, file=sys.stderr if code == UNREACHABLE else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
