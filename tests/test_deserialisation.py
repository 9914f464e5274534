"""No file can run code when it is read: every call that could unpickle, evaluate or extract is listed here."""

import ast
from collections.abc import Iterator

import pytest

from tests.paths import ROOT

SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in ("ltray", "tools", "cluster", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
# Calls by the end of their dotted name, and the argument that makes them safe.
DANGEROUS = {
    "pickle.load": None,
    "pickle.loads": None,
    "pickle.Unpickler": None,
    "cloudpickle.load": None,
    "cloudpickle.loads": None,
    "joblib.load": None,
    "marshal.load": None,
    "marshal.loads": None,
    "shelve.open": None,
    "dill.load": None,
    "dill.loads": None,
    "pd.read_pickle": None,
    "pandas.read_pickle": None,
    "torch.load": ("weights_only", True),
    "torch.jit.load": None,
    "torch.hub.load": None,
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
    "np.fromregex": None,
    "yaml.load": None,
    "yaml.load_all": None,
    "yaml.full_load": None,
    "yaml.unsafe_load": None,
    "yaml.unsafe_load_all": None,
    "eval": None,
    "exec": None,
    "compile": None,
    "os.system": None,
    "os.popen": None,
    "extractall": None,
    "unpack_archive": None,
    "tarfile.open": None,
    "tempfile.mktemp": None,
}
# The justified uses: file, call and reason.
JUSTIFIED: dict[tuple[str, str], str] = {}
SHELL = {"subprocess.run", "subprocess.Popen", "subprocess.call", "subprocess.check_output", "subprocess.check_call"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else "()"


def names_of(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: {"load": "pickle.load", "p": "pickle"}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return found


def dangerous_calls(source: str) -> Iterator[str]:
    """Yield the dangerous calls of a file: the name of the function."""
    tree = ast.parse(source)
    names = names_of(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, _, rest = dotted(node.func).partition(".")
        name = ".".join(filter(None, (names.get(first, first), rest)))
        values = {word.arg: word.value for word in node.keywords}
        if name in SHELL and "shell" in values:
            yield f"{name}(shell)"
        match = next((one for one in DANGEROUS if name == one or ("." not in one and name.endswith(f".{one}"))), None)
        if match in ("eval", "compile") and name != match:
            continue  # a method: `module.eval()`, `re.compile`
        if match is None:
            continue
        safe = DANGEROUS[match]
        given = values.get(safe[0]) if safe else None
        if safe is None or not (isinstance(given, ast.Constant) and given.value is safe[1]):
            yield match


@pytest.mark.parametrize("path", SOURCES)
def test_every_dangerous_call_is_justified(path: str) -> None:
    assert [call for call in dangerous_calls(SOURCES[path]) if (path, call) not in JUSTIFIED] == []


def test_justified_calls_exist() -> None:
    for path, call in JUSTIFIED:
        assert call in dangerous_calls(SOURCES[path]), (path, call)


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("import pickle\npickle.load(f)", "pickle.load"),
        ("from pickle import loads as read\nread(b)", "pickle.loads"),
        ("import pickle as p\np.Unpickler(f)", "pickle.Unpickler"),
        ("import torch\ntorch.load(f)", "torch.load"),
        ("import torch\ntorch.load(f, weights_only=False)", "torch.load"),
        ("import torch\ntorch.load(f, weights_only=safe)", "torch.load"),
        ("import numpy as np\nnp.load(f)", "numpy.load"),
        ("import numpy as np\nnp.load(f, allow_pickle=True)", "numpy.load"),
        ("import yaml\nyaml.load(f, yaml.Loader)", "yaml.load"),
        ("from yaml import unsafe_load\nunsafe_load(f)", "yaml.unsafe_load"),
        ("eval('1')", "eval"),
        ("exec('1')", "exec"),
        ("compile('1', '', 'exec')", "compile"),
        ("archive.extractall(x)", "extractall"),
        ("import shutil\nshutil.unpack_archive(x)", "unpack_archive"),
        ("import subprocess\nsubprocess.run('x', shell=True)", "subprocess.run(shell)"),
        ("import os\nos.system('x')", "os.system"),
    ],
)
def test_dangerous_call_is_found(source: str, call: str) -> None:
    assert list(dangerous_calls(source)) == [call]


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(f, weights_only=True)",
        "import numpy as np\nnp.load(f, allow_pickle=False)",
        "import yaml\nyaml.safe_load(f)",
        "model.eval()\nimport re\nre.compile('x')",
        "import json\njson.load(f)",
    ],
)
def test_safe_call_is_not_reported(source: str) -> None:
    assert list(dangerous_calls(source)) == []
