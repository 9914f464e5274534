r"""The sentences about published figures, for finished runs: what each kind of verdict looks like.

    python -m benchmarks.sentences runs/seed0 runs/seed1 runs/seed2

The runs differ in their seed alone. No published figure is used: the rows are invented around the runs' mean, one for
each verdict and for each reason why a row is not comparable. The same table is printed for the first run, the first
two, and so on. For the runs in docs/protocol.md:

    for seed in 0 1 2; do ltray train --dataset cifar10-lt --methods cross_entropy dataset.protocol=paper \
        epochs=1 precision=bfloat16 seed=$seed --output runs/seed$seed; done
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ltray.console import new_console
from ltray.model_folder import ModelFolder
from ltray.published import Claim, check
from ltray.published.table import claim_table
from ltray.results.intervals import mean_interval
from ltray.run_folder import RunFolder

AWAY = 12.0  # points
UNSTATED = {name: None for name in ("many", "medium", "few", "mcc", "nmi", "ece")}


def invented(settings: Mapping[str, Any], percent: float) -> Iterator[Claim]:
    """Yield rows that fit the runs: nearly equal, higher, lower; then rows of other conditions.

    Args:
        settings: Flat settings of the runs.
        percent: Their mean accuracy.
    """
    epochs = settings[f"{settings['methods'][0]}.epochs"]
    usual: dict[str, Any] = UNSTATED | {
        "source": "invented",
        "dataset": settings["dataset"],
        "imbalance_factor": settings["dataset.imbalance_factor"],
        "backbone": settings["backbone"],
        "network": settings["backbone"],
        "method": " + ".join(settings["methods"]),
        "methods": tuple(settings["methods"]),
        "settings": {},
        "variant": "",
        "chosen_on": "test" if settings["dataset.protocol"] == "paper" else "validation",
        "note": "",
    }
    for table, value in (("equal", percent), ("higher", percent + AWAY), ("lower", percent - AWAY)):
        yield Claim(**usual, table=table, epochs=epochs, all=round(value, 2))
    for table, other in (
        ("longer training", {"epochs": 10 * epochs}),
        ("unstated epochs", {"epochs": None}),
        ("wider network", {"epochs": epochs, "width": 256, "parameters": 7_000_000}),
        ("other protocol", {"epochs": epochs, "chosen_on": {"test": "validation"}.get(usual["chosen_on"], "test")}),
        ("other images", {"epochs": epochs, "subset": "another draw of the training images"}),
    ):
        yield Claim(**usual | {"table": table, "all": round(percent, 2)} | other)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="Print the sentences about published figures for finished runs.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders that differ in their seed")
    runs = parser.parse_args().runs
    found = [ModelFolder(RunFolder(run).best.path).evaluation() for run in runs]
    values = [evaluation["metrics"]["test/acc_all"] for evaluation in found if evaluation]
    if len(values) < len(runs):
        parser.error("a run is not finished")
    settings = found[0]["settings"] if found[0] else {}
    rows = tuple(invented(settings, 100 * sum(values) / len(values)))
    console = new_console()
    with patch.object(check, "published", lambda: rows):
        for count in range(1, len(runs) + 1):
            name = "1 run" if count == 1 else f"{count} runs"
            console.print(claim_table({name: check.compare(settings, mean_interval(values[:count]))}))


if __name__ == "__main__":
    main()
