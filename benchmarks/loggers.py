"""What watching a training costs, in CPU time: `python -m benchmarks.loggers [--epochs 3] [METHOD…]`.

The first table compares training steps with and without the measurement of the gradients' norm, in turn; ltray measures
it in every 16th step. The second compares what a logger adds to an epoch with the epoch: the calls of the logger by the
same process (Weights & Biases has another process besides), and the metrics that ltray adds to the losses.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ltray.engine.loop import FINITE_CHECK_EVERY
from ltray.engine.memory_session import MemorySession
from ltray.engine.observations import observed_metrics
from ltray.engine.optimizers import Optimization
from ltray.engine.train_step import set_training_mode, train_step
from ltray.experiment import Experiment
from ltray.loggers import LOGGERS
from ltray.run_logger import begun_logger

CPU = torch.device("cpu")
STEPS = 48
METHODS = ("cross_entropy", "bcl", "rescom", "paco")


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of a call, of all threads of this process."""
    started = time.process_time()
    call()
    return time.process_time() - started


def experiment_of(method: str, epochs: int) -> Experiment:
    """Return a training on CIFAR-10-LT with 1,236 images: short epochs, in which a logger costs most."""
    fields = {"dataset": "cifar10-lt", "dataset.largest_class": 500}
    return Experiment.from_settings(fields | {"methods": [method], f"{method}.epochs": epochs})


def step_cost(method: str) -> tuple[float, float]:
    """Return the median CPU seconds of a step, and those that the norm of the gradients adds to it."""
    experiment = experiment_of(method, 1)
    data = experiment.open_data(CPU)
    (stage, *_) = experiment.stages(data.tail)
    set_training_mode(stage)
    stage.begin_epoch(0)
    optimizer = Optimization.of(stage).optimizer
    assert optimizer is not None
    loader = data.training(stage, None, seed=0)
    batches = [batch for epoch in range(STEPS // loader.steps + 1) for batch in loader.epoch(epoch)][:STEPS]
    times: dict[bool, list[float]] = {False: [], True: []}
    for number, batch in enumerate(batches):
        measured = number % 2 == 1
        norms: list[torch.Tensor] | None = [] if measured else None

        def step(batch=batch, norms=norms) -> None:  # noqa: ANN001 (the loop's values)
            train_step(stage, batch, optimizer, rate=0.01, precision="float32", gradient_norms=norms)

        times[measured].append(cpu_seconds(step))
    without = statistics.median(times[False])
    return without, statistics.median(times[True]) - without


def epoch_costs(method: str, epochs: int) -> tuple[float, dict[str, float]]:
    """Return the CPU seconds of an epoch with its evaluation, and those that each logger and the metrics add."""
    experiment, session = experiment_of(method, epochs), MemorySession()
    data = experiment.open_data(CPU)
    epoch = cpu_seconds(lambda: experiment.train(session, CPU)) / epochs
    (stage, *_) = experiment.stages(data.tail)
    added = {"metrics": cpu_seconds(lambda: [observed_metrics(stage, None, []) for _ in range(epochs)]) / epochs}
    for name in LOGGERS:
        with tempfile.TemporaryDirectory() as folder:
            settings = experiment.settings()
            logger = begun_logger(name, Path(folder) / "run", settings, experiment=experiment, data=None)

            def log(logger=logger) -> None:  # noqa: ANN001 (the loop's value)
                for number, report in enumerate(session.reports, start=1):
                    logger.epoch(report, number)

            added[name] = cpu_seconds(log) / epochs
            logger.finish(settings, session.reports[-1])
            logger.close()
    return epoch, added


def main(arguments: list[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=METHODS, metavar="METHOD")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args(arguments)
    print("| method | step, CPU ms | norm of the gradients, CPU ms | share of a run |\n|---|---:|---:|---:|")
    for method in options.methods:
        step, norm = step_cost(method)
        share = 100 * norm / FINITE_CHECK_EVERY / step
        print(f"| {method} | {1000 * step:.1f} | {1000 * norm:.2f} | {share:.2f} % |", flush=True)
    print("\n| method | epoch, CPU s | " + " | ".join(["metrics", *LOGGERS]) + " |\n|---|---:|" + "---:|" * 4)
    for method in options.methods:
        epoch, added = epoch_costs(method, options.epochs)
        shares = " | ".join(f"{100 * seconds / epoch:.2f} %" for seconds in added.values())
        print(f"| {method} | {epoch:.2f} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
