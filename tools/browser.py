"""Chromium for the tests of the report: found, or installed with apt-get.

Only `.ci/run` calls it; set-up installs no browser, and without one `make test` skips these tests.
"""

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COMMAND = "apt-get install -y --no-install-recommends chromium"


def find() -> str | None:
    """Return the path of Chromium or Chrome: `$CHROMIUM`, or the first of the usual names."""
    return next(filter(None, map(shutil.which, (os.environ.get("CHROMIUM") or "", *NAMES))), None)


def main() -> int:
    """Install Chromium if it is missing; return the exit code."""
    from build_tools import apt_install  # imported here: tests import this module from another folder

    if find() or apt_install(COMMAND):
        return 0
    print(
        f"The tests of the report need Chromium. Install it: {COMMAND}; or set CHROMIUM to its path.", file=sys.stderr
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
