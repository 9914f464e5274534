"""`python -m ltray.convert DATASET|FOLDER|FILE`: write a data set's images as .beton files for FFCV.

DATASET is a data-set file, or the name of a data set of ltray. FOLDER contains a folder of images for
each class, with or without train/val/test above them, or images and a table of their labels. FILE is
such a table (CSV, TSV, JSON lines), a zip file or a Parquet file. FOLDER or FILE is converted, and a
data-set file for train and tune is written into the current folder. If everything is already converted,
nothing is done; run the same command again to continue an interrupted conversion.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ltray.arguments import name_or_path, path_argument, path_value, settings_value
from ltray.command import DONE, FAILED, exit_with
from ltray.data import draft_definition
from ltray.data.beton.convert import REPORT, convert
from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.store import folder_of, sidecars
from ltray.data.beton.survey import survey
from ltray.data.definition import DatasetDefinition
from ltray.data.draft_definition import Draft
from ltray.data.sources.forms import is_form
from ltray.errors import RunFailed, chosen
from ltray.files import reason
from ltray.parser import Parser
from ltray.printable import printable, printable_lines
from ltray.settings import parse_assignments

if TYPE_CHECKING:
    from ltray.next_command import NextCommand

ON_ERROR: Mapping[str, bool] = {"stop": False, "skip": True}
"""Treatment of images that cannot be used, by name: whether they are left out."""


@dataclass(frozen=True)
class ConvertedData:
    """A converted data set.

    Attributes:
        definition: The data set.
        folder: The folder of its converted files.
        written: Whether anything was converted; False if everything was already converted.
        seconds: Duration in seconds.
        draft: The form that was found for a folder or file of images; None if a data set was given.
        data_set_file: The data-set file of a folder or file of images, in the current folder, for `dataset`; else None.
        fresh: Whether that file was written now; False if it existed, perhaps with changes.
    """

    definition: DatasetDefinition
    folder: Path
    written: bool
    seconds: float
    draft: Draft | None = None
    data_set_file: Path | None = None
    fresh: bool = False

    def next_command(self) -> "NextCommand":
        """Return the training command that suits the data set and this machine; see docs/data-sets.md.

        Pretrained weights are searched in caches, packages and the current folder; nothing is downloaded.
        """
        from ltray.next_command import next_command  # imported here: it imports torch, which a conversion does not need

        dataset = DatasetDefinition.read(self.data_set_file) if self.data_set_file else self.definition
        tail, validation = draft_definition.training_tail(dataset, sidecars(self.definition, self.folder))
        return next_command(dataset, tail, Path.cwd(), validation=validation)


def run(
    dataset: str | PathLike[str],
    *,
    settings: Mapping[str, Any] | None = None,
    output: str | PathLike[str] | None = None,
    verify: bool = False,
    deep: bool = False,
    on_error: str = "stop",
) -> ConvertedData:
    """Write a data set's images as .beton files for FFCV; complete parts of an earlier conversion are kept.

    Args:
        dataset: A data-set file, the name of a data set of ltray, or new images: a folder, a table of paths and
            labels, a zip file or a Parquet file.
        settings: Values that replace fields of the data-set file, such as `{"image_size": 64}`.
        output: Folder for the converted files; None: `$LTRAY_DATA`, else the user's cache.
        verify: Whether to read and compare every converted image.
        deep: Whether to compare the contents of all originals with the converted files, even if size and time are
            unchanged.
        on_error: Treatment of images that cannot be used: "stop" lists them and raises, "skip" leaves them out.

    Returns:
        The conversion, with the folder of the converted files.

    Raises:
        UsageError: The data set, a setting or an image cannot be used.
        RunFailed: The disk is full or was removed; completed parts are kept, and the same call continues.
    """
    place = None if output is None else path_value("output", output)
    path_value("dataset", dataset)
    skip = chosen(on_error, ON_ERROR, "a treatment of images that cannot be used")
    given = settings_value(settings)
    done = _convert(str(dataset), given, output=place, skip=skip, deep=deep)
    if verify:
        _verify(sidecars(done.definition, done.folder))
    return _described(done, given)


def main(arguments: list[str]) -> int:
    """Convert, print the result, return the exit code."""
    given = new_parser().parse(arguments)
    settings = parse_assignments(given.settings)
    try:
        done = _convert(given.dataset, settings, output=given.output, skip=ON_ERROR[given.on_error], deep=given.deep)
    except RunFailed as error:
        print(f"error: {error}; run the same command again to continue", file=sys.stderr)
        return FAILED
    if done.draft:
        _print(f"{printable(given.dataset)}: {done.draft.why}")
    name, how = done.definition.name, "converted" if done.written else "already converted"
    _print(f"{name}: {how} ({done.seconds:.1f} s) in {done.folder}")
    stored = sidecars(done.definition, done.folder)
    for line in survey(stored):
        _print(line)
    _print_findings(done.folder)
    if given.verify:
        _verify(stored)
        _print("verified: every converted image is equal to the one that was written")
    done = _described(done, settings)
    if done.data_set_file:
        _print(f"data-set file ({'please check it' if done.fresh else 'with your changes'}): {done.data_set_file}")
        following = done.next_command()
        for why in following.reasons:
            _print(f"  {why}")
        _print(f"next: {following.line(done.data_set_file)}")
        _print(f"or compare methods: {following.comparison(done.data_set_file)}")
    elif given.output:
        _print(f"to use it in later commands: export LTRAY_DATA={shlex.quote(str(given.output.resolve()))}")
    return DONE


def _print(text: str) -> None:
    """Print a text that may contain names of classes, files and folders."""
    print(printable_lines(text))


def _convert(
    dataset: str, settings: Mapping[str, Any], *, output: Path | None, skip: bool, deep: bool
) -> ConvertedData:
    own = draft_definition.draft(Path(dataset), settings) if is_form(Path(dataset)) else None
    definition = own.definition if own else DatasetDefinition.read(dataset, settings)
    started = time.monotonic()
    try:
        written = convert(definition, progress=ProgressBars(), root=output, skip=skip, deep=deep)
    except OSError as error:  # the disk is full, or was removed
        place = f"{printable(str(error.filename))}: " if error.filename else ""
        raise RunFailed(f"{place}{reason(error)}; completed parts are kept") from error
    seconds, folder = time.monotonic() - started, folder_of(definition, output)
    return ConvertedData(definition, folder, bool(written), seconds, draft=own)


def _described(done: ConvertedData, settings: Mapping[str, Any]) -> ConvertedData:
    """Write the data-set file of a folder of images, and return the conversion with it."""
    if done.draft is None:
        return done
    file, fresh = draft_definition.write(done.draft, sidecars(done.definition, done.folder), settings)
    return replace(done, data_set_file=file, fresh=fresh)


def new_parser() -> Parser:
    """Return the command's argument parser."""
    parser = Parser("convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=name_or_path, metavar="DATASET|FOLDER|FILE")
    parser.add_settings("fields of the data-set file: folder=/data")
    parser.add_argument(
        "--output",
        type=path_argument,
        metavar="DIR",
        help="folder for the converted files (default: $LTRAY_DATA, else the user's cache)",
    )
    parser.add_argument("--verify", action="store_true", help="read and compare every converted image")
    parser.add_argument(
        "--deep",
        action="store_true",
        help="compare the contents of all originals with the converted files, even if size and time are unchanged",
    )
    parser.add_argument(
        "--on-error",
        choices=tuple(ON_ERROR),
        default="stop",
        help="treatment of images that cannot be used: list them and stop (default), or leave them out",
    )
    return parser


def _print_findings(folder: Path) -> None:
    """Print the headings of the report that have content; its lists can be long."""
    report = folder / REPORT
    if report.is_file():
        headings = [
            line
            for line in report.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            if line and line[0] != " "
        ]
        telling = [line for line in headings if not line.endswith(" usable, 0 not")]
        for line in telling:
            _print(line)
        if telling:
            _print(f"details for each image: {report}")


def _verify(stored: Mapping[str, Sidecar]) -> None:
    # Imported here, because it imports FFCV, which a conversion imports in a separate process.
    from ltray.data.beton.verification import verify

    for pool, sidecar in stored.items():
        with ProgressBars().bar(f"{pool}: verifying", len(sidecar.labels)) as advance:
            verify(sidecar, advance)


if __name__ == "__main__":
    exit_with(main)
