"""Processes that are started without the program's main module."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_main_module() -> Iterator[None]:
    """Start processes inside this context without importing the program's main module.

    By default each spawned process imports it, and a script that converts outside of `if __name__ == "__main__"` would
    start again in each process. ltray's processes need nothing that is defined in the main module.
    """
    main = vars(sys.modules["__main__"])
    known: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        del main["__spec__"]
        main.update(known)
