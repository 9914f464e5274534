"""The page of `compare_methods.py`: mean and interval over seeds, with the provenance of the figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ltray.results.intervals import mean_interval

Result = Mapping[str, Any]
COLUMNS = ("all", "many", "medium", "few")


def written(results: Sequence[Result], *, dataset: str) -> str:
    """Return the page as Markdown.

    Args:
        results: The result of each run, with the methods in the order of the table.
        dataset: Name of the data set.
    """
    names = list(dict.fromkeys(result["method"] for result in results))
    rows = [_row([result for result in results if result["method"] == name]) for name in names]
    seeds = sorted({result["seed"] for result in results})
    lines = [
        f"# All methods on {dataset}",
        "",
        f"    python -m benchmarks.compare_methods --dataset {dataset} --seeds {len(seeds)}",
        "",
        *_introduction(results, seeds),
        "",
        "| method | continues from | epochs | all | many | medium | few | validation, all | CPU s per run |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        *_provenance(results),
    ]
    return "\n".join(lines) + "\n"


def _row(runs: Sequence[Result]) -> str:
    first = runs[0]
    test = [_cell([run["test"].get(f"test/acc_{name}") for run in runs]) for name in COLUMNS]
    validation = _cell([run["validation"]["val/acc_all"] for run in runs])
    seconds = np.mean([run["cpu_seconds"] for run in runs])
    cells = [first["method"], first["start"], str(first["epochs"]), *test, validation, f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} |"


def _cell(values: Sequence[float | None]) -> str:
    known = [100.0 * value for value in values if value is not None]
    if not known:
        return ""
    found = mean_interval(known)
    return f"{found.mean:.1f} ± {found.half:.1f}" if found.count > 1 else f"{found.mean:.1f}"


def _introduction(results: Sequence[Result], seeds: Sequence[int]) -> list[str]:
    protocol = results[0]["environment"]["protocol"]
    return [
        f"Accuracy on test images in %, {_over(seeds)};",
        "a seed determines the initial weights, the order of the images and the augmentation; all runs have the same",
        "images. Each method has its declared settings for this data set (`python -m ltray.methods NAME`). No",
        "settings were searched, but some were set by hand after an evaluation on validation images, so that methods",
        f"may have an unequal advantage. Protocol: {protocol}. Validation images select the epoch; test images are",
        "read once per run. A method that continues from another method starts from that method's run with the same",
        "seed; its epochs are the additional ones. The data set is very small: the table shows that every method",
        "trains, not which method is best.",
    ]


def _over(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"of seed {seeds[0]} only: without an interval, so that differences of a few points are not significant"
    return f"mean and 95 % interval (Student's t) over seeds {', '.join(map(str, seeds))}"


def _provenance(results: Sequence[Result]) -> list[str]:
    stamps = [result["environment"] for result in results]
    commits = sorted({str(stamp["commit"]) for stamp in stamps})
    one = stamps[-1]
    versions = ", ".join(f"{name} {number}" for name, number in one["versions"].items() if number)
    return [
        f"Commits: {', '.join(commits)}. Hardware: {one['cpus']} CPU cores, one thread per run, no GPU;",
        f"{one['platform']}, Python {one['python']}. {versions}.",
        f"Data: {', '.join(sorted({str(stamp['data_digest']) for stamp in stamps}))}. Last run: {one['time']}.",
    ]
