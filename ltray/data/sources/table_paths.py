"""The paths of a table's images: as in the table, or found by name below the folder."""

import errno
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltray.data.image_files import Contents, is_image
from ltray.data.sources.folder import FileOriginals
from ltray.data.sources.list_file import ListFile
from ltray.data.sources.listed_paths import paths_below
from ltray.errors import UsageError
from ltray.printable import printable
from ltray.quantities import plural


@dataclass(frozen=True)
class TableOriginals(FileOriginals):
    """Images in separate files that a table lists.

    Attributes:
        where: File and line of each image (n,), for errors.
    """

    where: tuple[str, ...] = ()

    def read(self, index: int) -> bytes:
        """Return the file.

        Raises:
            FileNotFoundError: It is missing; the message contains the line that lists it.
            OSError: It cannot be read.
        """
        try:
            return super().read(index)
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, f"no such file ({self.where[index]})", self.paths[index]) from error


def locate(listed: ListFile, root: Path) -> tuple[tuple[str, ...], list[str]]:
    """Return the path of each image of a table, and the assumptions that were made.

    Paths are relative to `root` or to the table's folder, whichever contains more of the files. Other files are
    searched by name below both; upper and lower case are not distinguished, and a missing suffix may be any suffix.

    Args:
        listed: The images of a table.
        root: The images' folder.

    Raises:
        UsageError: No image is found, or several files have the name of one image.
    """
    roots = list(dict.fromkeys((root.absolute(), listed.path.absolute().parent)))
    tried = [paths_below(one, listed.images) for one in roots]
    there = [[os.path.isfile(path) for path in paths] for paths in tried]
    best = max(range(len(roots)), key=lambda place: (sum(there[place]), -place))
    paths, present = list(tried[best]), there[best]
    if all(present):
        return tuple(paths), []
    files = _Named.below(roots)
    found = 0
    for index, image in enumerate(listed.images):
        if not present[index] and (path := files.find(image, f"{listed.path}, line {listed.places[index]}")):
            paths[index], found = path, found + 1
    if not found and not any(present):
        image = listed.images[0]
        if "://" in image:
            raise UsageError(
                f"{printable(listed.path)}, line {listed.places[0]}: {printable(image)} is a URL; download the images "
                "and list their files."
            )
        raise UsageError(
            f"{printable(listed.path)}, line {listed.places[0]}: no such file: {printable(image)}, and none of the "
            f"other images is below {' or '.join(printable(one) for one in roots)}; set `folder` to the folder of the "
            "images."
        )
    return tuple(paths), [f"{listed.path}: {plural(found, 'image')} found by name, not at the path"] if found else []


@dataclass(frozen=True)
class _Named:
    """Images by their name in lower case, with and without the suffix."""

    full: dict[str, list[str]]
    stem: dict[str, list[str]]

    @classmethod
    def below(cls, roots: Sequence[Path]) -> "_Named":
        full, stem = defaultdict(list), defaultdict(list)
        files = {path for root in roots if root.is_dir() for path in Contents.of(root).images}
        for path in sorted(files):
            name = os.path.basename(path).casefold()
            full[name].append(path)
            stem[os.path.splitext(name)[0]].append(path)
        return cls(full, stem)

    def find(self, image: str, where: str) -> str:
        """Return the file with the name of an image; "" if there is none.

        Raises:
            UsageError: Several files have the name.
        """
        wanted = image.replace("\\", "/").strip("/").casefold()
        known = self.full if is_image(image) else self.stem
        files = known.get(wanted.rsplit("/", 1)[-1], [])
        ends = [path for path in files if _without_suffix(path, known is self.stem).endswith(f"/{wanted}")]
        several = ends or files
        if len(several) > 1:
            raise UsageError(
                f"{printable(where)}: {printable(image)} may be {printable(several[0])} or {printable(several[1])}; "
                "write its full path."
            )
        return several[0] if several else ""


def _without_suffix(path: str, without: bool) -> str:
    return (os.path.splitext(path)[0] if without else path).casefold()
