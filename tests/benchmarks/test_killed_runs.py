"""`python -m benchmarks.killed_runs`: real kills in every stage, on the digits."""

from pathlib import Path

import pytest
import torch

from benchmarks import killed_runs

FEW = ("--dataset", "digits-lt", "dataset.largest_class=40", "dataset.imbalance_factor=8")
FROZEN = (*killed_runs.PRETRAINED, "train=head", "dataset.image_size=32")
CASES = {
    "lift": ("--methods", "lift", *FROZEN, "epochs=4"),
    "linear_probe": ("--methods", "linear_probe", *FROZEN, "epochs=20"),
    "proco": ("--methods", "proco", "epochs=4"),
    "los": ("--methods", "cross_entropy", "los", "cross_entropy.epochs=4", "los.epochs=4"),
}


@pytest.mark.slow
@pytest.mark.ffcv
@pytest.mark.parametrize("name", CASES)
def test_run_killed_in_every_stage_ends_like_an_undisturbed_one(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    words = [*CASES[name], *FEW]
    result = killed_runs.compare(words, tmp_path, planned=killed_runs.planned_epochs(words))
    assert not result.differences and len(result.kills) == 2 + len(result.trained)
    assert int(result.trained[-1].split(" of ")[0].replace(",", "")) == result.counted


def test_kills_are_in_the_first_epoch_in_every_stage_and_in_the_evaluation() -> None:
    found = list(killed_runs.moments([0] * 4 + [1] * 6))
    assert found == [("first epoch", 0, 0), ("stage 1", 2, 3), ("stage 2", 7, 9), ("evaluation", 10, 10)]


def test_values_are_compared_bit_for_bit_without_clocks() -> None:
    one = {"a": [torch.tensor([1.0])], "train/seconds": 1.0}
    assert killed_runs.equal(one, one | {"train/seconds": 2.0})
    assert not killed_runs.equal(one, {"a": [torch.tensor([1.0 + 2**-23])]})
    assert not killed_runs.equal(one, {"a": [torch.tensor([1.0], dtype=torch.float64)]})
    assert not killed_runs.equal(one, {"a": [torch.tensor([1.0])] * 2}) and not killed_runs.equal(one, {"b": 1})
