"""`python -m ltray.export`: exported files compute the outputs of the trained model without ltray."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from ltray import export
from ltray.data.transforms import policies
from ltray.data.transforms.five_crops import five_crops, resized_sides
from ltray.errors import RunFailed, UsageError
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.results import exported, hub_folder, model_card, onnx_script
from ltray.results.classifier import Classifier
from ltray.results.exported import ExportedGraph, export_onnx
from ltray.results.predictions import TrainedModel
from ltray.run_folder import checkpoint_of
from ltray.testing import contract
from tests.paths import ROOT

SCRIPT = """
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


def exported_randomly(name: str, folder: Path) -> Path:
    """Export a method with random weights, and save torch's outputs on random images."""
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
    done = subprocess.run([sys.executable, "-I", "-c", SCRIPT, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_exported_files_of_every_method_compute_the_same_without_ltray(tmp_path):
    check_without_ltray(sorted(METHODS), tmp_path)


def test_graph_routes_images_like_the_trained_model(tmp_path):
    experiment = contract.small_experiment({"methods": ["ride"]})
    network = experiment.stages(contract.open_small(experiment).tail)[-1].eval().network
    features = torch.randn(64, 3 * network.backbone.each, generator=torch.Generator().manual_seed(1))
    parts = features.chunk(len(network.classifier.experts.heads), dim=1)
    with torch.no_grad():
        rows = torch.arange(64)
        first = network.classifier.router(0, parts[0], network.classifier.experts.heads[0](parts[0]))
        network.classifier.router.last.bias -= first.median()  # half of the images use a second expert
        some = network.classifier.route(lambda index, rows: parts[index][rows], rows)
        every = network.classifier._route_all(lambda index, rows: parts[index][rows], rows)
    assert len(set(some[1].tolist())) > 1 and torch.equal(some[1], every[1])
    assert torch.allclose(some[0], every[0], atol=1e-6)


def test_documented_script_predicts_with_only_the_file(finished_run, tmp_path, capsys):
    from PIL import Image

    from ltray import predict

    image = tmp_path / "a.png"
    levels = np.random.default_rng(0).integers(0, 256, (13, 10, 3), dtype=np.uint8)
    Image.fromarray(levels).save(image)
    assert export.main([str(finished_run), str(tmp_path / "model.onnx")]) == 0
    assert re.search(r"largest difference from the trained model on 16 images: \S*e-", capsys.readouterr().out)
    script = re.search(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(), re.S)[1]
    assert script == Path(onnx_script.__file__).read_text()
    arguments = [sys.executable, "-I", onnx_script.__file__, str(tmp_path / "model.onnx"), str(image)]
    shown = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    expected = predict.run(finished_run, image, top=10).predictions[0]
    assert shown == pytest.approx(dict(zip(expected.classes, expected.probabilities, strict=True)), abs=1e-4)


def test_exported_five_crops_are_those_of_predictions(finished_run, tmp_path):
    import onnxruntime
    from PIL import Image

    from ltray import predict

    levels = np.random.default_rng(0).integers(0, 256, (13, 10, 3), dtype=np.uint8)
    Image.fromarray(levels).save(tmp_path / "a.png")
    done = export.run(finished_run, tmp_path / "hub", five_crops=True)
    model = Classifier.open(checkpoint_of(finished_run), torch.device("cpu"))
    margin, side = done.metadata["input"]["five_crops"], done.metadata["input"]["image_size"]
    assert margin == model.trained.margin and "five crops of 8 pixels" in (tmp_path / "hub/README.md").read_text()
    file = str(tmp_path / "hub/model.onnx")
    arguments = [sys.executable, "-I", onnx_script.__file__, file, str(tmp_path / "a.png")]
    shown = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    expected = predict.run(finished_run, tmp_path / "a.png", top=10, five_crops=True).predictions[0]
    assert shown == pytest.approx(dict(zip(expected.classes, expected.probabilities, strict=True)), abs=1e-4)
    plain = predict.run(finished_run, tmp_path / "a.png", top=10).predictions[0].probabilities
    assert max(abs(a - b) for a, b in zip(plain, expected.probabilities, strict=True)) > 1e-4

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for count, height, width in ((1, 0, 0), (3, 0, 1), (2, 2, 0), (1, 0, 5)):  # even and odd distances
        size = (count, 3, side + margin + height, side + margin + width)
        images = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(1)).to(torch.uint8)
        crops = torch.stack([five_crops(image, side, margin) for image in images])
        dataset = model.trained.experiment.dataset
        views = policies.evaluation(crops.flatten(0, 1), image_size=side, mean=dataset.mean, std=dataset.std)
        with torch.no_grad():
            wanted = model.trained.stage.eval().logits(views).view(count, 5, -1).mean(1)
        found = session.run(["logits"], {"images": images.numpy()})[0]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_script_resizes_a_large_image_for_five_crops_as_predictions_do():
    from PIL import Image

    form = {"image_size": 96, "resize_shorter_side": 0, "longest_side": 300, "five_crops": 10}
    levels = np.random.default_rng(0).integers(0, 256, (251, 180, 3), dtype=np.uint8)
    for image, sides in ((Image.fromarray(levels), (106, 147)), (Image.fromarray(levels.swapaxes(0, 1)), (147, 106))):
        found = onnx_script.fitted(image, form)
        assert found.size == sides == resized_sides(*image.size, 106)
        pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
        wanted = functional.interpolate(pixels, size=sides[::-1], mode="bilinear", antialias=True)[0]
        assert np.abs(np.asarray(found).astype(int) - wanted.permute(1, 2, 0).numpy().astype(int)).max() <= 1


def test_exported_folder_has_weights_configuration_script_and_model_card(finished_run, tmp_path):
    from safetensors.torch import load_file

    done = export.run(finished_run, tmp_path / "hub")
    names = {"README.md", "config.json", "model.onnx", "model.safetensors", "predict.py", "preprocessor_config.json"}
    assert done.format == "folder" and {path.name for path in done.file.iterdir()} == names
    state = TrainedModel.open(checkpoint_of(finished_run), torch.device("cpu")).stage.state_dict()
    saved = load_file(done.file / "model.safetensors")
    assert saved.keys() == state.keys() and all(torch.equal(saved[name], state[name]) for name in state)
    config = json.loads((done.file / "config.json").read_text())
    assert config["id2label"]["3"] == "3" and sum(config["ltray"]["training_images"]) > 0
    assert not list(tmp_path.glob(".hub*"))
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        export.run(finished_run, tmp_path / "hub")


def test_model_card_shows_the_figures_of_the_run_with_intervals(finished_run):
    evaluation = json.loads((finished_run / "best/evaluation.json").read_text())
    model = Classifier.open(checkpoint_of(finished_run), torch.device("cpu"))
    card = model_card.model_card(model.trained, export.describe(model), evaluation)
    header = yaml.safe_load(card.split("---")[1])
    metrics = {one["type"]: one["value"] for one in header["model-index"][0]["results"][0]["metrics"]}
    for key, value in metrics.items():
        assert value == pytest.approx(evaluation["metrics"][f"test/{key}"], abs=1e-6)
    value, low, high = map(float, re.search(r"\| accuracy all \| (\S+) % \| (\S+) to (\S+) % \|", card).groups())
    share = (sum(evaluation["correct"]) + 1) / (sum(evaluation["seen"]) + 2)
    half = 1.96 * (share * (1 - share) / sum(evaluation["seen"])) ** 0.5
    assert (value, low, high) == pytest.approx(
        [100 * (metrics["acc_all"] + sign * half) for sign in (0, -1, 1)], abs=0.051
    )
    recalls = np.array(evaluation["correct"]) / np.array(evaluation["seen"])
    rows = re.search(r"accuracy \|\n\|-.*?\n(.*?)\n\n", card[card.index("lowest accuracy") :], re.S)[1].splitlines()
    assert len(rows) == 5 and rows[0].endswith(f"| {100 * recalls.min():.1f} % |")


def test_class_names_are_escaped_in_the_model_card():
    assert model_card._cell("a|b\n<c>") == "a\\|b &lt;c>"


def test_interrupted_export_leaves_no_folder(finished_run, tmp_path, monkeypatch):
    def interrupted(graph, images, file, metadata):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(hub_folder, "export_onnx", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.run(finished_run, tmp_path / "hub")
    assert not list(tmp_path.glob("*hub*"))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_exported_timm_network_is_loaded_by_timm(name, tmp_path):
    settings = {"methods": ["cross_entropy"], "backbone": f"timm/{name}", "dataset.image_size": 32}
    experiment = contract.small_experiment(settings)
    stage = experiment.stages(LongTail((20, 5, 3)))[-1]
    graph = ExportedGraph(stage, experiment.dataset, 1.0).eval().requires_grad_(False)
    side = experiment.dataset.image_size
    images = torch.randint(0, 256, (4, 3, side, side), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    classes = [f"class {k}" for k in range(stage.network.classifier.out_features)]
    form = {"image_size": side, "resize_shorter_side": side, "mean": [0.5] * 3, "std": [0.5] * 3}
    metadata = {"class_names": classes, "input": form}
    hub_folder.export_folder(graph, images, tmp_path / "hub", metadata, "card")
    import timm

    model = timm.create_model(f"local-dir:{tmp_path / 'hub'}", pretrained=True).eval()
    assert tuple(model.pretrained_cfg["input_size"]) == (3, side, side) and model.pretrained_cfg["crop_pct"] == 1.0
    assert model.pretrained_cfg["label_names"] == classes
    with torch.no_grad():
        logits = model((images.float() - graph.centre) * graph.scale)
    assert torch.allclose(logits, graph(images)[0], atol=1e-5)
    weight = stage.network.classifier.weight
    with torch.no_grad():
        weight *= 2.0
    with pytest.raises(RunFailed, match="differs"):
        hub_folder._check_timm(tmp_path / "hub", graph, images)


def test_unknown_suffix_and_missing_package_are_refused(finished_run, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"must end in \.onnx or \.pt2, or be the name of a folder"):
        export.run(finished_run, tmp_path / "model.bin")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="needs the package onnxruntime: install ltray with the extra `export`"):
        export.run(finished_run, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_torch_export_has_class_names_and_an_inaccurate_file_is_not_written(finished_run, tmp_path, monkeypatch):
    done = export.run(finished_run, tmp_path / "model.pt2")
    extra = {"ltray.json": ""}
    program = torch.export.load(str(done.file), extra_files=extra).module()
    assert json.loads(extra["ltray.json"])["class_names"] == [str(k) for k in range(10)]
    assert program(torch.zeros(3, 3, 8, 8, dtype=torch.uint8))[1].shape == (3, 10)
    monkeypatch.setattr(exported, "TOLERANCE", -1.0)
    with pytest.raises(RunFailed, match="differs from the trained one"):
        export.run(finished_run, tmp_path / "other.pt2")
    assert not (tmp_path / "other.pt2").exists()
