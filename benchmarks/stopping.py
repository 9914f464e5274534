"""How well early decisions rank final results, and what they cost: from recorded curves of real runs.

python -m benchmarks.stopping record --set digits --minutes 8    # appends the runs that are missing
"""

import argparse
from pathlib import Path

import torch

from benchmarks.stopping_curves import FILE, SETS, record


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    recorder = actions.add_parser("record", help="train the runs that are missing and append their curves")
    recorder.add_argument("--set", choices=SETS, required=True)
    recorder.add_argument("--minutes", type=float, default=8.0, help="no run is begun after these")
    recorder.add_argument("--curves", type=Path, default=FILE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{record(options.set, options.curves, minutes=options.minutes)} runs left")


if __name__ == "__main__":
    main()
