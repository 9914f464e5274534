"""Long-tailed image recognition: the papers' methods, one engine, and a search that can be believed.

`METHODS` holds ltray's methods by name; `Method`, `Stage` and `View` are what a method of your own is made of;
`SearchSpace` reads a search-space file. Each is loaded when it is first used: `import ltray` imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltray.methods import METHODS
    from ltray.space.search_space import SearchSpace
    from ltray.stage import Method, Stage, View

__version__ = "0.1.0"
__all__ = ["METHODS", "Method", "SearchSpace", "Stage", "View", "__version__"]

_MODULES = {
    "METHODS": "ltray.methods",
    "Method": "ltray.stage",
    "SearchSpace": "ltray.space.search_space",
    "Stage": "ltray.stage",
    "View": "ltray.stage",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
