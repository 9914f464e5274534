"""The folder of a trained model: a checkpoint with its evaluation, as a run keeps its best one in `best/`."""

import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ltray.engine.checkpoint import FILE_NAME, SUMMARY_NAME
from ltray.errors import UsageError
from ltray.files import is_there
from ltray.printable import printable
from ltray.seal import FOREIGN, LIST, read_sealed

LAST_EPOCH = "last_epoch"  # in `evaluation.json`: the last line that the history has
SYSTEM_FILES = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", ".nfs*", ".directory", "@eaDir")
"""What file systems and file managers leave in a folder; it holds nothing of the user's."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a checkpoint, and what was evaluated with it.

    Attributes:
        path: The folder; it need not exist.
    """

    path: Path

    @property
    def evaluation_file(self) -> Path:
        """The one evaluation on the test images."""
        return self.path / "evaluation.json"

    @property
    def scores_file(self) -> Path:
        """The validation logits."""
        return self.path / "selection.npz"

    @property
    def test_reads_file(self) -> Path:
        """How often the test images were looked at, as an earlier version of ltray recorded it."""
        return self.path / "test_reads.json"

    def evaluation(self) -> dict[str, Any] | None:
        """Return the content of `evaluation.json`, or None where there is none.

        Raises:
            UsageError: It is damaged, or not what ltray writes.
        """
        path = self.evaluation_file
        if not is_there(path):
            return None
        found = read_sealed(path)
        for name in ("metrics", "selection", "settings"):
            if not isinstance(found.get(name), dict):
                raise UsageError(f"{printable(path)}: lacks `{name}`. {FOREIGN}")
        return found

    def check_written_by_ltray(self) -> None:
        """Refuse a folder that cannot be replaced because it holds something else than a model that ltray has kept.

        Raises:
            UsageError: It is not a folder, has no `evaluation.json`, or holds other files.
        """
        if not os.path.lexists(self.path):
            return
        remedy = "Move it, then run the same command to continue."
        if self.path.is_symlink() or not self.path.is_dir():
            raise UsageError(f"{printable(self.path)}: is not a folder that ltray created. {remedy}")
        own = (self.evaluation_file, self.scores_file, self.test_reads_file)
        known = (FILE_NAME, SUMMARY_NAME, LIST, *(file.name for file in own), *SYSTEM_FILES)
        names = sorted(path.name for path in self.path.iterdir())
        foreign = [name for name in names if not any(fnmatch(name, pattern) for pattern in known)]
        if foreign or (names and self.evaluation_file.name not in names):
            what = (
                f"holds {printable(foreign[0])}, which ltray did not write"
                if foreign
                else f"holds no {self.evaluation_file.name}"
            )
            raise UsageError(f"{printable(self.path)}: {what}; ltray would replace it by a better model. {remedy}")
