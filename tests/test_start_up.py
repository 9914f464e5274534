"""What a process must not import before it needs it: each of these takes seconds."""

import subprocess
import sys

import pytest

SLOW = ("ray", "ffcv", "numba", "torchvision", "sklearn", "scipy.stats", "matplotlib")


def imported_by(module: str) -> set[str]:
    """Return the modules that importing one brings along, in a fresh process."""
    program = f"import sys, {module}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )


@pytest.mark.parametrize("module", ["ltray.train", "ltray.evaluate"])
def test_a_command_that_trains_or_evaluates_waits_for_torch_only(module: str) -> None:
    assert "torch" in imported_by(module)
    assert imported_by(module).isdisjoint(SLOW)


def test_a_conversion_does_without_torch() -> None:
    assert imported_by("ltray.convert").isdisjoint({*SLOW, "torch", "pandas"})
