"""docs/python-api.md: generated from the docstrings of every public name; its examples run."""

import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ltray
from ltray.lazy_names import exported
from tests.on_ray.commands import environment
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^```python\n# example: ([^\n]*)\n(.*?)^```$", PAGE, re.M | re.S))
TRAINING = [name for name, code in EXAMPLES.items() if "train.run(\n" in code]


def generator():
    spec = importlib.util.spec_from_file_location("python_api", ROOT / "tools" / "python_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_api_page_is_up_to_date() -> None:
    assert generator().page() == PAGE, "run `python tools/python_api.py > docs/python-api.md`"


def test_every_public_name_and_argument_is_documented() -> None:
    for name in exported("ltray"):
        assert re.search(rf"^## ltray\.{name}\b", PAGE, re.M), name
    for module in ("train", "tune", "convert", "evaluate", "predict"):
        part = PAGE.partition(f"## ltray.{module}.run\n")[2].partition("\n## ")[0]
        run = getattr(ltray, module).run
        assert all(f"* `{name}`: " in part for name in inspect.signature(run).parameters), module
        assert "**Returns**" in part and "`UsageError`: " in part


def test_python_api_examples_are_found() -> None:
    assert len(EXAMPLES) == 3 and len(TRAINING) == 1
    assert len(EXAMPLES) == len(re.findall("^```python$", PAGE, re.M))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in TRAINING])
def test_python_api_example_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLES[name], {"__name__": "example"})


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("name", TRAINING)
def test_python_api_example_that_trains_runs(name: str, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(EXAMPLES[name])
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        env=environment(tmp_path / "data"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "('0', '1'" in done.stdout and done.stdout.rstrip().endswith(" 2")
