"""From originals to .beton files: one a pool, written once, never half."""

import dataclasses
import fcntl
import hashlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ltray import __version__
from ltray.data import findings, sources
from ltray.data.decoding import decode
from ltray.data.definition import DatasetDefinition
from ltray.data.ffcv_writer import BetonWriter, Job
from ltray.data.originals import Originals, Source
from ltray.data.places import data_folder
from ltray.data.preparation import prepare
from ltray.data.prepared import Prepared
from ltray.data.progress import Progress
from ltray.data.sidecar import Sidecar, digest_of, digest_of_ends
from ltray.data.storage import Storage
from ltray.errors import UsageError

IMAGES_A_PROCESS = 2_500  # fewer are not worth another process
SAMPLE = 32  # images by which the disk space is estimated
SPARE = 1.1  # disk space asked for, as a share of the estimate
REPORT = "report.txt"


def folder_of(definition: DatasetDefinition, root: Path | None = None) -> Path:
    """Return the folder of a definition's .beton files, below `root` or the data folder."""
    return (root or data_folder()) / definition.key


def converted(definition: DatasetDefinition, *, progress: bool = False) -> Mapping[str, Sidecar]:
    """Return the sidecars of a definition's pools, checked; convert first where there are none.

    Raises:
        UsageError: The originals cannot be found or read, or a file is damaged.
    """
    folder = folder_of(definition)
    if not betons(folder):
        convert(definition, progress=Progress(shown=progress))
    found = {file.stem: Sidecar.read(file) for file in betons(folder)}
    for sidecar in found.values():
        sidecar.check()
    return found


def betons(folder: Path) -> list[Path]:
    """Return the .beton files of a complete conversion; the marker is written last."""
    return sorted(folder.glob("*.beton")) if (folder / "complete").is_file() else []


@dataclass(frozen=True)
class Orders:
    """How a conversion goes about its work.

    Attributes:
        progress: Shows how far it is.
        skip: Whether images that cannot be used are left out; else they end it.
    """

    progress: Progress
    skip: bool = False


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
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        source = sources.open_source(definition)
        stale = [pool for pool in source.pools if not _up_to_date(folder / f"{pool}.beton", source)]
        if not stale and (folder / "complete").is_file():
            return False
        (folder / "complete").unlink(missing_ok=True)
        work = folder / f".work-{source.fingerprint[:16]}"
        for left_over in folder.glob(".work-*"):
            if left_over != work:
                shutil.rmtree(left_over)
        _Conversion(source, definition.storage, folder, work, Orders(progress, skip)).run(stale)
        shutil.rmtree(work)
        (folder / "complete").touch()
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time convert into a folder; the others wait and find it done."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _up_to_date(beton: Path, source: Source) -> bool:
    try:
        sidecar = Sidecar.read(beton)
        sidecar.check()
    except UsageError:
        return False
    return sidecar.fingerprint == source.fingerprint


@dataclass(frozen=True)
class _Conversion:
    source: Source
    storage: Storage
    folder: Path
    work: Path
    orders: Orders

    def run(self, pools: list[str]) -> None:
        """Prepare every pool, report, then write."""
        found: dict[str, tuple[Originals, Prepared]] = {}
        with BetonWriter() as writer:  # starts while the images are prepared
            for pool in pools:
                originals = self.source.pools[pool]()
                prepared = Prepared(self.work / pool, len(originals.labels))
                prepared.folder.mkdir(parents=True, exist_ok=True)
                self._check_space(originals)
                with self.orders.progress.bar(f"{pool}: reading", prepared.count) as advance:
                    workers = _workers(prepared.count)
                    opener = self.source.pools[pool]
                    prepare(opener, prepared, storage=self.storage, workers=workers, advance=advance)
                found[pool] = originals, prepared
            self._report(found)
            for pool, (originals, prepared) in found.items():
                self._write(writer, pool, originals=originals, prepared=prepared)

    def _report(self, found: Mapping[str, tuple[Originals, Prepared]]) -> None:
        report = self.folder / REPORT
        report.write_text(findings.report(found), encoding="utf-8")
        bad = [sentence for _, prepared in found.values() for sentence in prepared.bad().values()]
        if bad and not self.orders.skip:
            total = sum(prepared.count for _, prepared in found.values())
            raise UsageError(
                f"{len(bad):,} of {total:,} images cannot be used:{findings.some(bad)}\n"
                f"All are listed in {report}. Mend them, or leave them out with --on-error skip."
            )
        for pool, (_, prepared) in found.items():
            if not len(prepared.good):
                raise UsageError(f"{pool}: none of its {prepared.count:,} images can be used; see {report}.")

    def _write(self, writer: BetonWriter, pool: str, *, originals: Originals, prepared: Prepared) -> None:
        partial, beton = self.work / f"{pool}.beton", self.folder / f"{pool}.beton"
        partial.unlink(missing_ok=True)  # FFCV would append to it
        good = prepared.good
        labels = tuple(originals.labels[good].tolist())
        _check_free(self.folder, prepared.bytes())
        with self.orders.progress.bar(f"{pool}: writing", len(good)) as advance:
            writer.write(Job(partial, prepared, tuple(good.tolist()), labels, _workers(len(good))), advance)
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

    def _check_space(self, originals: Originals) -> None:
        """Estimate the space from a few images: encoded images and .beton lie there side by side."""
        count = len(originals.labels)
        sizes = []
        for index in np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).astype(int)):
            try:
                image = decode(originals.read(int(index)), longest=self.storage.cap)
                sizes.append(len(self.storage.store(image).content))
            except Exception:  # noqa: S112 - told with all others, by index, when the pool is prepared
                continue
        _check_free(self.folder, int(2 * count * np.mean(sizes)) if sizes else 0)


def _workers(images: int) -> int:
    return max(1, min(os.cpu_count() or 1, images // IMAGES_A_PROCESS))


def _check_free(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if wanted * SPARE > free:
        raise UsageError(
            f"{folder}: about {wanted * SPARE / 1e9:.1f} GB are needed, but {free / 1e9:.1f} GB are free; "
            "free some, or set LTRAY_DATA or --output to another disk."
        )


def _versions() -> dict[str, str]:
    named = {name: importlib.metadata.version(name) for name in ("ffcv", "numpy", "pillow")}
    return {"ltray": __version__, "python": platform.python_version()} | named
