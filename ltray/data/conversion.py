"""From originals to .beton files: one a pool, written once, never half."""

import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltray import __version__
from ltray.data import findings, sources
from ltray.data.converted import BAD_USAGE, COMPLETE, folder_of
from ltray.data.definition import DatasetDefinition
from ltray.data.disk_space import check_before, check_free
from ltray.data.ffcv_writer import BetonWriter, Job
from ltray.data.originals import Originals, Source
from ltray.data.orphans import follow
from ltray.data.preparation import prepare
from ltray.data.prepared import Prepared
from ltray.data.progress import Progress
from ltray.data.sidecar import Sidecar, digest_of, digest_of_ends
from ltray.data.storage import Storage
from ltray.errors import UsageError

IMAGES_A_PROCESS = 2_500  # fewer are not worth another process
REPORT = "report.txt"


def _main(order: str) -> int:
    """Do what `_convert_elsewhere` asks; a user's mistake goes to the standard output."""
    wanted = json.loads(order)
    follow(wanted["parent"])
    try:
        convert(DatasetDefinition(**wanted["definition"]), progress=Progress(shown=wanted["progress"]))
    except UsageError as error:
        print(error)
        return BAD_USAGE
    return 0


def convert(definition: DatasetDefinition, *, progress: Progress, root: Path | None = None, skip: bool = False) -> bool:
    """Write a definition's pools, unless they are there already; continues a killed conversion.

    Args:
        definition: Whose originals.
        progress: Shows how far it is.
        root: Where to write; the data folder by default.
        skip: Whether images that cannot be used are left out; else they end it.

    Returns:
        Whether anything had to be written.

    Raises:
        UsageError: The originals cannot be found, an image cannot be used, the disk is full.
        RuntimeError: FFCV's writer failed.
    """
    folder = folder_of(definition, root)
    with _alone(folder):
        source = sources.open_source(definition)
        storage = definition.storage
        stale = [pool for pool in source.pools if not _up_to_date(folder / f"{pool}.beton", source, storage)]
        if not stale and (folder / COMPLETE).is_file():
            return False
        (folder / COMPLETE).unlink(missing_ok=True)
        work = folder / f".work-{storage.key}-{source.fingerprint[:16]}"
        for left_over in folder.glob(".work-*"):
            if left_over != work:
                shutil.rmtree(left_over)
        for beton in folder.glob("*.beton"):
            if beton.stem not in source.pools:  # a split the source has no longer
                beton.unlink()
        if stale:
            _Conversion(source, storage, folder, work, progress, skip).run(stale)
            shutil.rmtree(work)
        (folder / COMPLETE).touch()
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time convert into a folder; the others wait and find it done.

    Raises:
        UsageError: The folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written to: {error.strerror}; set --output or LTRAY_DATA to a folder that can."
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _up_to_date(beton: Path, source: Source, storage: Storage) -> bool:
    try:
        sidecar = Sidecar.read(beton)
        sidecar.check()
    except UsageError:
        return False
    return sidecar.fingerprint == source.fingerprint and sidecar.options == dataclasses.asdict(storage)


@dataclass(frozen=True)
class _Conversion:
    source: Source
    storage: Storage
    folder: Path
    work: Path
    progress: Progress
    skip: bool

    def run(self, pools: list[str]) -> None:
        """Prepare every pool, report, then write."""
        found: dict[str, tuple[Originals, Prepared]] = {}
        with BetonWriter() as writer:  # starts while the images are prepared
            for pool in pools:
                originals = self.source.pools[pool]()
                prepared = Prepared(self.work / pool, len(originals.labels))
                if pool == "train":
                    self._check_classes(originals.labels)
                prepared.folder.mkdir(parents=True, exist_ok=True)
                check_before(self.folder, originals, self.storage)
                with self.progress.bar(f"{pool}: reading", prepared.count) as advance:
                    workers = _workers(prepared.count)
                    opener = self.source.pools[pool]
                    prepare(opener, prepared, storage=self.storage, workers=workers, advance=advance)
                found[pool] = originals, prepared
            self._report(found)
            for pool, (originals, prepared) in found.items():
                self._write(writer, pool, originals=originals, prepared=prepared)

    def _report(self, found: Mapping[str, tuple[Originals, Prepared]]) -> None:
        report = self.folder / REPORT
        report.write_text(findings.report(found, self.source.notes), encoding="utf-8")
        bad = [sentence for _, prepared in found.values() for sentence in prepared.bad().values()]
        if bad and not self.skip:
            total = sum(prepared.count for _, prepared in found.values())
            raise UsageError(
                f"{len(bad):,} of {total:,} images cannot be used:{findings.some(bad)}\n"
                f"All are listed in {report}. Mend them, or leave them out with --on-error skip."
            )
        for pool, (_, prepared) in found.items():
            if not len(prepared.good):
                raise UsageError(f"{pool}: none of its {prepared.count:,} images can be used; see {report}.")
        if "train" in found:
            originals, prepared = found["train"]
            self._check_classes(originals.labels[prepared.good])

    def _check_classes(self, labels: NDArray[np.int64]) -> None:
        """Raise UsageError where a class has no training image: nothing could be learned of it."""
        names = self.source.class_names
        empty = [names[label] for label in np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)]
        if empty:
            shown = ", ".join(empty[: findings.SHOWN]) + (", …" if len(empty) > findings.SHOWN else "")
            raise UsageError(
                f"{self.source.origin}: {len(empty)} of {len(names)} classes have no training image that can be used: "
                f"{shown}; add some, or leave the class out."
            )

    def _write(self, writer: BetonWriter, pool: str, *, originals: Originals, prepared: Prepared) -> None:
        partial, beton = self.work / f"{pool}.beton", self.folder / f"{pool}.beton"
        partial.unlink(missing_ok=True)  # FFCV would append to it
        good = prepared.good
        labels = tuple(originals.labels[good].tolist())
        check_free(self.folder, prepared.bytes())
        with self.progress.bar(f"{pool}: writing", len(good)) as advance:
            writer.write(Job(partial, prepared, tuple(good.tolist()), labels), advance)
        sidecar = self._described(pool, prepared=prepared, labels=labels, partial=partial)
        os.replace(partial, beton)
        sidecar.write()

    def _described(self, pool: str, *, prepared: Prepared, labels: tuple[int, ...], partial: Path) -> Sidecar:
        mean, std = prepared.statistics()
        content = hashlib.sha256()
        for index in prepared.good.tolist():
            content.update(prepared.encoded(index).content.tobytes())
        names = self.source.class_names
        return Sidecar(
            beton=self.folder / f"{pool}.beton",
            pool=pool,
            class_names=names,
            counts=tuple(np.bincount(labels, minlength=len(names)).tolist()),
            labels=labels,
            image_sizes=prepared.sizes(),
            mean=mean,
            std=std,
            origin=self.source.origin,
            fingerprint=self.source.fingerprint,
            options=dataclasses.asdict(self.storage),
            skipped=prepared.count - len(labels),
            content=content.hexdigest(),
            versions=_versions(),
            bytes=partial.stat().st_size,
            ends=digest_of_ends(partial),
            sha256=digest_of(partial),
        )


def _workers(images: int) -> int:
    return max(1, min(os.cpu_count() or 1, images // IMAGES_A_PROCESS))


def _versions() -> dict[str, str]:
    named = {name: importlib.metadata.version(name) for name in ("ffcv", "numpy", "pillow")}
    return {"ltray": __version__, "python": platform.python_version()} | named


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
