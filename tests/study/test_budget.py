"""Budgets: syntax, when they are spent, and the record that later commands continue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltray.errors import UsageError
from ltray.study.budget import Budget, Spent


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [("2h", 2, "h"), ("90min", 90, "min"), ("0.5 GPUh", 0.5, "gpuh"), ("8cpuh", 8, "cpuh"), ("40trials", 40, "trials")],
)
def test_budget_is_parsed_to_amount_and_unit(text, amount, unit):
    assert Budget.parse(text) == Budget(amount, unit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2", "must look like 2h"),
        ("-2h", "must look like 2h"),
        ("2hours", "`hours` is not a unit"),
        ("8gpu", "Did you mean `gpuh`?"),
        ("0h", "must be above 0"),
        ("2.5trials", "a whole number of trials"),
    ],
)
def test_invalid_budget_is_refused_with_the_reason(text, message):
    with pytest.raises(UsageError, match=message):
        Budget.parse(text)


@given(st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 64), st.integers(0, 8)), min_size=1, max_size=20))
def test_budget_time_is_summed_over_the_trials_resources(stretches):
    spent = Spent()
    for seconds, cpus, gpus in stretches:
        spent.add(seconds, cpus=cpus, gpus=gpus)
    for unit, total in (
        ("h", sum(s for s, _, _ in stretches)),
        ("cpuh", sum(s * c for s, c, _ in stretches)),
        ("gpuh", sum(s * g for s, _, g in stretches)),
    ):
        assert not Budget(total / 3600 * 1.001 + 1e-9, unit).is_spent(spent)
        assert total == 0 or Budget(total / 3600 * 0.999, unit).is_spent(spent)
    assert not Budget(1, "trials").is_spent(spent)  # trials are counted in the study


def test_spent_budget_is_continued_by_the_next_command(tmp_path):
    assert Spent.read(tmp_path) == Spent()
    spent = Spent.read(tmp_path)
    spent.add(90.0, cpus=4, gpus=0.5)
    spent.write(tmp_path)
    assert Spent.read(tmp_path) == Spent(seconds=90.0, cpu_seconds=360.0, gpu_seconds=45.0)


@pytest.mark.parametrize(
    ("text", "seconds", "message"),
    [
        ("90min", 5400, "90 minutes"),
        ("2h", 7200, "2 hours"),
        ("0.5gpuh", 900, "0.5 GPU hours"),
        ("8cpuh", 7200, "8 CPU hours"),
    ],
)
def test_budget_is_spent_exactly_at_its_limit(text, seconds, message):
    budget = Budget.parse(text)  # the trials hold four CPU cores and two GPUs
    for stretch, is_spent in ((seconds - 1, False), (seconds, True)):
        spent = Spent()
        spent.add(stretch, cpus=4, gpus=2)
        assert budget.is_spent(spent) == is_spent
    assert budget.spent_message == f"the budget of {message} is used up" and budget.trials is None
    assert Budget.parse("40trials").trials == 40
