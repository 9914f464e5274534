"""Time limits of tests that run commands on Ray."""

import pytest

from tests.on_ray.commands import LIMIT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set a long time limit for tests on Ray, which run several commands on a possibly busy machine."""
    for item in items:
        if item.get_closest_marker("ray") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(3 * LIMIT))
