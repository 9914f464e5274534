"""Private parts of Ray and Optuna are used only in the `_compat` modules, and their versions are limited."""

import ast
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from optuna.samplers import QMCSampler
from packaging.requirements import Requirement

from ltray.strategies import samplers
from ltray.study._compat import REPLACED, check_samplers

ROOT = Path(__file__).resolve().parents[1]
FILES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "ltray").rglob("*.py"))}
PACKAGES = ("ray", "optuna")


def is_private(dotted: str) -> bool:
    """Return whether a part of a dotted name begins with one underscore."""
    return any(part.startswith("_") and not part.startswith("__") for part in dotted.split("."))


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` of an attribute of a name; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner and isinstance(node, ast.Attribute) else ""


def private_parts(source: str) -> set[str]:
    """Return the private modules and names of Ray and Optuna that a file imports or uses by a dotted name."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and dotted(node).split(".")[0] in PACKAGES:
            found.add(dotted(node))
    return {name for name in found if is_private(name) and name.split(".")[0] in PACKAGES}


IDS = ("_trial_id", "_study_id", "_storage", "_base_exc")  # private attributes of what Ray and Optuna return


@pytest.mark.parametrize("path", [path for path in FILES if not Path(path).name.startswith("_compat")])
def test_only_compat_modules_use_private_parts(path: str) -> None:
    assert private_parts(FILES[path]) == set()
    assert [name for name in IDS if re.search(rf"\.{name}\b", FILES[path])] == []


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("import ray._private.node as node", "ray._private.node"),
        ("from ray.train.v2._internal.constants import NAME", "ray.train.v2._internal.constants.NAME"),
        ("from ray.train.torch.config import _TorchBackend", "ray.train.torch.config._TorchBackend"),
        ("from optuna.study._frozen import FrozenStudy", "optuna.study._frozen.FrozenStudy"),
        ("import ray\nray._raylet.Config.initialize('')", "ray._raylet.Config.initialize"),
    ],
)
def test_private_part_is_detected(line: str, part: str) -> None:
    assert part in private_parts(line)


@pytest.mark.parametrize("line", ["from ltray.on_ray._compat import PRINT", "import ray\nray.__version__", "self._x.y"])
def test_own_private_name_is_not_reported(line: str) -> None:
    assert private_parts(line) == set()


def test_sampler_without_a_replaced_method_is_refused() -> None:
    check_samplers()
    with pytest.raises(ImportError, match=r"Optuna 5\S* has no QMCSampler\._gone, .*constraints\.txt"):
        check_samplers({QMCSampler: ("_find_sample_id", "_gone")})


def test_every_replaced_private_method_of_a_sampler_is_checked() -> None:
    for own in (samplers.QuasiRandom, samplers.Gaussian, samplers.Evolution):
        theirs = own.__mro__[1]
        replaced = {name for name in vars(own) if name.startswith("_") and not name.startswith("__")}
        replaced -= {"_abc_impl"}
        assert replaced == set(REPLACED.get(theirs, ())), own


@pytest.mark.parametrize("package", PACKAGES)
def test_version_limits_of_packages_with_used_private_parts_include_the_tested_version(package: str) -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (dependency,) = [Requirement(text) for text in dependencies if Requirement(text).name == package]
    assert {specifier.operator for specifier in dependency.specifier} == {">=", "<"}
    assert version(package) in dependency.specifier
    major, minor, *_ = (int(part) for part in version(package).split("."))
    beyond = f"{major}.{minor + 1}" if package == "ray" else f"{major + 1}.0"
    assert beyond not in dependency.specifier
