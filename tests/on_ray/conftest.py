"""Time limits of tests that run commands on Ray."""

import pytest

from tests.on_ray.commands import LIMIT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a test on Ray run several commands to their ends on a busy machine, which is no failure."""
    for item in items:
        if item.get_closest_marker("ray") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(3 * LIMIT))
