"""Objects of other packages, named by their dotted path: `mypackage.gcl:METHOD`.

The one way by which code from outside ltray is found. Only the module that a path names is imported, from where Python
finds modules: installed packages and the folders in PYTHONPATH. Worker processes import it again.
"""

import importlib
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from ltray.errors import UsageError, did_you_mean, shown
from ltray.files import reason
from ltray.printable import printable

COLON = ":"
EXAMPLE = "mypackage.mymodule:NAME"


def is_dotted_path(name: object) -> bool:
    """Return whether a setting's value names an object of a module instead of one of ltray's own choices."""
    return isinstance(name, str) and COLON in name


def nearest_or_dotted_path(name: object, known: Iterable[str], kind: str) -> str:
    """Return the sentence that follows the refusal of a name: the nearest known one, or how a dotted path is written.

    Args:
        name: What the user wrote.
        known: Every name that would have been right.
        kind: What is named, at the beginning of a sentence: "A method".
    """
    if isinstance(name, str) and "." in name:
        return f" {kind} of another package is given by its dotted path, such as `{EXAMPLE}`."
    return did_you_mean(str(name), known)


def imported(path: str, fits: Callable[[Any], bool], kind: str) -> Any:
    """Import the object that a dotted path names.

    Args:
        path: `module:name`, such as "mypackage.gcl:METHOD".
        fits: Whether an object is of the kind that is wanted.
        kind: What is wanted, for messages: "a ltray.Method".

    Raises:
        UsageError: Not a dotted path, no such module or name, a module that cannot be imported, an object of
            another kind.
    """
    module_name, _, name = path.partition(COLON)
    _check_form(path, module_name, name)
    module = _module(path, module_name)
    usable = [known for known, value in vars(module).items() if not known.startswith("_") and fits(value)]
    if not hasattr(module, name):
        raise UsageError(f"{shown(path)}: the module `{module_name}` has no `{name}`.{did_you_mean(name, usable)}")
    found = getattr(module, name)
    if not fits(found):
        raise UsageError(f"{shown(path)}: is {_described(found)}, but must be {kind}.{did_you_mean(name, usable)}")
    return found


def _check_form(path: str, module: str, name: str) -> None:
    if module.endswith(".py") or "/" in module:
        raise UsageError(
            f"{shown(path)}: is a file; write the module as in an import statement, such as `{EXAMPLE}`, and add "
            "the folder that holds its package to PYTHONPATH."
        )
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(f"{shown(path)}: is not a dotted path; write module:name, such as `{EXAMPLE}`.")
    if module == "__main__":
        raise UsageError(
            f"{shown(path)}: `__main__` is the running program, which worker processes cannot import; move the object "
            "to a module."
        )


def _module(path: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"{shown(path)}: {_missing(error.name)}") from error
        raise UsageError(f"{shown(path)}: {_failed(name, error)}") from error
    except (Exception, SystemExit) as error:  # whatever somebody else's module does
        raise UsageError(f"{shown(path)}: {_failed(name, error)}") from error


def _missing(name: str) -> str:
    """Return the sentence on a module that Python does not find."""
    package, _, last = name.rpartition(".")
    if not package:
        return (
            f"Python finds no module `{name}`; install its package in the environment of ltray, or add the folder that "
            "holds it to PYTHONPATH (on a cluster: on every node)."
        )
    inside = getattr(sys.modules.get(package), "__path__", None)
    if inside is None:
        return f"`{package}` is a module, not a package: it has no `{last}`."
    return f"the package `{package}` has no module `{last}`.{did_you_mean(last, _names(inside))}"


def _names(places: Iterable[str]) -> list[str]:
    return [module.name for module in pkgutil.iter_modules(places)]


def _failed(name: str, error: BaseException) -> str:
    """Return the sentence on a module that stops while it is imported."""
    if isinstance(error, SyntaxError):
        place = f" ({printable(str(error.filename))}, line {error.lineno})"
        return f"importing `{name}` failed: {type(error).__name__}: {error.msg}{place}."
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"importing `{name}` failed: {type(error).__name__}: {reason(error)} ({printable(last.filename)}, line "
        f"{last.lineno})."
    )


def _described(found: object) -> str:
    if isinstance(found, type):
        return f"the class `{found.__name__}`"
    if isinstance(found, ModuleType):
        return f"the module `{found.__name__}`"
    return f"an object of the type `{type(found).__name__}`"
