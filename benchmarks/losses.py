"""Time and peak memory of each loss, forward and backward, compared with a dense formulation.

    python -m benchmarks.losses                       # all losses on the CPU
    python -m benchmarks.losses --loss bcl --device cuda

Batch, widths, queues and temperatures are those of the papers for the data set. Both formulations
get the same inputs, must agree, and run alternately. The time is the best of the repeats (on the
CPU with one thread it is the process's CPU time, so that a busy machine has no effect). The memory is
the peak allocation of a step beyond its inputs. "products" is the share of ltray's time spent on
matrix products: both formulations need them, so that the ratio over that share is the largest
ratio that any formulation with the same arithmetic could reach.
"""

import argparse
import time
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.loss_cases import CASES, CLASSES, Loss

PRODUCTS = ("aten::mm", "aten::bmm", "aten::addmm", "gemm", "cutlass")


def step(loss: Loss, inputs: list[Tensor]) -> float:
    """Run forward and backward once and return the loss."""
    for value in inputs:
        value.grad = None
    result = loss()
    result.backward()
    return result.item()


def seconds(loss: Loss, inputs: list[Tensor]) -> float:
    """Return the duration of one step."""
    alone = not inputs[0].is_cuda and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    start = clock()
    step(loss, inputs)  # reading the loss synchronises with the device
    if inputs[0].is_cuda:
        torch.cuda.synchronize()
    return clock() - start


def product_share(loss: Loss, inputs: list[Tensor]) -> float:
    """Return the share of matrix products in the time of one step, in [0, 1]."""
    cuda = inputs[0].is_cuda
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as record:
        step(loss, inputs)
    times = {
        event.key: event.self_device_time_total if cuda else event.self_cpu_time_total
        for event in record.key_averages()
    }
    products = sum(value for name, value in times.items() if any(word in name for word in PRODUCTS))
    return float(products / max(sum(times.values()), 1e-9))


def peak_bytes(loss: Loss, inputs: list[Tensor]) -> int:
    """Return the peak allocation of one step beyond its inputs, including gradients."""
    for value in inputs:
        value.grad = None
    if inputs[0].is_cuda:
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(loss, inputs)
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step(loss, inputs)
    assert record.profiler is not None and record.profiler.kineto_results is not None
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def rows_of(loss: str, repeats: int) -> Iterator[str]:
    """Measure a loss at every size; return one Markdown row per size."""
    for profile_name in CLASSES:
        torch.manual_seed(0)
        inputs, ours, theirs = CASES[loss](profile_name)
        torch.testing.assert_close(step(ours, inputs), step(theirs, inputs), rtol=1e-4, atol=1e-5)
        times = [(seconds(ours, inputs), seconds(theirs, inputs)) for _ in range(repeats)]
        fast, slow = (min(column) * 1e3 for column in zip(*times, strict=True))
        lean, fat = peak_bytes(ours, inputs) / 2**20, peak_bytes(theirs, inputs) / 2**20
        yield (
            f"| {loss} | {profile_name} | {fast:.1f} | {slow:.1f} | {slow / fast:.1f} "
            f"| {100 * product_share(ours, inputs):.0f} % | {lean:.1f} | {fat:.1f} | {fat / lean:.1f} |"
        )


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=CASES, action="append", help="only this loss; may be repeated")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_default_device(arguments.device)
    print(f"{arguments.device}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}\n")
    print("| loss | sizes from | ms | dense ms | ratio | products | MiB | dense MiB | ratio |")
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for loss in arguments.loss or CASES:
        for row in rows_of(loss, arguments.repeats):
            print(row, flush=True)


if __name__ == "__main__":
    main()
