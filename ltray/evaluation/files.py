"""The files of an evaluation: one folder for each checkpoint and split, with the provenance of every result."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ltray.engine.checkpoint import FILE_NAME
from ltray.evaluation.analysis import Found
from ltray.figures.result_folder import PROVENANCE, finite
from ltray.figures.style import figure_files
from ltray.files import digest_of, is_there, reading
from ltray.private_folders import make_private
from ltray.provenance import PACKAGES, environment
from ltray.results.ledger import run_of
from ltray.results.predictions import TrainedModel
from ltray.run_folder import RunFolder
from ltray.seal import read_sealed, write_listed, write_sealed

LIBRARIES = ("captum", "matplotlib", "pillow", "scikit-learn", "scipy")
RESULT, FILES = "result", "files"


@dataclass(frozen=True)
class EvaluationFolder:
    """The results of one checkpoint on one split.

    Attributes:
        path: `<run>/evaluations/epoch<e>-<digest>/<split>`; the digest is that of the checkpoint, so that no other
            checkpoint has this folder.
        provenance: What every result contains: digests, versions, hardware.
    """

    path: Path
    provenance: Mapping[str, Any]

    @classmethod
    def of(cls, checkpoint: Path, trained: TrainedModel, split: str) -> "EvaluationFolder":
        """Return the folder of a checkpoint in its run, or next to its files if it is in none."""
        digest, epoch = digest_of(checkpoint / FILE_NAME), trained.checkpoint.position.total_epochs
        place = RunFolder(run_of(checkpoint)).evaluations / f"epoch{epoch:04d}-{digest[:12]}" / split
        experiment = trained.experiment
        known = environment(
            data_digest=str(trained.checkpoint.context.get("data_digest", "")),
            protocol=experiment.dataset.protocol,
            packages=(*PACKAGES, *LIBRARIES),
        )
        own = {"checkpoint": str(checkpoint), "checkpoint_sha256": digest, "epoch": epoch, "split": split}
        return cls(place, own | known | {"device": str(trained.device)})

    def result_file(self, name: str) -> Path:
        """Return the JSON file of an analysis; it is written last, so that a complete analysis has it."""
        return self.path / f"{name}.json"

    def known(self, name: str) -> dict[str, Any] | None:
        """Return the content of an analysis's JSON file; None: it is not there, or of another checkpoint.

        Raises:
            UsageError: It is damaged.
        """
        path = self.result_file(name)
        if not is_there(path):
            return None
        content = read_sealed(path, remedy="delete it to compute it again")
        with reading(path, "is not a result of ltray.evaluate", remedy="move it to another folder"):
            same = content[PROVENANCE]["checkpoint_sha256"] == self.provenance["checkpoint_sha256"]
            complete = all(is_there(self.path / one) for one in content[FILES])
        return content if same and complete else None

    def keep(self, name: str, title: str, found: Found) -> dict[str, Any]:
        """Write the tables, the figures and then the JSON file of an analysis; return the content of the last.

        Raises:
            OSError: They cannot be written.
        """
        make_private(self.path)
        files = [self._table(f"{stem}.parquet", frame) for stem, frame in found.tables.items()]
        for stem, draw in found.figures.items():
            files += self._figure(stem, draw())
        values = {"analysis": name, "title": title, RESULT: finite(found.values)}
        content = values | {FILES: files, PROVENANCE: dict(self.provenance)}
        write_sealed(self.result_file(name), content)
        return content

    def _table(self, name: str, frame: Any) -> str:
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        stamps = {b"ltray": json.dumps(self.provenance).encode()}
        content = BytesIO()
        parquet.write_table(table.replace_schema_metadata((table.schema.metadata or {}) | stamps), content)
        write_listed(self.path / name, content.getvalue())
        return name

    def _figure(self, stem: str, figure: Any) -> Sequence[str]:
        names = []
        for suffix, content in figure_files(figure).items():
            names.append(f"{stem}.{suffix}")
            write_listed(self.path / names[-1], content)
        return names
