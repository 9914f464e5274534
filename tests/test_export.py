"""`python -m ltray.export`: files that are used without ltray compute what the trained model computes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ltray import export
from ltray.errors import RunFailed, UsageError
from ltray.methods import METHODS
from ltray.results import exported
from ltray.results.exported import ExportedGraph, export_onnx
from ltray.testing import contract
from tests.given import ROOT

FOREIGN = """
import sys, numpy, onnxruntime
for file in sys.argv[1:]:
    session = onnxruntime.InferenceSession(file + ".onnx", providers=["CPUExecutionProvider"])
    given = numpy.load(file + ".npz")
    for count in (1, 3, len(given["images"])):
        found = session.run(["logits", "probabilities"], {"images": given["images"][:count]})
        for name, one in zip(("logits", "probabilities"), found):
            numpy.testing.assert_allclose(one, given[name][:count], rtol=1e-4, atol=1e-4, err_msg=file)
assert "torch" not in sys.modules and "ltray" not in sys.modules
"""
SMALL = ["cross_entropy", "ride", "dlsa"]


def exported_randomly(name: str, folder: Path) -> Path:
    """Export a method with random weights, and save what torch computes on random images."""
    before = (
        [] if METHODS[name].builds and not METHODS[name].distils else ["ride" if "ride" in name else "cross_entropy"]
    )
    experiment = contract.small_experiment({"methods": [*before, name]})
    stage = experiment.stages(contract.open_small(experiment).tail)[-1]
    graph = ExportedGraph(stage, experiment.dataset, 1.5).eval().requires_grad_(False)
    images = torch.randint(0, 256, (7, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    export_onnx(graph, images, folder / f"{name}.onnx", {"class_names": ["a"]})
    logits, probabilities = graph(images)
    np.savez(folder / f"{name}.npz", images=images, logits=logits, probabilities=probabilities)
    return folder / name


def check_without_ltray(names: list[str], folder: Path) -> None:
    files = [str(exported_randomly(name, folder)) for name in names]
    done = subprocess.run([sys.executable, "-I", "-c", FOREIGN, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_exported_files_compute_the_same_without_ltray(tmp_path):
    check_without_ltray(SMALL, tmp_path)


@pytest.mark.slow
def test_exported_files_of_every_method_compute_the_same_without_ltray(tmp_path):
    check_without_ltray(sorted(set(METHODS) - set(SMALL)), tmp_path)


def test_a_graph_routes_each_image_as_the_trained_model_does(tmp_path):
    experiment = contract.small_experiment({"methods": ["ride"]})
    network = experiment.stages(contract.open_small(experiment).tail)[-1].eval().network
    features = torch.randn(64, 3 * network.backbone.each, generator=torch.Generator().manual_seed(1))
    parts = features.chunk(len(network.classifier.experts.heads), dim=1)
    with torch.no_grad():
        rows = torch.arange(64)
        first = network.classifier.router(0, parts[0], network.classifier.experts.heads[0](parts[0]))
        network.classifier.router.last.bias -= first.median()  # half of the images ask for a second expert
        some = network.classifier.route(lambda index, rows: parts[index][rows], rows)
        every = network.classifier._route_all(lambda index, rows: parts[index][rows], rows)
    assert len(set(some[1].tolist())) > 1 and torch.equal(some[1], every[1])
    assert torch.allclose(some[0], every[0], atol=1e-6)


def test_the_documented_script_predicts_from_the_file_alone(finished_run, tmp_path, capsys):
    from PIL import Image

    from ltray import predict

    picture = tmp_path / "a.png"
    levels = np.random.default_rng(0).integers(0, 256, (13, 10, 3), dtype=np.uint8)
    Image.fromarray(levels).save(picture)
    assert export.main([str(finished_run), str(tmp_path / "model.onnx")]) == 0
    assert re.search(r"largest difference from the trained model on 16 images: \S*e-", capsys.readouterr().out)
    script = re.search(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.S)[1]
    words = [sys.executable, "-I", "-c", script, str(tmp_path / "model.onnx"), str(picture)]
    shown = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    expected = predict.run(finished_run, picture, top=10).predictions[0]
    assert shown == pytest.approx(dict(zip(expected.classes, expected.probabilities, strict=True)), abs=1e-4)


def test_another_suffix_and_a_missing_package_are_refused_in_a_sentence(finished_run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"must end in \.onnx or \.pt2"):
        export.run(finished_run, tmp_path / "model.bin")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="needs the package onnxruntime: install ltray with the extra `export`"):
        export.run(finished_run, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_torch_export_holds_the_class_names_and_a_file_that_differs_is_not_written(finished_run, tmp_path, monkeypatch):
    done = export.run(finished_run, tmp_path / "model.pt2")
    extra = {"ltray.json": ""}
    program = torch.export.load(str(done.file), extra_files=extra).module()
    assert json.loads(extra["ltray.json"])["class_names"] == [str(k) for k in range(10)]
    assert program(torch.zeros(3, 3, 8, 8, dtype=torch.uint8))[1].shape == (3, 10)
    monkeypatch.setattr(exported, "TOLERANCE", -1.0)
    with pytest.raises(RunFailed, match="differs from the trained one"):
        export.run(finished_run, tmp_path / "other.pt2")
    assert not (tmp_path / "other.pt2").exists()
