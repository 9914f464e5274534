"""What tests read besides their own inputs."""

import os
from pathlib import Path

GOLDEN = Path(__file__).with_name("golden")
"""Numbers of the authors' code; see its README."""

CIFAR = Path(os.environ.get("LTRAY_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
"""CIFAR's Parquet files, for the tests marked `data`; too large for the repository."""
