"""Exported names of packages: each name is imported from its module at first use."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ltray.lazy_names import exported
from tests.other_package import unload
from tests.paths import ROOT

PACKAGE = ROOT / "ltray"
OFFERING = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for path in PACKAGE.rglob("__init__.py")
    if "exports(__name__)" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("package", OFFERING)
def test_every_exported_name_exists(package: str) -> None:
    module = importlib.import_module(package)
    assert exported(package)
    for name, source in exported(package).items():
        found = getattr(module, name)
        assert found is (sys.modules[f"{package}.{name}"] if source == package else getattr(sys.modules[source], name))
        assert source == package or source.startswith("ltray.")
    assert sorted(exported(package)) == module.__all__ and set(module.__all__) <= set(dir(module))


@pytest.fixture
def offering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that exports a name, a submodule, and a name that its module does not define."""
    folder = tmp_path / "offering"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n\nfrom ltray.lazy_names import exports\n\nif TYPE_CHECKING:\n"
        "    from offering import part as part\n    from offering.part import ONE as ONE\n"
        "    from offering.part import TWO as TWO\nelse:\n    __getattr__, __dir__ = exports(__name__)\n"
    )
    (folder / "part.py").write_text("ONE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "offering"
    unload("offering")
    exported.cache_clear()


def test_names_are_imported_at_first_use(offering: str) -> None:
    package = importlib.import_module(offering)
    assert "offering.part" not in sys.modules
    assert package.ONE == 1 and package.part is sys.modules["offering.part"]
    assert package.__all__ == ["ONE", "TWO", "part"] and {"ONE", "TWO", "part", "__name__"} <= set(dir(package))
    for name in ("TWO", "three", "__wrapped__"):
        with pytest.raises(AttributeError, match=name):
            getattr(package, name)


def test_star_import_gives_every_name() -> None:
    program = "from ltray.testing import *; print(check_method.__name__, WorkerPool.__name__)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "check_method WorkerPool\n"


FOLDERS = sorted({path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(PACKAGE)))
def test_folder_docstring_lists_its_modules(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    listed = re.findall(r"^\* `(\w+)/?`: [^\n]{3,}\.$", text, re.M)
    assert len(listed) == len(set(listed))
    there = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert set(listed) == there, "list each module and folder as * `name`: what it holds."
