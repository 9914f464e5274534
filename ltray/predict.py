"""`python -m ltray.predict CHECKPOINT IMAGES…`: class names and probabilities of image files."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch
from rich.table import Table
from rich.text import Text
from torch import Tensor

from ltray.arguments import check_writable, count_argument, path_argument
from ltray.command import DONE, FAILED, run
from ltray.console import new_console
from ltray.csv_cell import csv_cell
from ltray.data.beton.changes import names_differ
from ltray.data.beton.presence import open_if_here
from ltray.data.image_file import read_image
from ltray.data.image_files import SUFFIXES, image_files
from ltray.errors import UsageError
from ltray.files import is_there
from ltray.methods.temperature import best_temperature
from ltray.model_folder import ModelFolder
from ltray.parser import Parser
from ltray.printable import printable
from ltray.results.predictions import Predictions, TrainedModel
from ltray.run_folder import checkpoint_of

BATCH = 64
NOT_CALIBRATED = "not calibrated"
COLDEST, HOTTEST = 0.01, 100.0  # the range that is searched for the temperature, as in the method `temperature`


@dataclass(frozen=True)
class Prediction:
    """The prediction for one file.

    Attributes:
        path: The file.
        classes: Names, the most probable first; empty where the file could not be read.
        probabilities: Of these classes.
        error: Why the file could not be read, or "".
    """

    path: Path
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""


def main(words: list[str]) -> int:
    """Predict, print; exit code 1 where a file could not be read."""
    options = _parser().parse(words)
    if options.output:
        check_writable(options.output, "--output")
    checkpoint = checkpoint_of(options.checkpoint)
    if checkpoint != options.checkpoint:
        print(f"model: {printable(checkpoint)}", file=sys.stderr)
    files = image_files(options.images)
    if not files:
        kinds = " ".join(SUFFIXES)
        raise UsageError(
            f"no image in {', '.join(map(printable, options.images))}; ltray reads these file types: {kinds}."
        )
    trained = TrainedModel.open(checkpoint, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    check_class_names(trained)
    temperature, source = temperature_of(trained, checkpoint)
    found = list(predict(trained, files, temperature=temperature, top=options.top))
    with options.output.open("w", encoding="utf-8", newline="") if options.output else nullcontext(sys.stdout) as file:
        FORMATS[options.format](found, file, {"temperature": temperature, "temperature_from": source})
    return FAILED if any(one.error for one in found) else DONE


def check_class_names(trained: TrainedModel) -> None:
    """Compare the model's class names with those of the originals, where these are on this machine.

    Raises:
        UsageError: The names differ.
    """
    dataset, names = trained.experiment.dataset, tuple(trained.checkpoint.context["class_names"])
    try:
        source = open_if_here(dataset)
    except UsageError:
        return  # the data set is not here: there is nothing to compare with
    if source is not None and source.class_names != names:
        raise UsageError(
            f"{dataset.name}: since the model was trained, {names_differ(names, source.class_names)}; restore the "
            "names, or train again."
        )


def temperature_of(trained: TrainedModel, checkpoint: Path) -> tuple[float, str]:
    """Return the temperature that scores are divided by before the softmax, and its source.

    The scores of a model that ends with the method `temperature` are already divided by it. For other models
    it is the best temperature on the validation logits in the checkpoint. The order of classes does not change.
    """
    if "T" in trained.stage.chosen():
        return 1.0, "the model's own temperature"
    scores = ModelFolder(checkpoint).scores_file
    if is_there(scores):
        known = Predictions.load(scores)
        if known.split == "val":
            return best_temperature(known.logits, known.labels, lowest=COLDEST, highest=HOTTEST), "validation images"
    return 1.0, NOT_CALIBRATED


@torch.no_grad()
def predict(trained: TrainedModel, files: Sequence[Path], *, temperature: float, top: int) -> Iterator[Prediction]:
    """Classify image files in the given order.

    Args:
        trained: The model.
        files: The files; a file that is not an image gives a `Prediction` with an error.
        temperature: T of the softmax.
        top: Number of classes to list.
    """
    trained.stage.eval()
    for start in range(0, len(files), BATCH):
        read = [_read(path, trained) for path in files[start : start + BATCH]]
        images = [image for image in read if isinstance(image, Tensor)]
        scores = trained.stage.logits(torch.stack(images).to(trained.device)).double().cpu() if images else None
        shares = iter(torch.softmax(scores / temperature, dim=1) if scores is not None else ())
        for path, image in zip(files[start : start + BATCH], read, strict=True):
            yield Prediction(path, error=image) if isinstance(image, str) else _best(path, next(shares), trained, top)


def _read(path: Path, trained: TrainedModel) -> Tensor | str:
    try:
        return read_image(path, trained.experiment.dataset)
    except FileNotFoundError:
        return "no such file"
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__


def _best(path: Path, shares: Tensor, trained: TrainedModel, top: int) -> Prediction:
    names = trained.checkpoint.context["class_names"]
    values, labels = torch.sort(shares, descending=True, stable=True)
    kept = min(top, len(names))
    return Prediction(path, tuple(names[k] for k in labels[:kept]), tuple(values[:kept].tolist()))


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


def _parser() -> Parser:
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
    run(main)
