"""Print, as JSON, what the running environment holds and which of its packages are damaged; run by its own Python.

Every file that a package's RECORD names must be there with its size, and FFCV's compiled library must still find
OpenCV: that takes a fraction of the seconds an import of torch does, and sees more.
"""

import csv
import ctypes
import importlib.metadata
import json
from importlib.metadata import Distribution
from pathlib import Path


def is_whole(package: Distribution) -> bool:
    """Return whether each file of the package's RECORD exists with the size written there."""
    record = package.read_text("RECORD")
    if record is None:
        return False
    root = Path(str(package.locate_file("")))
    try:
        # Sizes are left empty for what is written after the build: RECORD itself and byte code.
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
    damaged = [name for name, package in packages.items() if not is_whole(package)]
    if "ffcv" in packages and not loads(packages["ffcv"]):
        damaged.append("ffcv")
    installed = [f"{name}=={package.version}" for name, package in packages.items()]
    print(json.dumps({"installed": sorted(installed), "damaged": sorted(set(damaged))}))


if __name__ == "__main__":
    main()
