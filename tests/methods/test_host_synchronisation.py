"""No operation of a training step makes the host wait for the device, in any method.

On a GPU, operations that return a number to the host or have a result of unknown size wait until all queued work is
done. A trace of a step on the CPU contains the same operations.
"""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ltray.engine.optimizers import Optimization
from ltray.engine.train_step import seed_step, set_training_mode, train_step
from ltray.methods import METHODS
from ltray.parts.counts import class_counts
from ltray.parts.queues import ClassQueue
from ltray.stage import BuildContext
from ltray.testing.knob_contract import SIZE
from ltray.testing.overfit import textures
from tests.methods.test_every_knob import new_testbed, shallow_experts

__all__ = ["shallow_experts"]
WAITING = ("local_scalar_dense", "nonzero", "bincount", "unique", "masked_select", "is_nonzero", "equal", "allclose")


class Trace(TorchDispatchMode):
    """Counts the operations on tensors, in the forward and in the backward pass."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count and call an operation."""
        masked = any(isinstance(i, torch.Tensor) and i.dtype is torch.bool for i in _indices(args))
        self.seen["nonzero (boolean index)" if masked else func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))

    def waiting(self):
        """Return the operations that wait, with their number of calls."""
        return {name: calls for name, calls in self.seen.items() if name.lstrip("_").startswith(WAITING)}


def _indices(args):
    """Return the index tensors of `index` and `index_put`, which take them as a list after the tensor."""
    return args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()


def trained_stages(name):
    testbed = new_testbed(name)
    method, data = testbed.method, textures()
    torch.manual_seed(0)
    start = testbed.network("linear") if method.needs_network else None
    stages = method.stages(testbed.base, BuildContext(data.tail, testbed.network, start, SIZE))
    return [stage for stage in stages if stage.recipe.epochs], data


def trace_of_step(stage, data):
    set_training_mode(stage)
    stage.prepare(data.without_augmentation())
    set_training_mode(stage)
    optimization = Optimization.of(stage)
    loader = data.training(stage, stage.select(data.without_augmentation()), seed=0)
    stage.begin_epoch(0)
    batch = next(iter(loader.epoch(0)))
    how = {"rate": 0.01, "precision": "bfloat16", "clip": 1.0}
    train_step(stage, batch, optimization.optimizer, **how)
    with Trace() as trace:
        seed_step(0, 0, 0, 1)
        train_step(stage, batch, optimization.optimizer, **how)
    return trace


@pytest.mark.parametrize("name", [name for name in METHODS if METHODS[name].knobs.specs()["epochs"].high != 0])
@pytest.mark.usefixtures("shallow_experts")
def test_no_operation_of_a_step_waits_for_the_device(name):
    stages, data = trained_stages(name)
    for stage in stages:
        trace = trace_of_step(stage, data)
        assert trace.seen.total() > 20
        assert trace.waiting() == {}, type(stage).__name__


@pytest.mark.parametrize(
    "waits",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: x.index_put_((x > 0,), torch.zeros(())),
        lambda x: x.long().unique(),
        lambda x: torch.bincount(x.long()),
    ],
)
def test_waiting_operation_is_found(waits):
    with Trace() as trace:
        waits(torch.ones(3))
    assert trace.waiting()


@pytest.mark.parametrize("seed", range(20))
def test_queue_holds_what_writing_keys_one_by_one_leaves(seed):
    torch.manual_seed(seed)
    slots = torch.randint(1, 4, (5,)).tolist()
    queue = ClassQueue(slots, 3)
    keys, first, pointers = queue.keys.clone(), queue.first.tolist(), [0] * 5
    for _ in range(4):
        rows, labels = torch.randn(9, 3), torch.randint(0, 5, (9,)) * torch.randint(0, 2, (9,))
        assert torch.equal(class_counts(labels, 5), torch.bincount(labels, minlength=5))
        queue.push(rows, labels)
        for row, label in zip(rows, labels.tolist(), strict=True):
            keys[first[label] + pointers[label]] = row
            pointers[label] = (pointers[label] + 1) % slots[label]
    assert torch.equal(queue.keys, keys) and queue.pointers.tolist() == pointers
