"""Processes that are started without the program's main module."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_main_module() -> Iterator[None]:
    """Start processes inside that do not import the program's main module.

    By default each spawned process does, and a script that converts outside of `if __name__ == "__main__"` would begin
    again in each of them. Nothing that ltray sends to its processes is defined there.
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
