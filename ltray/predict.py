"""`python -m ltray.predict CHECKPOINT IMAGES…`: class names and probabilities of image files."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from ltray.arguments import check_writable, count_argument, path_argument, path_value
from ltray.command import DONE, FAILED, exit_with
from ltray.console import new_console
from ltray.csv_cell import csv_cell
from ltray.data.image_files import SUFFIXES, image_files
from ltray.errors import UsageError
from ltray.parser import Parser
from ltray.printable import printable
from ltray.results.classifier import NOT_CALIBRATED, Classifier, Prediction, best_device
from ltray.run_folder import checkpoint_of


@dataclass(frozen=True)
class Predicted:
    """What a model predicted.

    Attributes:
        checkpoint: The folder of the model.
        predictions: One for each file, in their order.
        temperature: What scores were divided by before the softmax.
        temperature_from: Its source, in words.
    """

    checkpoint: Path
    predictions: Sequence[Prediction]
    temperature: float
    temperature_from: str


def run(
    checkpoint: str | PathLike[str], images: str | PathLike[str] | Sequence[str | PathLike[str]], *, top: int = 5
) -> Predicted:
    """Classify image files with a trained model; `ltray.load(run).model()` also takes arrays and tensors.

    Args:
        checkpoint: Folder of a checkpoint, run or search.
        images: An image file, a folder of them, or several of either.
        top: Number of classes to list for each image, at least 1.

    Returns:
        The predictions; a file that cannot be read gives one with an error.

    Raises:
        UsageError: The model is missing or damaged, there is no image, or a value is illegal.
    """
    given = images if isinstance(images, Sequence) and not isinstance(images, str) else [images]
    places = [path_value("images", image) for image in given]
    folder = checkpoint_of(path_value("checkpoint", checkpoint))
    files = image_files(places)
    if not files:
        kinds = " ".join(SUFFIXES)
        raise UsageError(f"no image in {', '.join(map(printable, places))}; ltray reads these file types: {kinds}.")
    model = Classifier.open(folder, best_device())
    return Predicted(folder, model.predict(files, top=top), *model.calibration)


def main(words: list[str]) -> int:
    """Predict, print; exit code 1 where a file could not be read."""
    options = new_parser().parse(words)
    if options.output:
        check_writable(options.output, "--output")
    checkpoint = checkpoint_of(options.checkpoint)
    if checkpoint != options.checkpoint:
        print(f"model: {printable(checkpoint)}", file=sys.stderr)
    found = run(checkpoint, options.images, top=options.top)
    stamps = {"temperature": found.temperature, "temperature_from": found.temperature_from}
    with options.output.open("w", encoding="utf-8", newline="") if options.output else nullcontext(sys.stdout) as file:
        FORMATS[options.format](found.predictions, file, stamps)
    return FAILED if any(one.error for one in found.predictions) else DONE


def _write_json(found: Sequence[Prediction], file: TextIO, stamps: Mapping[str, Any]) -> None:
    rows = [
        {"path": str(one.path), "error": one.error}
        if one.error
        else {
            "path": str(one.path),
            "classes": [
                {"class": name, "probability": round(share, 6)}
                for name, share in zip(one.classes, one.probabilities, strict=True)
            ],
        }
        for one in found
    ]
    json.dump(dict(stamps) | {"predictions": rows}, file, indent=1)
    file.write("\n")


def _write_csv(found: Sequence[Prediction], file: TextIO, stamps: Mapping[str, Any]) -> None:
    """Write one row per file and class, `path,rank,class,probability,error`."""
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(("path", "rank", "class", "probability", "error"))
    for one in found:
        if one.error:
            rows.writerow((csv_cell(str(one.path)), "", "", "", csv_cell(one.error)))
        for rank, (name, share) in enumerate(zip(one.classes, one.probabilities, strict=True), start=1):
            rows.writerow((csv_cell(str(one.path)), rank, csv_cell(name), f"{share:.6f}", ""))


def _print_table(found: Sequence[Prediction], file: TextIO, stamps: Mapping[str, Any]) -> None:
    console = new_console()
    console.file = file
    shown = Table()
    shown.add_column("image")
    shown.add_column("classes")
    for one in found:
        pairs = zip(one.classes, one.probabilities, strict=True)
        words = "  ".join(f"{name} ({100 * share:.1f} %)" for name, share in pairs)
        shown.add_row(str(one.path), Text(one.error, "red") if one.error else words)
    console.print(shown)
    source = stamps["temperature_from"]
    origin = f"({source})" if source == NOT_CALIBRATED else f"from {source}"
    console.print(f"temperature {stamps['temperature']:.3g} {origin}")


FORMATS: Mapping[str, Callable[[Sequence[Prediction], TextIO, Mapping[str, Any]], None]] = {
    "table": _print_table,
    "csv": _write_csv,
    "json": _write_json,
}
"""What writes predictions, by the name in `--format`; the last argument has the temperature and its source."""


def new_parser() -> Parser:
    """Return what reads the command's words."""
    parser = Parser("predict", description="Classify image files with a trained model.")
    parser.add_argument(
        "checkpoint", type=path_argument, metavar="CHECKPOINT", help="folder of a checkpoint, run or search"
    )
    parser.add_argument(
        "images", type=path_argument, nargs="+", metavar="IMAGES", help="image files, or folders of them"
    )
    parser.add_argument(
        "--top", type=count_argument, default=5, metavar="K", help="number of classes to list (default: 5)"
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="table", help="(default: table)")
    parser.add_argument("--output", type=path_argument, metavar="FILE", help="output file (default: standard output)")
    return parser


if __name__ == "__main__":
    exit_with(main)
