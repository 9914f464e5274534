"""Floors of ltray: a file imports from lower floors and its own folder; FFCV, Ray, TensorBoard each in one place."""

import ast
import importlib
import sys
from collections.abc import Callable, Mapping
from fnmatch import fnmatch

import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "ltray"
# Lowest first. Modules of one floor do not import one another.
FLOORS = (
    "masked",
    "class_counts errors lazy_names printable program quantities distributed provenance network signals",
    "captions console csv_cell files fitted_table hardware long_tail metrics parser private_folders ray_address typed",
    "arguments command following imported seal yaml_scalars",
    "figures yaml_text",
    "knobs loggers lr_schedule settings settings_file",
    "recipe run_settings strategies",
    "parts",
    "stage",
    "data engine stages",
    "network_input",
    "checkpoints given_files methods model_folder network_config",
    "recorded_settings",
    "run_folder setting_names",
    "experiment",
    "start_check",
    "auto_settings objective pretraining space",
    "study",
    "example_views reporting results",
    "analysis contact_sheet next_command published",
    "evaluation report reproduction run_logger",
    "paper_tables",
    "on_ray testing",
    "one_worker table_command",
    "tune_arguments",
    "analyse convert evaluate export predict status train tune views",
    "reproduce",
    "completion",
    "__main__",
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}
# A method depends on the contract in stage.py, not on the training loop or the data.
FORBIDDEN = {"methods": {"engine", "data"}, "stages": {"engine", "data"}}
ALLOWED_IN = {
    "ffcv": "data/beton/*.py",
    "ray": "on_ray/*.py",
    "mlflow": "loggers/mlflow.py",
    "wandb": "loggers/wandb.py",
    "tensorboard": "loggers/tensorboard.py",
    "torch.utils.tensorboard": "loggers/tensorboard.py",
    "tensorboardX": "loggers/tensorboard.py",
}
FILES = {str(path.relative_to(PACKAGE)): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


def imported(source: str) -> set[str]:
    """Return the modules that a file imports, at any position, as `package.module`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            # `from ltray import knobs` imports a module, `from ltray.knobs import knob` a name of a module.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def component(path: str) -> str:
    """The file or folder directly under ltray/ that a path belongs to."""
    return path.split("/")[0].removesuffix(".py")


def folder(path: str) -> str:
    """The folder under a folder of ltray/ that a path belongs to, or the path itself."""
    return "/".join(path.split("/")[:2])


def cycles(edges: Mapping[str, set[str]]) -> list[str]:
    """Return the import cycles in a graph; at most one per start node."""
    found: list[str] = []
    done: set[str] = set()

    def follow(node: str, path: tuple[str, ...]) -> None:
        if node in path:
            found.append(" -> ".join((*path[path.index(node) :], node)))
        elif node not in done:
            for other in sorted(edges.get(node, ())):
                follow(other, (*path, node))
            done.add(node)

    for start in sorted(edges):
        follow(start, ())
    return found


def graph(name: Callable[[str], str]) -> dict[str, set[str]]:
    """Return the import graph of the files, whose nodes are `name(path)`."""
    modules = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in FILES}
    edges: dict[str, set[str]] = {}
    for path, source in FILES.items():
        for module in imported(source):
            rest = module.removeprefix("ltray.")
            other = modules.get(rest, modules.get(rest.rpartition(".")[0], path))
            if name(other) != name(path):
                edges.setdefault(name(path), set()).add(name(other))
    return edges


def offences(path: str, source: str) -> list[str]:
    """The imports that a file at this path must not have."""
    own = component(path)
    wrong = []
    for module in imported(source):
        package, _, rest = module.partition(".")
        other = rest.split(".")[0]
        if package == "ltray" and other in FLOOR and other != own:
            wrong += [module] if FLOOR[own] <= FLOOR[other] or other in FORBIDDEN.get(own, ()) else []
        wrong += [
            module
            for name, pattern in ALLOWED_IN.items()
            if f"{module}.".startswith(f"{name}.") and not fnmatch(path, pattern)
        ]
    return wrong


def test_every_file_has_a_floor() -> None:
    assert {component(path) for path in FILES} - {"__init__"} <= FLOOR.keys()
    assert len(FILES) > 100


@pytest.mark.parametrize("path", sorted(FILES.keys() - {"__init__.py"}))
def test_imports_are_from_lower_floors(path: str) -> None:
    assert offences(path, FILES[path]) == []


def test_no_package_name_hides_a_module() -> None:
    """A package whose `__init__` binds a submodule's name to something else makes that submodule unreachable."""
    modules = [path.removesuffix(".py").replace("/", ".") for path in FILES if not path.endswith("__main__.py")]
    for module in (f"ltray.{name}".removesuffix(".__init__") for name in modules if not name.startswith("on_ray")):
        importlib.import_module(module)
        parent, _, name = module.rpartition(".")
        assert not parent or getattr(sys.modules[parent], name) is sys.modules[module], module


@pytest.mark.parametrize("name", [str, folder, component])
def test_no_import_cycles(name: Callable[[str], str]) -> None:
    assert len(graph(name)) > 10
    assert cycles(graph(name)) == []


def test_import_cycle_is_detected() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}}) == ["b -> c -> b"]


def test_every_restricted_package_is_imported() -> None:
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
        ("engine/loop.py", "from ltray.stages.post_hoc import PostHoc"),
        ("space/draws.py", "from ltray.objective import print_objective"),
        ("report/plot.py", "from ltray.report.__main__ import main\nfrom ltray.on_ray import cluster"),
        ("experiment.py", "from ltray.on_ray import cluster"),
        ("experiment.py", "import ray.train"),
        ("data/splits.py", "from ffcv.loader import Loader"),
        ("engine/loop.py", "from torch.utils.tensorboard import SummaryWriter"),
    ],
)
def test_wrong_import_is_detected(path: str, line: str) -> None:
    assert offences(path, line) != []
