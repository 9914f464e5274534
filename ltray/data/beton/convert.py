"""Conversion of originals to .beton files: one per pool, written once and never incomplete."""

import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltray import __version__
from ltray.data.beton import report
from ltray.data.beton.changes import OriginalsState, keys_of, originals_state
from ltray.data.beton.chunks import Prepared
from ltray.data.beton.completion import COMPLETE, Completion
from ltray.data.beton.disk_space import check_before, check_free
from ltray.data.beton.in_use import hold_for_replacing
from ltray.data.beton.inventory import FILE_NAME, Inventory, PoolRecord
from ltray.data.beton.left_out import LeftOut, left_out_before
from ltray.data.beton.manifest import Sidecar, digest_of_ends, sidecar_path
from ltray.data.beton.ownership import Ownership, is_work_folder, new_work_folder
from ltray.data.beton.parent_watch import follow
from ltray.data.beton.prepare import prepare
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.reader import library
from ltray.data.beton.spawning import without_main_module
from ltray.data.beton.store import BAD_USAGE, folder_of, inventory_now, recorded
from ltray.data.beton.writer import BetonWriter, Job
from ltray.data.data_folder import make_data_folder
from ltray.data.definition import DatasetDefinition
from ltray.data.encoding import Storage
from ltray.data.originals import Originals, Source
from ltray.data.sources import registry
from ltray.data.sources.class_names import some
from ltray.errors import UsageError
from ltray.files import digest_of, locking

IMAGES_A_PROCESS = 2_500  # for fewer, the start of another process takes longer than it saves
REPORT = "report.txt"


def _main(order: str) -> int:
    """Run the conversion for `_convert_elsewhere`; a user's mistake is written to the standard output."""
    wanted = json.loads(order)
    follow(wanted["parent"])
    try:
        convert(DatasetDefinition(**wanted["definition"]), progress=ProgressBars(shown=wanted["progress"]))
    except UsageError as error:
        print(error)
        return BAD_USAGE
    return 0


def convert(
    definition: DatasetDefinition,
    *,
    progress: ProgressBars,
    root: Path | None = None,
    skip: bool = False,
    deep: bool = False,
) -> bool:
    """Write a definition's pools, unless they exist already; continues a killed conversion.

    Args:
        definition: The definition of the originals.
        progress: Shows the progress.
        root: The folder to write into; by default the data folder.
        skip: Whether images that cannot be used are left out; else they are an error, except those
            that an earlier conversion left out.
        deep: Whether to compare the contents of all originals, also of files with unchanged size
            and time, and all bytes of the converted files.

    Returns:
        Whether anything had to be written.

    Raises:
        UsageError: FFCV is missing, the originals cannot be found, an image cannot be used, the disk is full, a
            file in the folder was not written by ltray, or a process was killed.
        OSError: A file cannot be written.
        RuntimeError: FFCV's writer failed in another way.
    """
    library()  # first, so that nothing is written if FFCV is missing
    folder = folder_of(definition, root)
    with _only_process(folder):
        source = registry.open_source(definition)
        names = [f"{pool}.{suffix}" for pool in source.pools for suffix in ("beton", "json")]
        own = Ownership.claim(folder, definition, [*names, COMPLETE, REPORT, FILE_NAME])
        state = originals_state(definition, source)
        known = recorded(folder)
        now = inventory_now(known, definition, source, state=state, deep=deep, progress=progress) if known else None
        sound: set[str] = set()
        if known and now and known.fingerprint == now.fingerprint:
            sound = _sound_pools(folder, known, definition.storage, deep=deep)
            if sound == set(source.pools):
                if now is not known:
                    now.write(folder)
                return False
        with hold_for_replacing(folder):
            work = folder / f".work-{definition.storage.key}-{state.stamps_digest[:16]}"
            new_work_folder(work)
            agreed = left_out_before(definition, folder)
            task = _Conversion(definition, source, folder, own, work, progress, skip, state, now, agreed)
            with without_main_module():
                task.run([pool for pool in source.pools if pool not in sound])
            Completion.of(folder, source.pools).write()
            shutil.rmtree(work)
    return True


def _remove_unused(folder: Path, own: Ownership, *, work: Path, pools: Container[str]) -> None:
    """Remove files of earlier conversions that this one does not use; files that ltray did not write are kept."""
    for unused in folder.glob(".work-*"):
        if unused != work and is_work_folder(unused):
            shutil.rmtree(unused)
    for beton in folder.glob("*.beton"):
        if own.owns(beton.name) and beton.stem not in pools:  # a split that the source no longer has
            beton.unlink()
            sidecar_path(beton).unlink(missing_ok=True)


def _sound_pools(folder: Path, known: Inventory, storage: Storage, *, deep: bool) -> set[str]:
    """Return the pools whose files are unchanged since a conversion of the recorded originals wrote them."""
    try:
        completion = Completion.read(folder)
    except UsageError:
        completion = None
    found = set()
    for pool in completion.sidecars if completion else ():
        try:
            sidecar = completion.read_sidecar(pool) if completion else None
            if sidecar and sidecar.fingerprint == known.fingerprint and sidecar.options == dataclasses.asdict(storage):
                sidecar.check(whole=deep)
                found.add(pool)
        except UsageError:
            continue
    return found


@contextmanager
def _only_process(folder: Path) -> Iterator[None]:
    """Allow one process at a time to convert into a folder; the others wait until the conversion is complete.

    Raises:
        UsageError: The folder cannot be created or written to.
    """
    try:
        make_data_folder(folder)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written: {error.strerror}; set --output or LTRAY_DATA to a writable folder."
        ) from error
    with lock:
        with locking(folder / ".lock"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class _Conversion:
    definition: DatasetDefinition
    source: Source
    folder: Path
    own: Ownership
    work: Path
    progress: ProgressBars
    skip: bool
    state: OriginalsState
    known: Inventory | None
    agreed: LeftOut

    @property
    def storage(self) -> Storage:
        return self.definition.storage

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
            if originals_state(self.definition, self.source).stamps_digest != self.state.stamps_digest:
                raise UsageError(
                    f"{self.source.origin}: files changed while they were read; convert again when no other program "
                    "writes to them."
                )
            inventory = self._inventory(found)
            self._report(found)
            (self.folder / COMPLETE).unlink(missing_ok=True)
            _remove_unused(self.folder, self.own, work=self.work, pools=self.source.pools)
            for pool, (originals, prepared) in found.items():
                self._write(writer, pool, originals=originals, prepared=prepared, fingerprint=inventory.fingerprint)
        inventory.write(self.folder)

    def _inventory(self, found: Mapping[str, tuple[Originals, Prepared]]) -> Inventory:
        """Return the record of the originals: those that were read now, and the previous record of the other pools."""
        pools = {}
        for pool in self.source.pools:
            if pool in found:
                originals, prepared = found[pool]
                left_out = np.flatnonzero(prepared.rows["width"] == 0)
                keys = tuple(keys_of(originals, self.source.root))
                pools[pool] = PoolRecord(keys, originals.labels, prepared.rows["original"], left_out)
            elif self.known:
                pools[pool] = self.known.pools[pool]
        return Inventory(self.source.class_names, pools, self.state.recorded_stamps, self.state.recorded_digest)

    def _bad(self, pool: str, originals: Originals, prepared: Prepared) -> list[str]:
        """Return the errors of the unusable images that the user has not allowed to be left out."""
        agreed = self.agreed.get(pool, set())
        keys, digests = tuple(keys_of(originals, self.source.root)), prepared.rows["original"]
        return [text for i, text in prepared.bad().items() if (keys[i], digests[i].tobytes()) not in agreed]

    def _report(self, found: Mapping[str, tuple[Originals, Prepared]]) -> None:
        file = self.folder / REPORT
        file.write_text(report.report(found, self.source.notes), encoding="utf-8", errors="surrogateescape")
        bad = [text for pool, (originals, prepared) in found.items() for text in self._bad(pool, originals, prepared)]
        if bad and not self.skip:
            total = sum(prepared.count for _, prepared in found.values())
            raise UsageError(
                f"{len(bad):,} of {total:,} images cannot be used:{report.some(bad)}\n"
                f"All are listed in {file}. Repair them, or leave them out with --on-error skip."
            )
        for pool, (_, prepared) in found.items():
            if not len(prepared.good):
                raise UsageError(f"{pool}: none of its {prepared.count:,} images can be used; see {file}.")
        if "train" in found:
            originals, prepared = found["train"]
            self._check_classes(originals.labels[prepared.good])

    def _check_classes(self, labels: NDArray[np.int64]) -> None:
        """Raise UsageError if a class has no training image: a model could not learn it."""
        names = self.source.class_names
        empty = [names[label] for label in np.flatnonzero(np.bincount(labels, minlength=len(names)) == 0)]
        if empty:
            raise UsageError(
                f"{self.source.origin}: {len(empty)} of {len(names)} classes have no training image that can be used: "
                f"{some(empty, report.SHOWN)}; add images, or remove the class."
            )

    def _write(
        self, writer: BetonWriter, pool: str, *, originals: Originals, prepared: Prepared, fingerprint: str
    ) -> None:
        partial, beton = self.work / f"{pool}.beton", self.folder / f"{pool}.beton"
        partial.unlink(missing_ok=True)  # FFCV would append to it
        good = prepared.good
        labels = tuple(originals.labels[good].tolist())
        check_free(self.folder, prepared.bytes())
        with self.progress.bar(f"{pool}: writing", len(good)) as advance:
            writer.write(Job(partial, prepared, tuple(good.tolist()), labels), advance)
        sidecar = self._described(pool, prepared=prepared, labels=labels, partial=partial, fingerprint=fingerprint)
        os.replace(partial, beton)
        sidecar.write()

    def _described(
        self, pool: str, *, prepared: Prepared, labels: tuple[int, ...], partial: Path, fingerprint: str
    ) -> Sidecar:
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
            fingerprint=fingerprint,
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
