"""Cross-validations: pooled values, exact resume in any fold, the final training on all images, rules, refusals."""

import math
import statistics
from functools import cache, partial

import pytest
import torch

import ltray.data.unaugmented
import ltray.experiment
from ltray.data.dataset import open_data
from ltray.data.fold_data import FoldData
from ltray.data.loaders import EvaluationImages
from ltray.distributed import gather_unequal, rank
from ltray.engine.evaluation import Evaluation
from ltray.engine.held_out import HELD_OUT, HeldOut
from ltray.engine.memory_session import MemorySession
from ltray.errors import UsageError
from ltray.long_tail import LongTail
from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS, fold_key
from ltray.on_ray.scheduler import EPOCHS
from ltray.space.compatibility import refusal
from ltray.space.search_settings import Stop
from ltray.stage import Stage
from ltray.study.fold_runs import runs_of, train_experiment
from ltray.study.progress import TrialProgress
from ltray.study.run_of_several import RUN, RUN_EPOCH, RUN_FOLD, is_later_run
from ltray.study.trial_plan import TrialPlan
from ltray.testing import contract

METRIC = "val/balanced_accuracy"
SETTINGS = {
    "dataset.folds": 2, "dataset.largest_class": 24, "dataset.imbalance_factor": 6, "objective": "balanced_accuracy",
}  # fmt: skip
FROZEN = {"methods": ["linear_probe", "tau_norm"], "linear_probe.epochs": 2, "linear_probe.warmup_epochs": 0}
TRAINED = {"methods": ["ldam", "tau_norm"], "ldam.epochs": 2, "ldam.milestones": [], "ldam.warmup_epochs": 0}
CLOCKS = ("train/seconds", "train/images_per_second")


@pytest.fixture
def memory_data(monkeypatch):
    monkeypatch.setattr(ltray.experiment, "open_data", cache(partial(open_data, source="memory")))


def run(session, methods):
    train_experiment(contract.small_experiment(SETTINGS | methods), session, contract.CPU)
    return [{k: v for k, v in report.items() if k not in CLOCKS} for report in session.reports]


@pytest.mark.parametrize(
    ("methods", "cuts"),
    # An interruption in the second fold; between two folds; in the final training.
    [(FROZEN, (5,)), pytest.param(TRAINED, (3, 5, 8), marks=pytest.mark.slow)],
    ids=["frozen", "trained"],
)
def test_cross_validation_pools_its_folds_resumes_exactly_and_ends_with_a_training_on_all_images(
    memory_data, methods, cuts
):
    uninterrupted = MemorySession()
    reports = run(uninterrupted, methods)
    assert [(r[RUN], r[RUN_FOLD], r[RUN_EPOCH], r[EPOCHS]) for r in reports] == [
        (index, index, epoch, 3 * index + epoch) for index in range(3) for epoch in (1, 2, 3)
    ]
    assert {r[PLANNED_EPOCHS] for r in reports} == {9}
    _check_values(reports, uninterrupted.resume())
    for cut in cuts:
        session = contract.InterruptedSession(cut)
        with pytest.raises(contract.Interrupted):
            run(session, methods)
        resumed = MemorySession(session.saved)
        assert run(resumed, methods) == reports[cut:]
        contract.assert_same_state(
            uninterrupted.resume().stages, resumed.resume().stages, f"after an interruption at epoch {cut}"
        )
        assert torch.equal(
            uninterrupted.resume().context[HELD_OUT]["scores"], resumed.resume().context[HELD_OUT]["scores"]
        )
    plain = {key: value for key, value in SETTINGS.items() if key != "dataset.folds"}
    plain |= methods | {
        "methods": methods["methods"][:1],
        "dataset.validation_per_class": 0,
        "dataset.protocol": "paper",
    }
    everything = MemorySession()
    contract.small_experiment(plain).train(everything, contract.CPU)
    final = uninterrupted.resume().stages
    for name, value in everything.resume().stages.items():
        assert torch.equal(final[name], value), name


def _check_values(reports, last):
    """Check the reports of the final training against the saved scores, and its τ against those of the folds."""
    scores = HeldOut.from_state(last.context[HELD_OUT])
    counts = LongTail(tuple(last.context["counts"]))
    assert counts.total == len(scores.labels) and scores.fold is None
    for report in reports[6:]:
        known = scores.predictions(report[RUN_EPOCH] - 1)
        assert known.logits.abs().sum(dim=1).all() and len(known.labels) == report["val/images"] == counts.total
        pooled = Evaluation.of(known.logits, known.labels).metrics(counts, "val")
        assert {name: report[name] for name in pooled} == pooled
        values = [report[fold_key(METRIC, fold)] for fold in range(2)]
        assert statistics.mean(values) == pytest.approx(report[METRIC], abs=0.1)
        images = Evaluation.of(known.logits, known.labels).standard_error("balanced_accuracy", counts)
        beyond = max(statistics.variance(values) / 2 - images**2, 0)
        assert report[f"{METRIC}_se"] == pytest.approx(math.sqrt(images**2 + 3 * beyond))
    # Before all folds are known, a fold's reports are of the folds so far.
    assert [r["val/images"] for r in reports[2::3]] == [reports[0]["val/images"], counts.total, counts.total]
    assert reports[8][METRIC] == reports[5][METRIC] and reports[6][METRIC] == reports[3][METRIC]
    assert reports[8]["chosen/τ"] == pytest.approx((reports[2]["chosen/τ"] + reports[5]["chosen/τ"]) / 2)
    assert [r[CHECKPOINT_SCORE] for r in reports[6:]] == [2000 + r["stage"] + r[METRIC] for r in reports[6:]]
    assert reports[7][f"{METRIC}_best"] == max(r[METRIC] for r in reports[6:8])


def test_frozen_features_are_computed_once_for_all_folds(memory_data, monkeypatch):
    computed = []
    monkeypatch.setattr(ltray.data.unaugmented, "_digest", lambda module: "the only network")
    original = ltray.data.unaugmented.UnaugmentedTrainingSet._computed
    monkeypatch.setattr(
        ltray.data.unaugmented.UnaugmentedTrainingSet, "_computed",
        lambda self, images, backbone: computed.append(images) or original(self, images, backbone),
    )  # fmt: skip
    reports = run(MemorySession(), {"methods": ["nearest_class_mean"], "dataset.folds": 3})
    assert computed == [("train",)] and len(reports) == 4
    assert reports[-1][METRIC] == reports[-2][METRIC]


def test_rules_compare_first_folds_and_the_result_is_that_of_the_final_training():
    progress = TrialProgress()
    for index, value in enumerate((0.5, 0.9, 0.4, 0.6)):
        result = {
            EPOCHS: index + 1, RUN: index, RUN_FOLD: index, METRIC: value, CHECKPOINT_SCORE: 1000 * index + value,
            "val/acc_all": value,
        }  # fmt: skip
        assert is_later_run(result) == (index > 0)
        progress = progress.after(result, metric=METRIC)
        assert progress.value == (value if index == 0 else None)
    assert progress.values(["balanced_accuracy"]) == [0.6] and progress.best_epoch == 4


def test_a_trial_has_the_epochs_of_all_folds_and_of_the_final_training():
    experiment = contract.small_experiment(SETTINGS | FROZEN)
    tail = LongTail((24, 12, 4, 4, 4, 4, 4, 4, 4, 4))
    plan = TrialPlan.of(Stop(rule="none"), [experiment], tail)
    assert (runs_of(experiment), plan.folds, plan.epochs, plan.runs) == (3, 2, 9, None)


@pytest.mark.parametrize(
    ("asked", "key"),
    [({"seeds": 3}, "trial.seeds"), ({"rule": "pbt"}, "stop.rule"), ({"fidelity": "short_runs"}, "stop.fidelity")],
)
def test_what_cannot_be_combined_is_refused(asked, key):
    options = {"rule": "none", "objectives": 1, "folds": 5} | asked
    found = refusal("random", options.pop("rule"), **options)
    assert found and found.key == key and "dataset.folds=5" in str(found)
    assert refusal("random", "asha", objectives=1, folds=5) is None


def test_stage_of_another_package_that_cannot_adopt_values_is_refused():
    with pytest.raises(UsageError, match="does not define `adopt`"):
        Stage.adopt(object.__new__(Stage), {"τ": 1.0})


def test_a_run_outside_of_its_cross_validation_is_an_error(memory_data):
    with pytest.raises(ValueError, match="FoldRuns"):
        contract.small_experiment(SETTINGS | FROZEN).train(MemorySession(), contract.CPU)


def rows_of_workers(counts: tuple[int, int]) -> list[list[float]]:
    """Return what `gather_unequal` makes of a number of rows of each worker."""
    mine = torch.full((counts[rank()], 2), float(rank()))
    return gather_unequal(mine).tolist()


@pytest.mark.parametrize("counts", [(3, 1), (0, 2), (2, 0), (0, 0), (1, 1)])
def test_rows_of_workers_are_gathered_in_their_order(two_workers, counts):
    for found in two_workers.run(rows_of_workers, counts):
        assert found == [[0.0, 0.0]] * counts[0] + [[1.0, 1.0]] * counts[1]


def cross_validated() -> list[dict[str, float]]:
    """Train a cross-validation from memory; return the values of its epochs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ltray.experiment, "open_data", partial(open_data, source="memory"))
        reports = run(MemorySession(), FROZEN | {"dataset.folds": 3})
    return [{k: v for k, v in report.items() if k.startswith(("val/", "chosen/"))} for report in reports]


@pytest.mark.slow
def test_two_workers_pool_the_same_scores_as_one(two_workers):
    alone = cross_validated()
    for found in two_workers.run(cross_validated):
        for own, other in zip(alone, found, strict=True):
            assert own.keys() == other.keys() and own["val/images"] == other["val/images"]
            assert other == pytest.approx(own, abs=0.05)


def test_features_of_a_fold_are_those_of_its_images(memory_data):
    whole = contract.small_experiment(SETTINGS | FROZEN).open_data(contract.CPU)
    fold, network = FoldData(whole, 1), torch.nn.Flatten()
    held_out, labels = fold.without_augmentation().selection_features(network)
    images, own = (torch.cat(parts) for parts in zip(*fold.selection(), strict=True))
    assert torch.equal(held_out, images.flatten(1)) and torch.equal(labels, own)
    assert labels.tolist() == fold.splits.validation.labels.tolist()
    training = fold.without_augmentation()
    images = torch.cat([one for one, _ in EvaluationImages(fold._train_images, training.labels, fold.definition)])
    assert torch.equal(training.features(network), images.flatten(1))
    assert training.labels.tolist() == fold.splits.train.labels.tolist() and fold.digest == whole.digest
