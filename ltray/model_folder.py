"""The folder of a trained model: a checkpoint with its evaluation, such as `best/` of a run."""

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

LAST_EPOCH = "last_epoch"  # in `evaluation.json`: the number of the history's last line
SYSTEM_FILES = (".DS_Store", "._*", "Thumbs.db", "desktop.ini", ".nfs*", ".directory", "@eaDir")
"""Files that file systems and file managers create in a folder; they contain no data of the user."""


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a checkpoint and its evaluation.

    Attributes:
        path: The folder; it may be missing.
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
        """The number of looks at the test images, as recorded by an earlier version of ltray."""
        return self.path / "test_reads.json"

    def evaluation(self) -> dict[str, Any] | None:
        """Return the content of `evaluation.json`, or None if there is none.

        Raises:
            UsageError: It is damaged, or was not written by ltray.
        """
        path = self.evaluation_file
        if not is_there(path):
            return None
        found = read_sealed(path)
        for name in ("metrics", "selection", "settings"):
            if not isinstance(found.get(name), dict):
                raise UsageError(f"{printable(path)}: `{name}` is missing. {FOREIGN}")
        return found

    def check_written_by_ltray(self) -> None:
        """Raise an error for a folder that cannot be replaced because its content is not only a model saved by ltray.

        Raises:
            UsageError: It is not a folder, has no `evaluation.json`, or contains other files.
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
                f"contains {printable(foreign[0])}, which ltray did not write"
                if foreign
                else f"does not contain {self.evaluation_file.name}"
            )
            raise UsageError(f"{printable(self.path)}: {what}; ltray would replace it with a better model. {remedy}")
