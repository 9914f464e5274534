"""Paths of the repository and of the external inputs of tests."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository."""

GOLDEN = Path(__file__).with_name("golden")
"""Reference values from the authors' code; see its README."""

CIFAR = Path(os.environ.get("LTRAY_SHARED_DATA", ROOT.parent / "shared" / "data"))
"""CIFAR's Parquet files, for the tests marked `data`; too large for the repository."""

SCHEMAS = CIFAR.parent / "schemas"
"""KubeRay's custom resource definitions, for tests marked `data`: the files of its `config/crd/bases` in `kuberay/`."""
