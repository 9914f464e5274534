"""Measures ltray on a GPU, without Ray, Optuna and FFCV: numerics, steps, packed trials, complete training.

    python -m benchmarks.gpu_data --output cifar100-lt.parquet        # once, on a machine with the data
    python -m benchmarks.gpu --data cifar100-lt.parquet --minutes 9   # again until it prints "complete"

Needs torch, torchvision, pyarrow, numba, TensorBoard and scikit-learn. Each part writes a dated JSON line to
`rows.jsonl` in --output when it is done; a part with a line is not repeated, and an interrupted training
continues from its checkpoint. All training images are on the device, and the views are created there.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_data import read
from benchmarks.gpu_numerics import numerics
from benchmarks.gpu_packing import child_command, packed
from benchmarks.gpu_rows import Deadline, OutOfTime, Rows
from benchmarks.gpu_steps import memory, step_times
from benchmarks.gpu_training import trained
from benchmarks.gpu_work import METHODS
from ltray.data.dataset import ImageData
from ltray.errors import UsageError

DONE, FAILED, BAD_USAGE = 0, 1, 2  # exit codes, as in `ltray.command`, which needs rich
Part = tuple[str, Callable[[], dict[str, Any]]]
PACKED = (1, 2, 4)  # trials at once


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what has no row yet; return the exit code: 1 if a loss differs from the CPU's."""
    options = _parser().parse_args(arguments)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    deadline = Deadline(options.minutes)
    try:
        data = read(options.data, device, images=options.images)
        rows = Rows(options.output, device)
        done = rows.done()
        for name, measure in parts(data, options, deadline):
            if name in done:
                continue
            deadline.check()
            row = rows.add(name, measure())
            print(f"{name}: {_shown(row)}", flush=True)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USAGE
    except OutOfTime:
        print(f"the time is used up; run the same command again to continue. Rows: {rows.file}")
        return DONE
    failed = [row["name"] for row in rows.read() if row.get("passed") is False]
    print(f"complete{f', but failed: {chr(44).join(failed)}' if failed else ''}. Rows: {rows.file}")
    return FAILED if failed else DONE


def parts(data: ImageData, options: argparse.Namespace, deadline: Deadline) -> list[Part]:
    """Return the parts in the order in which they are measured."""
    methods: Sequence[str] = options.methods
    command = partial(child_command, options.data, device=data.device.type, images=options.images)
    return [
        *((f"numerics/{method}", partial(numerics, method, data)) for method in methods),
        *((f"steps/{method}", partial(_step_times, method, data, options.steps)) for method in methods),
        (f"packed/{methods[0]}", lambda: packed(command(methods[0], steps=options.steps), options.packed)),
        *(
            (
                f"train/{method}",
                partial(trained, method, data, options.output / method, deadline, epochs=options.epochs),
            )
            for method in methods
        ),
    ]


def _step_times(method: str, data: ImageData, steps: int) -> dict[str, Any]:
    return step_times(method, data, steps=steps) | {"gpu_bytes": memory(data.device)}


def _shown(row: dict[str, Any]) -> str:
    hidden = ("name", "time", "device", "torch", "commit")
    return ", ".join(f"{key} {_rounded(value)}" for key, value in row.items() if key not in hidden)


def _rounded(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_rounded(one)}" for key, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("cifar100-lt.parquet"), help="file of benchmarks.gpu_data")
    parser.add_argument("--minutes", type=float, default=9.0, help="the time of this command")
    parser.add_argument("--output", type=Path, default=Path("runs", "gpu"), help="folder of rows and checkpoints")
    parser.add_argument("--device", help="cuda or cpu (default: the GPU if there is one)")
    parser.add_argument("--methods", nargs="+", default=METHODS, help="in the order of training")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--steps", type=int, default=50, help="timed steps of each method")
    parser.add_argument("--images", type=int, help="about as many training and test images (default: all)")
    parser.add_argument("--packed", type=int, nargs="+", default=PACKED, help="numbers of trials at once, 1 first")
    return parser


if __name__ == "__main__":
    sys.exit(main())
