"""Modules that a process must not import before it needs them: each takes seconds."""

import subprocess
import sys

import pytest

import ltray
from ltray.methods import METHODS
from ltray.stage import Stage

SLOW = ("ray", "ffcv", "numba", "torchvision", "sklearn", "scipy.stats", "matplotlib")


def imported_by(module: str) -> set[str]:
    """Return all modules that are imported with one module, in a new process."""
    program = f"import sys, {module}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    )


def test_evaluate_imports_no_slow_module_except_torch() -> None:
    assert "torch" in imported_by("ltray.evaluate")
    assert imported_by("ltray.evaluate").isdisjoint(SLOW)


@pytest.mark.parametrize("module", ["ltray.train", "ltray.one_worker.child", "ltray.one_worker.launcher"])
def test_training_with_one_worker_imports_neither_ray_nor_pandas(module: str) -> None:
    assert "torch" in imported_by(module)
    assert imported_by(module).isdisjoint({*SLOW, "pandas", "sqlalchemy"})


def test_convert_does_not_import_torch() -> None:
    assert imported_by("ltray.convert").isdisjoint({*SLOW, "torch", "pandas"})


def test_import_ltray_loads_its_names_at_first_use() -> None:
    assert imported_by("ltray").isdisjoint({*SLOW, "torch", "numpy", "pandas", "ltray.stage"})
    assert set(ltray.__all__) <= set(dir(ltray))
    for name in ltray.__all__:
        assert getattr(ltray, name) is not None
    assert (ltray.METHODS, ltray.Stage) == (METHODS, Stage)
    with pytest.raises(AttributeError, match="has no attribute 'METHOD'"):
        ltray.METHOD  # noqa: B018
