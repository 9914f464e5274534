"""How well early decisions rank final results, and what they cost: from recorded curves of real runs.

python -m benchmarks.stopping record --set digits --minutes 8 --processes 2    # appends the runs that are missing
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks.stopping_curves import FILE, SETS, read, record, space_of
from benchmarks.stopping_replay import by_run, epochs_needed, fidelities, kendall_tau, regret, tau_interval

# Validation images of each set, and whether there are settings enough to replay a search.
IMAGES = {"digits": 200, "cifar10": 200}


def replay(path: Path) -> None:
    """Print what the recorded curves say, as Markdown."""
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
    needed = epochs_needed(runs, "digits")
    print(
        f"\nEpochs of TPE with ASHA for the value that random search reaches; digits, cosine, {len(runs)} settings, of"
    )
    print(f"which random search tries half, {len(needed)} repetitions, over those of random search\n")
    for spent, name in (("random", "in full"), ("until_best", "until its best trial ends")):
        ratios = [one.stopping / getattr(one, spent) for one in needed]
        means = np.random.default_rng(0).choice(ratios, (2000, len(ratios))).mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        print(f"- {name}: mean {np.mean(ratios):.2f} ({low:.2f} to {high:.2f}), median {np.median(ratios):.2f}")


def main() -> None:
    """Record or replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    recorder = actions.add_parser("record", help="train the runs that are missing and append their curves")
    recorder.add_argument("--set", choices=SETS, required=True)
    recorder.add_argument("--minutes", type=float, default=8.0, help="no run is begun after these")
    recorder.add_argument("--processes", type=int, default=1, help="runs at a time, a thread each")
    replayer = actions.add_parser("replay", help="print what the recorded curves say")
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
