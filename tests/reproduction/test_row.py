"""The settings of a published row: those of the documented commands; tests/published compares the papers' tables."""

from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.reproduction.row import PublishedRow, folder_of_seed
from ltray.setting_names import complete_keys

FOCAL = "bcl-table3/focal-loss/cifar100-lt/100"


def test_settings_are_those_of_the_command_of_a_finished_run() -> None:
    row = PublishedRow.of(FOCAL, {"precision": "bfloat16"})
    given = complete_keys({"dataset.protocol": "paper", "precision": "bfloat16", "epochs": 200}, ["focal"])
    trained = Experiment.from_settings({"dataset": "cifar100-lt", "methods": ["focal"]} | given)
    assert row.experiment.settings() == trained.settings()


def test_settings_of_the_user_replace_those_of_the_row() -> None:
    row = PublishedRow.of(FOCAL, {"epochs": 4, "dataset.imbalance_factor": 50, "seed": 7})
    settings = row.experiment.settings()
    assert (settings["focal.epochs"], settings["dataset.imbalance_factor"]) == (4, 50.0)
    assert row.seeds(3) == [7, 8, 9]
    assert PublishedRow.of(FOCAL, {}).seeds(2) == [0, 1]


def test_two_stage_row_has_both_methods() -> None:
    settings = PublishedRow.of("bcl-table4/tau-norm/cifar100-lt/100", {}).experiment.settings()
    assert settings["methods"] == ["cross_entropy", "tau_norm"]
    assert (settings["cross_entropy.epochs"], settings["dataset.protocol"]) == (200, "paper")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"precison": "bfloat16"}, "Did you mean `precision`"),
        ({"methods": ["bcl"]}, "`methods` is a part of the row"),
        ({"dataset": "digits-lt"}, "`dataset` is a part of the row"),
        ({"start": "runs/x"}, "`start` is a part of the row"),
        ({"epochs": 0.5}, "epochs"),
    ],
)
def test_setting_that_is_not_one_of_the_run_is_refused(given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _ = PublishedRow.of(FOCAL, given).experiment


def test_folders_of_seeds_are_next_to_the_first() -> None:
    folder = PublishedRow.of(FOCAL, {}).folder
    assert folder == Path("runs/reproduced/bcl-table3-focal-loss-cifar100-lt-100")
    assert folder_of_seed(folder, [3, 4], 3) == folder
    assert folder_of_seed(folder, [3, 4], 4).name == f"{folder.name}-seed4"
