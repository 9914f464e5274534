"""Several trials at once on a device: processes that take the same steps at the same time.

    python -m benchmarks.gpu_packing --data FILE --method bcl --steps 100 --device cuda   # one of the processes

A process prints a line when it is ready, waits for a line, takes its steps and prints the seconds.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

WARM = 3  # steps before a process is ready


def packed(
    command: Sequence[str], counts: Sequence[int], *, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the seconds of the slowest process for each number of processes, and their ratios to one process.

    Args:
        command: Starts one process.
        counts: Numbers of processes, 1 first.
        environment: Of the processes; None: that of this process.
    """
    seconds = {count: max(_together([command] * count, environment)) for count in counts}
    return {
        "seconds": {str(count): value for count, value in seconds.items()},
        "times_one": {str(count): value / seconds[counts[0]] for count, value in seconds.items()},
    }


def child_command(data: Path, method: str, *, steps: int, device: str, images: int | None) -> list[str]:
    """Return the command of one process."""
    command = [sys.executable, "-m", "benchmarks.gpu_packing", "--data", str(data), "--method", method]
    command += ["--steps", str(steps), "--device", device]
    return command + ([] if images is None else ["--images", str(images)])


def _together(commands: Sequence[Sequence[str]], environment: dict[str, str] | None) -> list[float]:
    """Start processes, let them begin at the same time, and return the seconds of each."""
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment or dict(os.environ)
        )
        for command in commands
    ]
    try:
        for process in processes:
            _line(process)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("begin\n")
            process.stdin.flush()
        return [float(_line(process)) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a packed process ended with exit code {process.wait()}; its error is printed above")
    return line


def main(arguments: Sequence[str] | None = None) -> None:
    """Be one of the processes."""
    import time

    from benchmarks.gpu_data import read
    from benchmarks.gpu_work import Work

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--images", type=int)
    options = parser.parse_args(arguments)
    if options.device == "cpu":
        torch.set_num_threads(1)
    work = Work.begin(options.method, read(options.data, torch.device(options.device), images=options.images))
    work.steps(WARM)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    work.steps(options.steps)
    print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
