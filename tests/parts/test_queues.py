"""The class queue is a ring buffer per class for any batch size, equal to the authors' code."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.long_tail import LongTail
from ltray.parts.queues import SLOTS, ClassQueue


def test_queue_equals_the_official_code_in_one_process(golden) -> None:
    data = golden("rescom_queue")
    size = int(data["one/Q"])
    queue = queue_with(data["one/queue0"], size)
    for step in range(6):
        queue.push(torch.tensor(data[f"one/keys{step}"]), torch.tensor(data[f"one/labels{step}"]))
        assert np.array_equal(queue.keys.numpy().T, data[f"one/queue{step + 1}"])
        assert queue.pointers.tolist() == data[f"one/ptr{step + 1}"].tolist()


def test_queue_equals_the_official_code_on_two_workers(golden, two_workers) -> None:
    data = golden("rescom_queue")
    steps = sum(name.startswith("ddp2/rank0/keys") for name in data)
    assert steps >= 3
    for queues in two_workers.run(push_own_share, data, steps):
        for step, (keys, pointers) in enumerate(queues):
            assert np.array_equal(keys, data[f"ddp2/queue{step + 1}"])
            assert pointers.tolist() == data[f"ddp2/ptr{step + 1}"].tolist()


def push_own_share(data, steps: int):
    from ltray.distributed import rank

    queue = queue_with(data["ddp2/queue0"], int(data["one/Q"]))
    states = []
    for step in range(steps):
        at = f"ddp2/rank{rank()}"
        queue.push(torch.tensor(data[f"{at}/keys{step}"]), torch.tensor(data[f"{at}/labels{step}"]))
        states.append((queue.keys.numpy().T.copy(), queue.pointers.numpy().copy()))
    return states


def queue_with(official: np.ndarray, size: int) -> ClassQueue:
    """Return a queue with given keys, (d, K·Q) in the official layout."""
    queue = ClassQueue([size] * (official.shape[1] // size), official.shape[0]).double()
    queue.keys.copy_(torch.tensor(official).T)
    return queue


@given(
    slots=st.lists(st.integers(1, 4), min_size=2, max_size=5),
    batches=st.lists(st.lists(st.integers(0, 99), max_size=12), min_size=1, max_size=4),
)
def test_push_writes_key_by_key_in_order(slots: list[int], batches: list[list[int]]) -> None:
    queue = ClassQueue(slots, 1)
    expected = [row.tolist() for row in queue.keys]
    pointers, key = [0] * len(slots), 100.0
    for batch in batches:
        labels = [label % len(slots) for label in batch]
        keys = []
        for label in labels:
            key += 1.0
            keys.append([key])
            expected[sum(slots[:label]) + pointers[label]] = [key]
            pointers[label] = (pointers[label] + 1) % slots[label]
        queue.push(torch.tensor(keys).view(-1, 1), torch.tensor(labels, dtype=torch.int64))
        assert queue.keys.tolist() == expected
        assert queue.pointers.tolist() == pointers


def test_new_queue_has_unit_keys_ordered_by_class() -> None:
    queue = ClassQueue([2, 1, 3], 5)
    torch.testing.assert_close(queue.keys.norm(dim=1), torch.ones(6))
    assert queue.labels.tolist() == [0, 0, 1, 2, 2, 2]
    assert set(queue.state_dict()) == {"keys", "pointers", "filled"}


def test_slots_of_masks_unused_slots() -> None:
    slots, counts = ClassQueue([2, 1, 3], 5).slots_of(torch.tensor([0, 1, 2]))
    assert slots.tolist() == [[0, 1, 1], [2, 2, 2], [3, 4, 5]]
    assert counts.tolist() == [[True, True, False], [True, False, False], [True, True, True]]


@pytest.mark.parametrize("kind", sorted(SLOTS))
@given(counts=st.lists(st.integers(1, 5000), min_size=2, max_size=30), size=st.integers(1, 20))
def test_every_kind_distributes_all_slots_over_all_classes(kind: str, counts: list[int], size: int) -> None:
    slots = SLOTS[kind](LongTail(tuple(counts)), size)
    assert len(slots) == len(counts)
    assert sum(slots) == size * len(counts)
    assert min(slots) >= 1


def test_original_slots_follow_the_training_set_and_reversed_ones_mirror_it() -> None:
    tail = LongTail((80, 10, 10, 20))
    assert SLOTS["balanced"](tail, 3) == [3, 3, 3, 3]
    assert SLOTS["original"](tail, 3) == [8, 1, 1, 2]
    mirrored = SLOTS["reversed"](tail, 3)
    assert sorted(mirrored) == [1, 1, 2, 8]
    assert mirrored[0] == 1 and 8 in (mirrored[1], mirrored[2])
