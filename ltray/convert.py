"""`python -m ltray.convert DATASET.yaml`: write a data set's images as .beton files."""

import argparse
import time
from pathlib import Path

from ltray.command import DONE, run
from ltray.data.conversion import convert, folder_of
from ltray.data.definition import DatasetDefinition
from ltray.data.places import data_folder
from ltray.data.progress import Progress
from ltray.data.sidecar import Sidecar


def main(words: list[str]) -> int:
    """Convert, say what was done, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ltray.convert", description=__doc__)
    parser.add_argument("dataset", metavar="DATASET", help="a data-set file, or the name of one in datasets/")
    parser.add_argument("--output", type=Path, metavar="DIR", help="instead of $LTRAY_DATA or the user's cache")
    parser.add_argument("--verify", action="store_true", help="read every image back and compare")
    given = parser.parse_args(words)
    definition = DatasetDefinition.read(given.dataset)
    started = time.monotonic()
    written = convert(definition, progress=Progress(), root=given.output)
    folder = folder_of(definition, given.output)
    print(f"{definition.name}: {'converted' if written else 'already converted'} ({time.monotonic() - started:.1f} s)")
    for file in sorted(folder.glob("*.beton")):
        sidecar = Sidecar.read(file)
        print(f"  {file}: {sum(sidecar.counts):,} images, {len(sidecar.counts)} classes, {sidecar.bytes / 1e6:.1f} MB")
        if given.verify:
            sidecar.check(whole=True)
    if given.output and given.output != data_folder():
        print(f"To train on it from there: export LTRAY_DATA={given.output.resolve()}")
    return DONE


if __name__ == "__main__":
    run(main)
