"""The simulation of cross-validations: its data sets, and rows of both tables."""

import numpy as np

from benchmarks.folds import COUNTS, coverage, cross_validated, held_out, images, verdicts


def test_simulated_images_are_validated_once_by_folds_and_one_in_ten_on_held_out_ones() -> None:
    random = np.random.default_rng(0)
    features, labels = images(random, random.normal(size=(len(COUNTS), 3)) * 100, COUNTS)
    for evaluated, seen in ((cross_validated, list(COUNTS)), (held_out, [12, 8, 5, 3, 2, 2, 2, 2, 2, 1])):
        found = evaluated(features, labels)
        assert found.seen.tolist() == seen and found.correct.tolist() == seen  # the classes are far apart


def test_rows_of_the_tables() -> None:
    assert [line.count("|") for line in coverage(2)] == [9] * 4
    assert [line.split("|")[2].strip() for line in verdicts(2, 3)] == ["3"] * 4
