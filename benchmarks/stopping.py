"""How well early decisions rank final results, and their cost: from recorded curves of real runs.

python -m benchmarks.stopping record --set digits --minutes 8 --processes 2    # appends the runs that are missing
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.stopping_curves import FILE, SETS, read, record, space_of
from benchmarks.stopping_replay import (
    REPETITIONS,
    RESAMPLES,
    by_run,
    epochs_needed,
    fidelities,
    kendall_tau,
    regret,
    tau_interval,
)

# Validation images of each set, and whether there are enough settings to replay a search.
IMAGES = {"digits": 200, "cifar10": 200}
SLACKS = (0, 2, 4, 6)  # validation images; a standard error is about six


def replay(path: Path) -> None:
    """Print the analysis of the recorded curves, as Markdown."""
    curves = read(path)
    print("| runs | compared by | settings | epochs each | Kendall's τ (95 %) | regret, points |")
    print("|---|---|---:|---:|---:|---:|")
    for name in SETS:
        full, table = space_of(name).base.knobs[0].epochs, by_run(curves, name)
        for schedule in ("cosine", "step"):
            for one in fidelities(table, schedule, full):
                low, high = tau_interval(one)
                print(
                    f"| {name}, {schedule} | {one.name} | {len(one.early)} | {one.epochs} "
                    f"| {kendall_tau(one.early, one.final):.2f} ({low:.2f} to {high:.2f}) "
                    f"| {100 * regret(one) / IMAGES[name]:.1f} |"
                )
    runs = by_run(curves, "digits")["cosine", space_of("digits").base.knobs[0].epochs]
    print("\nEpochs that TPE with ASHA needs for the result of random search; digits, cosine, ", end="")
    print(f"{len(runs)} settings, of which\nrandom search tries half, {REPETITIONS} repetitions; ", end="")
    print("means (95 %) of fractions of the epochs of random search\n")
    print("| result lower by at most, points | reached | of all epochs ", end="")
    print("| of the epochs until its best trial ends | of all epochs, if reached |")
    print("|---:|---:|---:|---:|---:|")
    for slack, needed in epochs_needed(runs, "digits", slacks=SLACKS).items():
        reached = [one for one in needed if one.reached]
        columns = (
            f"{100 * slack / IMAGES['digits']:.0f}",
            f"{len(reached)} of {len(needed)}",
            mean_and_interval([one.stopping / one.random for one in needed]),
            mean_and_interval([one.stopping / one.until_best for one in needed]),
            mean_and_interval([one.stopping / one.random for one in reached]),
        )
        print(f"| {' | '.join(columns)} |")


def mean_and_interval(values: Sequence[float]) -> str:
    """Return the mean and its 95 % interval over resampled values (bootstrap); a dash if there are none."""
    if not values:
        return "–"
    means = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{np.mean(values):.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Record or replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    recorder = actions.add_parser("record", help="train the runs that are missing and append their curves")
    recorder.add_argument("--set", choices=SETS, required=True)
    recorder.add_argument("--minutes", type=float, default=8.0, help="start no run after this time")
    recorder.add_argument("--processes", type=int, default=1, help="number of parallel runs, one thread each")
    replayer = actions.add_parser("replay", help="print the analysis of the recorded curves")
    for action in (recorder, replayer):
        action.add_argument("--curves", type=Path, default=FILE)
    options = parser.parse_args()
    if options.action == "replay":
        replay(options.curves)
        return
    left = record(options.set, options.curves, minutes=options.minutes, processes=options.processes)
    print(f"{left} runs left")


if __name__ == "__main__":
    main()
