"""Recorded curves and searches that are replayed on them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks import record_curves, replay
from benchmarks.recorded import training
from benchmarks.recorded.tables import Curves, read_settings
from benchmarks.recorded.tasks import HERE, TASKS
from benchmarks.replayed_search import Method, ReplayedSearch, Table
from ltray.strategies.stopping_rules import SuccessiveHalving

TASK = "digits-balanced_softmax"


@pytest.fixture(scope="module")
def table() -> Table:
    return replay.table_of(TASK, 0, HERE)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_recorded_with_provenance_and_all_its_runs(task: str) -> None:
    schema = pq.read_schema(HERE / f"{task}.parquet")
    assert schema.names == ["task", "setting", "seed", "epoch", "value"]
    curves, settings = Curves.read(task, HERE), read_settings(task, HERE)
    assert len(settings) == TASKS[task].settings and len(TASKS[task].seeds) >= 3
    assert curves.values.keys() == {(n, seed) for n in range(len(settings)) for seed in TASKS[task].seeds}
    for stamp in curves.provenance:
        assert {"command", "commit", "versions", "cpus", "time", "data_digest"} <= stamp.keys()


def test_curves_survive_writing_also_a_run_without_a_finite_epoch(tmp_path: Path) -> None:
    curves = Curves("t", {(0, 0): [0.5, 0.25], (0, 1): [], (3, 0): [0.125]}, [{"command": "c"}])
    curves.write(tmp_path)
    assert Curves.read("t", tmp_path) == curves
    assert Curves.read("missing", tmp_path) == Curves("missing")


def test_recording_continues_with_the_runs_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, trained = replace(TASKS["digits-ldam"], settings=4), []

    def curve(settings: dict[str, object], seed: int) -> list[float]:
        trained.append((settings["ldam.learning_rate"], seed))
        if len(trained) == 5:
            raise KeyboardInterrupt
        return [0.5]

    monkeypatch.setattr(training, "curve", curve)
    with pytest.raises(KeyboardInterrupt):
        record_curves.record(task, tmp_path, minutes=1)
    assert record_curves.record(task, tmp_path, minutes=1) == 0
    assert len(trained) == 4 * 3 + 1 and len(set(trained)) == 4 * 3
    assert trained[4] == trained[5] and trained[0][0] == task.space().base.knobs[0].learning_rate


def test_the_held_out_seeds_are_not_those_that_the_search_sees(table: Table) -> None:
    curves = Curves.read(TASK, HERE)
    assert list(table.seen[7]) == list(curves.values[7, 0])
    assert table.true[7] == pytest.approx((max(curves.values[7, 1]) + max(curves.values[7, 2])) / 2)


@pytest.mark.parametrize("sampler", ["random", "qmc", "tpe", "prior", "cmaes"])
@pytest.mark.parametrize("slots", [1, 4])
def test_a_search_is_a_function_of_its_seed_and_spends_its_epochs(table: Table, sampler: str, slots: int) -> None:
    def search(seed: int) -> list[tuple[int, int]]:
        ended = ReplayedSearch(table, Method(sampler, slots=slots), epochs=96, seed=seed).run()
        return [(one.spent, one.setting) for one in ended]

    found = search(3)
    assert found == search(3) != search(4)
    assert found[0][1] == 0 or slots > 1  # the papers' setting
    assert 96 <= found[-1][0] <= 96 + (slots - 1) * 12 + slots
    if sampler != "cmaes":
        assert len({setting for _, setting in found}) == len(found)


def test_the_rule_stops_trials_at_its_rungs_and_sees_the_seeds_values(table: Table) -> None:
    seen: list[tuple[int, float]] = []

    class Spy(SuccessiveHalving):
        def should_continue(self, number: int, epoch: int, records: Callable[..., object]) -> bool:  # type: ignore[override]
            seen.append((epoch, records[number][epoch]))  # type: ignore[index]
            return super().should_continue(number, epoch, records)  # type: ignore[arg-type]

    ended = ReplayedSearch(table, Method("random", Spy([3, 9], 3)), epochs=240, seed=0).run()
    begun = sum(epoch == 1 for epoch, _ in seen)
    assert begun > len(ended) > 0 and {value for _, value in seen} <= {v for curve in table.seen for v in curve}
    assert 240 <= len(seen) + len(ended) <= 300


def test_the_table_has_the_goal_of_each_task_and_marks_the_held_out_ones() -> None:
    line = replay.row("digits-ldam", Method("random"), "none", repetitions=3, folder=HERE)
    assert line.startswith("| digits-ldam (held out) | random | none | 4 |") and line.count("|") == 9
    assert line == replay.row("digits-ldam", Method("random"), "none", repetitions=3, folder=HERE)
