"""The floors of ltray: a file imports from lower floors and its own folder, and FFCV, Ray, TensorBoard at one place."""

import ast
from fnmatch import fnmatch
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "ltray"
FLOORS = (
    "errors printable captions ray_address csv_cell files seal metrics typed following knobs recipe long_tail"
    " distributed yaml_text settings settings_file arguments run_settings provenance command console network",
    "stage parts stages",
    "methods data engine",
    "network_config run_folder experiment objective loggers space study results published report",
    "on_ray testing",
    "train tune convert views evaluate predict",
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
STRANGERS = {"methods", "data", "engine", "on_ray", "testing"}  # on one floor with others and unknown to them
DOORS = {
    "ffcv": "data/beton/*.py",
    "ray": "on_ray/*.py",
    "tensorboard": "loggers/tensorboard.py",
    "torch.utils.tensorboard": "loggers/tensorboard.py",
    "tensorboardX": "loggers/tensorboard.py",
}
FILES = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def imported(source: str) -> set[str]:
    """The modules that a file imports, wherever in it, as `package.module`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            # `from ltray import knobs` names a module, `from ltray.knobs import knob` one and something in it.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def component(path: str) -> str:
    """The file or folder directly under ltray/ that a path belongs to."""
    return path.split("/")[0].removesuffix(".py")


def offences(path: str, source: str) -> list[str]:
    """The imports that a file at this path must not have."""
    own = component(path)
    wrong = []
    for module in imported(source):
        package, _, rest = module.partition(".")
        other = rest.split(".")[0]
        if package == "ltray" and other in FLOOR and other != own:
            strangers = FLOOR[own] == FLOOR[other] and {own, other} & STRANGERS
            wrong += [module] if FLOOR[own] < FLOOR[other] or strangers else []
        wrong += [
            module for name, door in DOORS.items() if f"{module}.".startswith(f"{name}.") and not fnmatch(path, door)
        ]
    return wrong


def test_every_file_stands_on_a_floor() -> None:
    assert {component(path) for path in FILES} - {"__init__"} <= FLOOR.keys()
    assert len(FILES) > 100


@pytest.mark.parametrize("path", sorted(FILES.keys() - {"__init__.py"}))
def test_imports_lead_downwards(path: str) -> None:
    assert offences(path, FILES[path]) == []


def test_every_door_is_in_use() -> None:
    behind = {name for path, source in FILES.items() for module in imported(source) for name in module.split(".")[:1]}
    assert {"ffcv", "ray"} <= behind
    assert any("tensorboard" in module for module in imported(FILES["loggers/tensorboard.py"]))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("knobs.py", "from ltray.stage import Stage"),
        ("knobs.py", "from ltray import stage"),
        ("methods/bcl.py", "from ltray.engine.loop import train"),
        ("engine/loop.py", "def f():\n    import ltray.data.splits"),
        ("experiment.py", "from ltray.on_ray import cluster"),
        ("experiment.py", "import ray.train"),
        ("data/splits.py", "from ffcv.loader import Loader"),
        ("engine/loop.py", "from torch.utils.tensorboard import SummaryWriter"),
    ],
)
def test_a_wrong_import_is_seen(path: str, line: str) -> None:
    assert offences(path, line) != []
