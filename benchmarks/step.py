"""A training step of BCL, ResCom and PaCo: ltray compared with a straightforward PyTorch loop in float32.

    OMP_NUM_THREADS=1 python -m benchmarks.step [--methods bcl] [--rounds 5] [--precision auto float32]
    OMP_NUM_THREADS=1 python -m benchmarks.step --profile 12        # the most expensive operations of ltray's steps

CIFAR-100-LT's sizes: ResNet-32, 32 pixels, 100 classes, each method's batch. Both sides have the same weights, views
and labels, and take turns in one process; the time is CPU time, which other programs on the machine hardly change. A
ratio is the plain loop's time over ltray's, with a 95 % interval over the rounds. Views are not part of a step; see
`benchmarks.bcl_epoch`. On a GPU (`--device cuda`), the time is elapsed time.
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.plain_steps import PLAIN, PlainSide
from ltray.data.memory import keep_freed_memory
from ltray.engine.optimizers import Optimization
from ltray.engine.train_step import seed_step, set_training_mode, train_step
from ltray.hardware import automatic
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.network import Network
from ltray.parts.backbones import new_backbone
from ltray.parts.heads import new_classifier
from ltray.results.intervals import Interval, mean_interval
from ltray.stage import Batch, BuildContext, Stage

PROFILE = "cifar100_lt"
TAIL = LongTail(tuple(int(500 * 0.01 ** (label / 99)) for label in range(100)))
SIDE = 32  # pixels
AGREE = 1e-6  # largest relative difference of the two sides' losses in float64


def new_stage(name: str, batch_size: int) -> Stage:
    """Build a method's only stage with the settings for CIFAR-100-LT; its batch if `batch_size` is 0."""
    knobs = METHODS[name].knobs.defaults(PROFILE)
    knobs = knobs.replace(batch_size=batch_size or knobs.batch_size)
    torch.manual_seed(0)

    def network(kind: str) -> Network:
        body = new_backbone("resnet32")
        return Network(body, new_classifier(kind, width=body.width, classes=TAIL.classes))

    (stage,) = METHODS[name].stages(knobs, BuildContext(TAIL, network))
    set_training_mode(stage)
    return stage


def new_batch(stage: Stage, device: torch.device, dtype: torch.dtype = torch.float32) -> Batch:
    """Return random views of random images, with labels in the proportions of the training set."""
    count = stage.recipe.batch_size
    views = {view.name: torch.randn(count, 3, SIDE, SIDE, device=device, dtype=dtype) for view in stage.views}
    labels = torch.multinomial(TAIL.prior(), count, replacement=True).to(device)
    return Batch(views, labels, torch.arange(count, device=device))


class OurSide:
    """ltray's training step, as `ltray.engine.loop` takes it.

    Args:
        stage: The stage, on its device.
        batch: The batch of every step.
        precision: A name of `ltray.recipe.PRECISIONS`.
    """

    def __init__(self, stage: Stage, batch: Batch, precision: str) -> None:
        self.stage = stage.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.batch, self.precision, self.done = batch, precision, 0
        self.optimization = Optimization.of(stage)

    def step(self) -> Mapping[str, Tensor]:
        """Take one step; return the terms of its loss."""
        assert self.optimization.optimizer is not None
        seed_step(0, 0, 0, self.done)
        self.done += 1
        rate = self.stage.recipe.learning_rate
        return train_step(self.stage, self.batch, self.optimization.optimizer, rate=rate, precision=self.precision)


def check_agreement(name: str, batch_size: int, device: torch.device, *, steps: int = 2) -> float:
    """Return the largest relative difference of the two sides' losses in the first steps, computed in float64.

    The second step also depends on the update of weights, momentum copies and queues. In float32, the rounding of the
    first step changes the second one by up to a percent.

    Raises:
        ArithmeticError: They compute different losses.
    """
    stage = new_stage(name, batch_size).to(device, torch.float64)
    batch = new_batch(stage, device, torch.float64)
    plain, ours = PlainSide(name, stage, batch.views, batch.labels), OurSide(stage, batch, "float32")
    largest = 0.0
    for _ in range(steps):
        theirs, own = plain.step(), sum(float(term.detach()) for term in ours.step().values())
        largest = max(largest, abs(own / theirs - 1))
    if not largest < AGREE:
        raise ArithmeticError(f"{name}: ltray's loss is {own}, the plain loop's is {theirs}.")
    return largest


def seconds(step: Callable[[], object], steps: int, device: torch.device) -> float:
    """Return the mean time of some steps: of this process's CPU, or on a GPU elapsed time."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    started = clock()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (clock() - started) / steps


def compared(name: str, options: argparse.Namespace, device: torch.device) -> dict[str, tuple[float, Interval]]:
    """Measure a method; return ltray's seconds and the ratio for each precision, and the plain loop's as "plain"."""
    first = new_stage(name, options.batch_size).to(device)
    batch = new_batch(first, device)
    plain = PlainSide(name, first, batch.views, batch.labels)
    sides = {
        precision: OurSide(new_stage(name, options.batch_size).to(device), batch, precision)
        for precision in options.precision
    }
    steps: dict[str, Callable[[], object]] = {"plain": plain.step} | {key: side.step for key, side in sides.items()}
    for step in steps.values():  # not timed: allocation, choice of kernels
        step()
    times: dict[str, list[float]] = {key: [] for key in steps}
    for _ in range(options.rounds):
        for key, step in steps.items():
            times[key].append(seconds(step, options.steps, device))
    found = {}
    for key, own in times.items():
        logs = mean_interval([math.log(theirs / ours) for theirs, ours in zip(times["plain"], own, strict=True)])
        ratio = Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.count)
        found[key] = (sum(own) / len(own), ratio)
    return found


def print_profile(name: str, options: argparse.Namespace, device: torch.device) -> None:
    """Print the operations of one of ltray's steps with the most time of their own."""
    for precision in options.precision:
        stage = new_stage(name, options.batch_size).to(device)
        side = OurSide(stage, new_batch(stage, device), precision)
        side.step()
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
        with profile(activities=activities) as found:
            side.step()
        rows = [row for row in found.key_averages() if row.self_cpu_time_total > 0]
        rows.sort(key=lambda row: -row.self_cpu_time_total)
        total = sum(row.self_cpu_time_total for row in rows)
        print(f"{name}, precision={precision}: one step, {total / 1e3:,.0f} ms in operations")
        for row in rows[: options.profile]:
            print(
                f"  {row.key:45s} {row.self_cpu_time_total / 1e3:9.1f} ms {row.self_cpu_time_total / total:6.1%} "
                f"{row.count:5d} calls"
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(PLAIN), choices=tuple(PLAIN))
    parser.add_argument("--precision", nargs="+", default=["auto", "float32"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="steps per round and side")
    parser.add_argument("--batch-size", type=int, default=0, help="default: the method's")
    parser.add_argument("--profile", type=int, default=0, metavar="N", help="print the N most expensive operations")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    keep_freed_memory()  # as in every process of ltray that trains; both sides gain
    device = torch.device(options.device)
    auto = automatic(["precision"], device)["precision"]
    options.precision = list(dict.fromkeys(auto if name == "auto" else name for name in options.precision))
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}; precision=auto is {auto} here")
    for name in options.methods:
        if options.profile:
            print_profile(name, options, device)
            continue
        check_agreement(name, 16, device)
        found = compared(name, options, device)
        images = options.batch_size or METHODS[name].knobs.defaults(PROFILE).batch_size
        for key, (own, ratio) in found.items():
            print(f"{name} {key}: {own:.3f} s a step of {images} images")
            if key != "plain":
                print(
                    f"ratio: {name} {key} {ratio.mean:.2f} (95 % interval {ratio.low:.2f} to {ratio.high:.2f}, "
                    f"{ratio.count} rounds)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
