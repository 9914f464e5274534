"""A trained model as a folder in the layout of the Hugging Face hub: weights, configuration, ONNX file, model card.

If the model is a network of timm with a linear classifier, its weights have timm's names and `config.json` is timm's:
`timm.create_model("local-dir:FOLDER", pretrained=True)` loads it. Other models keep ltray's names.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.files import is_there
from ltray.network import Network
from ltray.parts.timm_backbones import TimmBackbone
from ltray.printable import printable
from ltray.results import onnx_script
from ltray.results.exported import ExportedGraph, check_equal, export_onnx
from ltray.stage import Stage

WEIGHTS, CONFIG, PREPROCESSOR, CARD = "model.safetensors", "config.json", "preprocessor_config.json", "README.md"
ONNX, SCRIPT = "model.onnx", "predict.py"


def export_folder(graph: ExportedGraph, images: Tensor, folder: Path, metadata: Mapping[str, Any], card: str) -> float:
    """Write the folder, complete or not at all.

    Args:
        graph: The model, in evaluation mode on the CPU.
        images: At least 2 images (N, 3, S, S), uint8, on which the files are compared with the trained model.
        folder: The folder to write; it must not exist, or be empty.
        metadata: The result of `ltray.export.describe`.
        card: The text of the model card.

    Returns:
        The largest difference of a logit or probability between the ONNX file and torch.

    Raises:
        UsageError: The folder contains files, or a package is not installed.
        RunFailed: The outputs of a file and of the trained model differ; no folder is written.
    """
    from safetensors.torch import save_file

    with _complete(folder) as temporary:
        difference = export_onnx(graph, images, temporary / ONNX, metadata)
        as_timm = timm_form(graph.stage, metadata)
        config, state = as_timm if as_timm else ({}, graph.stage.state_dict())
        own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
        save_file(own, temporary / WEIGHTS, metadata={"format": "pt"})
        names = dict(enumerate(metadata["class_names"]))
        config |= {
            "model_type": "timm" if as_timm else "ltray",
            "id2label": names,
            "label2id": {name: label for label, name in names.items()},
            "ltray": dict(metadata),
        }
        _write_json(temporary / CONFIG, config)
        _write_json(temporary / PREPROCESSOR, _preprocessor(metadata["input"]))
        (temporary / CARD).write_text(card, encoding="utf-8")
        shutil.copyfile(onnx_script.__file__, temporary / SCRIPT)
        if as_timm:
            _check_timm(temporary, graph, images)
    return difference


def timm_form(stage: Stage, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Return timm's configuration and state of a model that timm can build, else None.

    Args:
        stage: The stage that predicts.
        metadata: The result of `ltray.export.describe`.
    """
    network, classifier = stage.network, stage.network.classifier
    own_scores = type(stage).logits is Stage.logits and type(network) is Network
    if not (own_scores and isinstance(network.backbone, TimmBackbone) and type(classifier) is nn.Linear):
        return None
    import timm

    form = metadata["input"]
    body, count, side = network.backbone.body, classifier.out_features, form["image_size"]
    published, sized = dict(body.pretrained_cfg), {}
    if published.get("fixed_input_size"):
        sized = {"img_size": side}
    model = timm.create_model(published["architecture"], pretrained=False, num_classes=count, **sized)
    head = next((name for name, module in model.named_modules() if module is model.get_classifier()), "")
    state = dict(body.state_dict())
    state |= {f"{head}.{name}": tensor for name, tensor in classifier.state_dict().items()}
    expected = model.state_dict()
    if classifier.bias is None and f"{head}.bias" in expected:
        state[f"{head}.bias"] = torch.zeros(count)
    if {name: value.shape for name, value in state.items()} != {name: value.shape for name, value in expected.items()}:
        return None  # modules were inserted, or timm's classifier has another form
    config = {
        "architecture": published["architecture"],
        "num_classes": count,
        "num_features": network.backbone.width,
        "label_names": list(metadata["class_names"]),
        "pretrained_cfg": {
            "input_size": [3, side, side],
            "fixed_input_size": bool(sized),
            "interpolation": "bilinear",
            "crop_pct": 1.0 if form["resize_shorter_side"] else 224 / 256,
            "crop_mode": "center",
            "mean": form["mean"],
            "std": form["std"],
            "num_classes": count,
            "first_conv": published.get("first_conv"),
            "classifier": head,
        },
    }
    return config | ({"model_args": sized} if sized else {}), state


@torch.no_grad()
def _check_timm(folder: Path, graph: ExportedGraph, images: Tensor) -> None:
    """Build the model with timm from the folder, and compare it with the trained one."""
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    single = images if graph.margin is None else graph.crops(images)[-1]
    logits = model((single.to(torch.float32) - graph.centre) * graph.scale)
    check_equal([graph.scores(single)], [logits], len(images))


def _preprocessor(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an image processor's configuration."""
    side = form["image_size"]
    return {
        "do_resize": True,
        "size": {"shortest_edge": form["resize_shorter_side"] or round(side * 256 / 224)},
        "resample": 2,  # bilinear, in Pillow's numbering
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": form["mean"],
        "image_std": form["std"],
    }


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _complete(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, and rename it to `folder` after the block; remove it if the block fails."""
    if is_there(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{printable(folder)} exists and is not an empty folder; choose another name.")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
