"""`python -m ltray.convert DATASET|FOLDER`: write a data set's images as .beton files for FFCV.

DATASET is a data-set file, or the name of one that comes with ltray. FOLDER is anybody's folder of
images, a folder a class, with or without train/val/test above them: it is converted and gets
a data-set file of its own, ready for train and tune. A second run says that nothing is to be
done; a killed one is continued by the same command.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from ltray.arguments import name_or_path, path_argument
from ltray.command import DONE, FAILED, run
from ltray.data import draft_definition
from ltray.data.beton.convert import REPORT, convert
from ltray.data.beton.manifest import Sidecar
from ltray.data.beton.progress import ProgressBars
from ltray.data.beton.store import folder_of, sidecars
from ltray.data.beton.survey import survey
from ltray.data.definition import DatasetDefinition
from ltray.files import reason
from ltray.parser import Parser
from ltray.printable import printable
from ltray.program import called
from ltray.settings import parse_assignments


def main(words: list[str]) -> int:
    """Convert, say what was done, return the exit code."""
    given = _parser().parse(words)
    settings = parse_assignments(given.settings)
    own = Path(given.dataset).is_dir()
    if own:
        definition = draft_definition.draft(Path(given.dataset), settings)
    else:
        definition = DatasetDefinition.read(given.dataset, settings)
    started = time.monotonic()
    skip = given.on_error == "skip"
    try:
        written = convert(definition, progress=ProgressBars(), root=given.output, skip=skip, deep=given.deep)
    except OSError as error:  # the disk filled up, or went away
        place = f"{printable(str(error.filename))}: " if error.filename else ""
        print(
            f"error: {place}{reason(error)}; completed parts are kept; run the same command again to continue",
            file=sys.stderr,
        )
        return FAILED
    seconds = time.monotonic() - started
    folder = folder_of(definition, given.output)
    stored = sidecars(definition, folder)
    print(f"{definition.name}: {'converted' if written else 'already converted'} ({seconds:.1f} s) in {folder}")
    for line in survey(stored):
        print(line)
    _print_findings(folder)
    if given.verify:
        _verify(stored)
    if own:
        file, fresh = draft_definition.write(definition, stored, settings)
        print(f"data-set file ({'please check it' if fresh else 'with your edits'}): {file}")
        print(f"next: {called('train')} --methods bcl --dataset {shlex.quote(str(file))}")
    elif given.output:
        print(f"to use it in later commands: export LTRAY_DATA={shlex.quote(str(given.output.resolve()))}")
    return DONE


def _parser() -> Parser:
    parser = Parser("convert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=name_or_path, metavar="DATASET|FOLDER")
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
        choices=("stop", "skip"),
        default="stop",
        help="treatment of images that cannot be used: list them and stop (default), or leave them out",
    )
    return parser


def _print_findings(folder: Path) -> None:
    """Print the report's headings that tell anything; its lists can be long."""
    report = folder / REPORT
    if report.is_file():
        headings = [
            line
            for line in report.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
            if line and line[0] != " "
        ]
        telling = [line for line in headings if not line.endswith(" usable, 0 not")]
        for line in telling:
            print(line)
        if telling:
            print(f"details for each image: {report}")


def _verify(stored: Mapping[str, Sidecar]) -> None:
    # Here, not above: it imports FFCV, which a plain conversion leaves to a process of its own.
    from ltray.data.beton.verification import verify

    for pool, sidecar in stored.items():
        with ProgressBars().bar(f"{pool}: verifying", len(sidecar.labels)) as advance:
            verify(sidecar, advance)
    print("verified: every converted image is equal to the one that was written")


if __name__ == "__main__":
    run(main)
