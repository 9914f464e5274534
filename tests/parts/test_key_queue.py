"""The key queue is a ring buffer for any batch size; its complete state is in buffers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ltray.distributed import rank
from ltray.parts.key_queue import KeyQueue


@given(
    size=st.integers(0, 9),
    batches=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    start=st.sampled_from(["random", "random_columns", "empty"]),
)
def test_push_equals_writing_key_by_key(size: int, batches: list[int], start: str) -> None:
    queue = KeyQueue(size, 2, classes=3, start=start)
    rows, labels = queue.keys.tolist(), queue.labels.tolist()
    position, count, number = 0, 0 if start == "empty" else size, 10.0
    for batch in batches:
        keys = torch.arange(number, number + 2 * batch).view(batch, 2)
        number += 2 * batch
        queue.push(keys, torch.arange(batch) % 3)
        for offset, key in enumerate(keys.tolist() if size else []):
            rows[position], labels[position] = key, offset % 3
            position, count = (position + 1) % size, min(count + 1, size)
    assert queue.keys.tolist() == rows
    assert queue.labels.tolist() == labels
    assert int(queue.pointer) == position
    known, held_labels = queue.contents()
    assert known.tolist() == rows[:count]
    assert held_labels.tolist() == labels[:count]


def test_start_values_of_the_queue() -> None:
    rows = KeyQueue(40, 5, classes=7, start="random")
    torch.testing.assert_close(rows.keys.norm(dim=1), torch.ones(40))
    columns = KeyQueue(40, 5, classes=7, start="random_columns")
    torch.testing.assert_close(columns.keys.norm(dim=0), torch.ones(5))
    assert set(rows.labels.tolist()) <= set(range(7)) and len(set(rows.labels.tolist())) > 1
    assert [len(part) for part in KeyQueue(40, 5, classes=7, start="empty").contents()] == [0, 0]
    with pytest.raises(ValueError, match="full"):
        KeyQueue(40, 5, classes=7, start="full")


def test_returned_contents_do_not_change_with_the_queue() -> None:
    queue = KeyQueue(4, 2, classes=2)
    keys, labels = queue.contents()
    before = keys.clone(), labels.clone()
    queue.push(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    assert torch.equal(keys, before[0]) and torch.equal(labels, before[1])


def test_state_restores_position_and_contents() -> None:
    queue = KeyQueue(5, 2, classes=3, start="empty")
    queue.push(torch.randn(3, 2), torch.tensor([0, 1, 2]))
    other = KeyQueue(5, 2, classes=3, start="empty")
    other.load_state_dict(queue.state_dict())
    for each in (queue, other):
        each.push(torch.ones(4, 2), torch.tensor([2, 2, 1, 1]))
    assert all(torch.equal(a, b) for a, b in zip(queue.buffers(), other.buffers(), strict=True))


def test_bfloat16_keys_are_stored_in_the_queues_type() -> None:
    queue = KeyQueue(3, 2, classes=2)
    queue.push(torch.full((1, 2), 0.5, dtype=torch.bfloat16), torch.tensor([1]))
    assert queue.keys.dtype == torch.float32
    assert queue.keys[0].tolist() == [0.5, 0.5]


def push_own_rows() -> tuple[list[list[float]], list[int], int]:
    queue = KeyQueue(5, 1, classes=9, start="empty")
    for step in range(2):
        base = 4 * step + 2 * rank()
        queue.push(torch.tensor([[base], [base + 1.0]]), torch.tensor([rank(), rank()]))
    return queue.keys.tolist(), queue.labels.tolist(), int(queue.pointer)


def test_workers_write_all_keys_in_rank_order(two_workers) -> None:
    first, second = two_workers.run(push_own_rows)
    assert first == second == ([[5.0], [6.0], [7.0], [3.0], [4.0]], [0, 1, 1, 1, 0], 3)
