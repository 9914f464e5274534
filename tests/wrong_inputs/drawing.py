"""Draws distinct wrong inputs, the same ones for the same seed."""

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.wrong_inputs import file_cases, option_cases, settings_cases
from tests.wrong_inputs.case import Case

SHARES = (
    (settings_cases.cases(), 0.5),
    (file_cases.cases(), 0.4),
    (option_cases.cases(), 0.1),
)


def draw(count: int, *, number: int = 0) -> list[Case]:
    """Return distinct cases of every kind.

    Args:
        count: How many, about.
        number: Seed.
    """
    return [case for strategy, share in SHARES for case in _distinct(strategy, round(count * share), number)]


def _distinct(strategy: st.SearchStrategy[Case], count: int, number: int) -> list[Case]:
    found: dict[Case, None] = {}

    @seed(number)
    @settings(
        max_examples=2 * count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(case: Case) -> None:
        if len(found) < count:
            found.setdefault(case)

    collect()
    return list(found)
