"""How far a cross-validation can be trusted: coverage, errors and power in simulations with known truth.

    python -m benchmarks.folds

A data set has ten classes, 120 to 4 images each, whose features are normal around the class's mean; the model is the
nearest class mean. Its true accuracy is computed on 20,000 further images. "Hold-out" takes one image in ten of each
class (at least one of two) for validation, as the proposal of `convert` does.
"""

import argparse
import math
from collections.abc import Sequence

import numpy as np
import torch

from ltray.data.folds import folds_of
from ltray.engine.evaluation import Evaluation
from ltray.engine.fold_error import corrected
from ltray.long_tail import LongTail
from ltray.results.method_verdict import BEHIND, Candidate, judge

COUNTS = (120, 82, 56, 38, 26, 18, 12, 8, 6, 4)
TAIL = LongTail(COUNTS)
WIDTH, FOLDS, LEVEL = 24, 5, 1.959964
KEYS = ("acc_all", "balanced_accuracy")


def images(random: np.random.Generator, means: np.ndarray, counts: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (N, d) and labels (N,) of a data set, class by class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return means[labels] + random.normal(size=(len(labels), means.shape[1])), labels


def predicted(features: np.ndarray, labels: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Return the class with the nearest mean for each new image."""
    means = np.stack([features[labels == label].mean(axis=0) for label in range(len(COUNTS))])
    return np.asarray(((new[:, None] - means) ** 2).sum(axis=2).argmin(axis=1))


def counted(found: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Return the counts of predictions."""
    return Evaluation.of_predictions(torch.from_numpy(found), torch.from_numpy(labels), classes=len(COUNTS))


def cross_validated(features: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Return the pooled counts of a cross-validation; the images of each class must be in random order."""
    of = folds_of(COUNTS, FOLDS, name="simulated")
    each = []
    for fold in range(FOLDS):
        train, own = of != fold, of == fold
        each.append(counted(predicted(features[train], labels[train], features[own]), labels[own]))
    return Evaluation.pooled(each)


def held_out(features: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Return the counts on validation images that are taken from the data set."""
    place = np.concatenate([np.arange(count) for count in COUNTS])
    own = place < np.array([max(count // 10, 2 if count > 4 else 1) for count in COUNTS])[labels]
    return counted(predicted(features[~own], labels[~own], features[own]), labels[own])


def coverage(data_sets: int) -> list[str]:
    """Return rows: how often the 95 % interval has the accuracy of the method, and of the model itself."""
    lines = []
    for kind, evaluated in (("5 folds", cross_validated), ("hold-out", held_out)):
        for key in KEYS:
            random = np.random.default_rng(1)
            means = random.normal(size=(len(COUNTS), WIDTH)) * 0.55
            new, truth = images(random, means, [2_000] * len(COUNTS))
            if key == "acc_all":  # of images with the shares of the training images
                keep = np.concatenate([np.arange(2_000) < 2_000 * count / COUNTS[0] for count in COUNTS])
                new, truth = new[keep], truth[keep]
            values, errors, models = [], [], []
            for _ in range(data_sets):
                features, labels = images(random, means, COUNTS)
                found = evaluated(features, labels)
                values.append(found.metrics(TAIL, "val")[f"val/{key}"])
                errors.append(found.standard_error(key, TAIL))
                models.append(counted(predicted(features, labels, new), truth).metrics(TAIL, "val")[f"val/{key}"])
            value, error, model = np.array(values), np.array(errors), np.array(models)
            expected = model.mean()
            shares = [(abs(value - known) < LEVEL * error).mean() for known in (expected, model)]
            lines.append(
                f"| {kind} | {key} | {int(found.seen.sum())} | {100 * (value.mean() - expected):+.1f} | "
                f"{100 * value.std():.1f} | {100 * math.sqrt((error**2).mean()):.1f} | "
                f"{100 * shares[0]:.1f} | {100 * shares[1]:.1f} |"
            )
    return lines


def verdicts(data_sets: int, methods: int) -> list[str]:
    """Return rows: how often a method is called behind, if all are equal and if the first is better."""
    lines = []
    for kind, evaluated in (("5 folds", cross_validated), ("hold-out", held_out)):
        for better in (0, 24):
            random, behind = np.random.default_rng(2), 0
            one = random.normal(size=(len(COUNTS), WIDTH)) * 0.55  # equal for all methods: so is their true accuracy
            more = random.normal(size=(len(COUNTS), better)) * 0.55
            means = np.concatenate([*[one] * methods, more], axis=1)
            for _ in range(data_sets):
                features, labels = images(random, means, COUNTS)
                candidates = []
                for method in range(methods):  # each reads other features of the same images
                    own = slice(method * WIDTH, (method + 1) * WIDTH)
                    read = features[:, own]
                    if better and not method:
                        read = np.concatenate([read, features[:, -better:]], axis=1)
                    candidates.append(_candidate(method, evaluated(read, labels)))
                found = judge(candidates)
                leads = found.leader is not None and found.leader.method == "0"
                behind += (
                    bool(found.with_verdict(BEHIND))
                    if not better
                    else leads and len(found.with_verdict(BEHIND)) == methods - 1
                )
            what = "the first is better: found" if better else "equal: any called behind"
            lines.append(f"| {kind} | {methods} | {what} | {100 * behind / data_sets:.1f} |")
    return lines


def _candidate(method: int, found: Evaluation) -> Candidate:
    """Return a method's setting as `ltray.results.verdict` builds it: by folds, or by one run with its image error."""
    value = found.metrics(TAIL, "val")["val/balanced_accuracy"]
    if folds := found.fold_values("balanced_accuracy", TAIL):
        values = {str(fold): one for fold, one in enumerate(corrected(value, folds))}
        return Candidate(str(method), str(method), value, values)
    error = found.standard_error("balanced_accuracy", TAIL)
    # Three seeds of a method without randomness are three equal values.
    return Candidate(str(method), str(method), value, dict.fromkeys("012", value), error)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=1_000)
    data_sets = parser.parse_args().data_sets
    print("| evaluation | metric | images | bias | spread | standard error | covers method | covers model |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    print("\n".join(coverage(data_sets)))
    print("\n| evaluation | methods | truth | % |")
    print("|---|---:|---|---:|")
    for methods in (2, 5):
        print("\n".join(verdicts(data_sets, methods)))


if __name__ == "__main__":
    main()
