"""The public names of a package, each imported from its module when it is used for the first time."""

import ast
import importlib
import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any


def exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the functions `__getattr__` and `__dir__` of a package that imports its names when they are used.

    The names are those of the package's block `if TYPE_CHECKING:`, so that Python and type checkers use the same list.

    Args:
        package: The package's `__name__`.
    """

    def get(name: str) -> Any:
        if name == "__all__":
            return sorted(exported(package))
        if name.startswith("__") or name not in exported(package):
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = exported(package)[name]
        return importlib.import_module(f"{package}.{name}") if module == package else _attribute(module, name)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *exported(package)})

    return get, names


@cache
def exported(package: str) -> dict[str, str]:
    """Return the public names of a package, each with its module; for a submodule, the module is the package.

    Args:
        package: The name of an imported package.
    """
    found: dict[str, str] = {}
    for node in ast.parse(inspect.getsource(sys.modules[package])).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                assert isinstance(line, ast.ImportFrom) and line.module, ast.unparse(line)
                found |= {alias.name: line.module for alias in line.names}
    return found


def _attribute(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)
