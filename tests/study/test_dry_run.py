"""Cost estimates of a dry run: seconds, hours and disk space, from given stage measurements."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from ltray.engine.timing import StageTime
from ltray.errors import UsageError
from ltray.strategies.stopping_rules import SuccessiveHalving
from ltray.study import dry_run
from ltray.study.cost import LOG_BYTES, TrialCost
from ltray.study.dry_run import Costed

CPU = torch.device("cpu")
TRAINED = StageTime(epochs=10, steps=40, step=0.5, evaluation=2.0)  # 10 (40 · 0.5 + 2) = 220 s
PREPARED = StageTime(epochs=0, steps=0, step=None, evaluation=2.0)  # 2 s
COST = TrialCost((TRAINED, PREPARED), checkpoint=3_000_000)
SPACE: Any = SimpleNamespace(
    search=SimpleNamespace(trials=100),
    trial=SimpleNamespace(cpus_per_worker=2),
    stop=SimpleNamespace(keep_one_in=3),
    rows=(),
)


def printed_by(call: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    call(console)
    return console.file.getvalue()


def plan(rule: Any = None, epochs: int = 11) -> Any:
    return SimpleNamespace(
        epochs=epochs, rungs=(1, 3), rule=rule, warning="", seeds=1, folds=0, describe=lambda stop: "stops"
    )


def test_trial_cost_is_the_sum_of_its_stages_and_two_checkpoints():
    assert (TRAINED.seconds, PREPARED.seconds) == (220.0, 2.0)
    assert COST.seconds == 222.0 and COST.epochs == 11
    assert COST.disk == 2 * 3_000_000 + 11 * LOG_BYTES


def test_cost_of_a_command_includes_its_start_preparation_checkpoints_and_last_evaluation():
    stage = StageTime(epochs=10, steps=40, step=0.5, evaluation=2.0, saving=0.1, preparation=3.0)
    assert stage.seconds == pytest.approx(3 + 10 * (40 * 0.5 + 2 + 0.1))
    cost = TrialCost((stage, PREPARED), 1, start=5.0, ending=7.0)
    assert cost.seconds == pytest.approx(5 + 224 + 2)  # a trial of a search: one process, no evaluation on test images
    assert cost.command_seconds == pytest.approx(2 * 5 + 224 + 2 + 7)


def test_hours_are_summed_over_trials_and_cores():
    costed = [Costed("bcl", COST), Costed("ldam", TrialCost((TRAINED,), 1))]
    one = printed_by(lambda c: dry_run._print_totals(SPACE, costed[:1], c, plan=plan(), device=CPU))
    # 100 · 222 s · 2 cores = 12.33 h
    assert one.startswith("100 trials of 11 epochs: about 12.3 CPU hours without early stopping\nstops\n")
    both = printed_by(lambda c: dry_run._print_totals(SPACE, costed, c, plan=plan(), device=CPU))
    assert "about 12.3 CPU hours" in both  # 221 s on the average
    longer = printed_by(lambda c: dry_run._print_totals(SPACE, costed[:1], c, plan=plan(epochs=22), device=CPU))
    assert longer.startswith("100 trials of 22 epochs: about 24.7 CPU hours")


def test_early_stopping_reduces_the_hours():
    asha = plan(SuccessiveHalving((1, 3), 3))
    printed = printed_by(lambda c: dry_run._print_totals(SPACE, [Costed("bcl", COST)], c, plan=asha, device=CPU))
    # (1 + 2 / 3 + 8 / 9) / 11 of 12.33 h
    assert "stops: about 2.87 CPU hours; more if good trials start late" in printed


def test_cost_table_is_in_seconds_per_step_and_hours_per_stage():
    features = StageTime(epochs=5, steps=0, step=None, evaluation=36.0)
    cost = TrialCost((TRAINED, features, PREPARED), 1)
    printed = printed_by(lambda c: dry_run._print_costs(SPACE, [Costed("bcl, crt", cost)], c))
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line[0] == "│"]
    assert rows == [
        ["bcl, crt", "1", "10", "40", "0.5", "2", "0.0611"],
        ["", "2", "5", "–", "not measured", "36", "0.05"],
        ["", "3", "0", "–", "–", "2", "0.000556"],
    ]


def test_disk_space_is_that_of_all_trials_and_the_best_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wanted = 100 * COST.disk + COST.checkpoint
    monkeypatch.setattr(dry_run.shutil, "disk_usage", lambda place: SimpleNamespace(free=wanted))
    costed = [Costed("bcl", COST)]
    printed = printed_by(lambda c: dry_run._print_disk(SPACE, costed, tmp_path / "new", c))
    assert "disk: about 577 MiB in " in printed and "(a checkpoint is 2.86 MiB;" in printed
    assert "577 MiB free" in printed
    monkeypatch.setattr(dry_run.shutil, "disk_usage", lambda place: SimpleNamespace(free=wanted - 1))
    with pytest.raises(UsageError, match="not enough disk space for this search"):
        printed_by(lambda c: dry_run._print_disk(SPACE, costed, tmp_path / "new", c))
