"""The report of running runs, served to a browser of this machine; the page reloads itself when the runs change."""

import json
import secrets
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ltray.errors import UsageError
from ltray.files import reason
from ltray.report.render import page_of
from ltray.results.live_record import live_record
from ltray.run_folder import RESULTS_FILE, RunFolder

LOOPBACK = "127.0.0.1"
OLDEST = 2.0  # seconds; a page that was made at most this long ago is served again


class WatchedReport:
    """The page of runs as they are now.

    Args:
        folders: The run folders.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._lock = threading.Lock()
        self._page, self._version, self._made = "", "", -OLDEST

    def page(self) -> str:
        """Return the page; made anew if the runs have changed.

        Raises:
            UsageError: A folder is not a run folder, or a file in it is damaged.
        """
        with self._lock:
            version = self.version()
            if version != self._version and time.monotonic() - self._made >= OLDEST or not self._page:
                self._page = page_of([live_record(folder) for folder in self._folders], watched=True)
                self._version, self._made = version, time.monotonic()
            return self._page

    def version(self) -> str:
        """Return a text that differs when a run has written something."""
        files = [path for folder in self._folders for path in _written(folder)]
        return json.dumps([(str(path), path.stat().st_mtime_ns) for path in files if path.exists()])


def _written(folder: Path) -> list[Path]:
    run = RunFolder(folder)
    own = [run.config_file, run.history_file, run.study_file, run.results_table, run.finalists_table, run.best.path]
    return [*own, *sorted(run.trials.glob(f"*/{RESULTS_FILE}"))]


class ReportServer(ThreadingHTTPServer):
    """Serves the report on the loopback address, under a path that only the printed address contains.

    Other users of this machine can connect to the port, but do not know the path.

    Args:
        folders: The run folders.
        port: The port; 0: any free one.

    Raises:
        UsageError: The port is not free.
    """

    daemon_threads = True

    def __init__(self, folders: Sequence[Path], port: int = 0) -> None:
        self.report, self._secret = WatchedReport(folders), secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UsageError(f"`--port {port}` cannot be used: {reason(error)}. Choose another one.") from error

    @cached_property
    def path(self) -> str:
        """The secret path of the page."""
        return f"/{self._secret}/"

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://{LOOPBACK}:{self.server_address[1]}{self.path}"


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer

    def do_GET(self) -> None:  # noqa: N802 (the name that http.server calls)
        """Answer with the page, or with the version of its content."""
        path = self.server.path
        try:
            if secrets.compare_digest(self.path.encode(), path.encode()):
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", self.server.report.page())
            elif secrets.compare_digest(self.path.encode(), f"{path}version".encode()):
                self._answer(HTTPStatus.OK, "application/json", self.server.report.version())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", "Open the address that was printed.\n")
        except UsageError as error:
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", f"{error}\n")

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        content = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing for a request."""
