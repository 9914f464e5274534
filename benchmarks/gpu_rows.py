"""Results of `benchmarks.gpu`: a dated JSON line for each part, so that a command that is cut keeps what it has."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from ltray.files import read_text, reading
from ltray.provenance import commit, processor

FILE = "rows.jsonl"


class OutOfTime(Exception):
    """The command's minutes are used up; the next command continues."""


@dataclass(frozen=True)
class Deadline:
    """The end of a command's time.

    Attributes:
        minutes: Of the command.
        started: Reading of the monotonic clock at its start.
    """

    minutes: float
    started: float = field(default_factory=time.monotonic)

    @property
    def passed(self) -> bool:
        """Whether the time is used up."""
        return time.monotonic() - self.started > 60 * self.minutes

    def check(self) -> None:
        """Raise `OutOfTime` if the time is used up."""
        if self.passed:
            raise OutOfTime


class Rows:
    """The rows of a folder.

    Args:
        folder: The folder; it is created.
        device: The device that is measured.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / FILE
        gpu = device.type == "cuda"
        self._common = {
            "device": torch.cuda.get_device_name(device) if gpu else processor(),
            "torch": torch.__version__,
            "commit": commit(),
        }

    def read(self) -> list[dict[str, Any]]:
        """Return all rows; a last line that was cut off is left out.

        Raises:
            UsageError: Another line is not JSON.
        """
        if not self.file.is_file():
            return []
        lines = read_text(self.file).split("\n")
        with reading(self.file, "contains a line that is not JSON", remedy="remove the line"):
            return [json.loads(line) for line in lines[:-1]]

    def done(self) -> set[str]:
        """Return the names of the parts that have a row."""
        return {row["name"] for row in self.read()}

    def add(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Append a row and write it to the disk at once; return it."""
        row = {"name": name, "time": datetime.now(UTC).isoformat(timespec="seconds"), **self._common, **values}
        whole = self.file.read_text(encoding="utf-8") if self.file.is_file() else ""
        cut = len(whole[: whole.rfind("\n") + 1].encode())
        with self.file.open("a+", encoding="utf-8") as output:
            output.truncate(cut)  # a line that was cut off
            output.write(json.dumps(row) + "\n")
            output.flush()
            os.fsync(output.fileno())
        return row
