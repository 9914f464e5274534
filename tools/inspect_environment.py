"""Print the packages of the running environment and the damaged ones as JSON; run by the environment's Python.

Every file in a package's RECORD must exist with its size, and FFCV's compiled library must find
OpenCV. This is faster than an import of torch, and detects more damage.
"""

import csv
import ctypes
import importlib.metadata
import json
from importlib.metadata import Distribution
from pathlib import Path


def is_complete(package: Distribution) -> bool:
    """Return whether each file of the package's RECORD exists with the size written there."""
    record = package.read_text("RECORD")
    if record is None:
        return False
    root = Path(str(package.locate_file("")))
    try:
        # Files written after the build have no size: RECORD itself and byte code.
        return all(
            (root / name).stat().st_size == int(size) for name, _, size in csv.reader(record.splitlines()) if size
        )
    except OSError:
        return False


def loads(package: Distribution) -> bool:
    """Return whether the package's compiled libraries find the system's libraries they were linked with."""
    try:
        for file in Path(str(package.locate_file("ffcv"))).glob("_libffcv*.so"):
            ctypes.CDLL(str(file))
    except OSError:
        return False
    return True


def main() -> None:
    """Print `{"installed": [name==version, ...], "damaged": [name, ...]}`."""
    packages = {package.metadata["Name"]: package for package in importlib.metadata.distributions()}
    damaged = [name for name, package in packages.items() if not is_complete(package)]
    if "ffcv" in packages and not loads(packages["ffcv"]):
        damaged.append("ffcv")
    installed = [f"{name}=={package.version}" for name, package in packages.items()]
    print(json.dumps({"installed": sorted(installed), "damaged": sorted(set(damaged))}))


if __name__ == "__main__":
    main()
