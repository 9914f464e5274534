"""Rows of a classifier from class names: LIFT's golden vectors, and a small CLIP model from its file to the rows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip import factory
from torch import nn

from ltray import train, tune
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.parts.openclip_backbones import tokens
from ltray.parts.text_rows import PROMPT, ClipTextRows, check_names, text_rows, towards_images
from ltray.start_check import check_start
from ltray.testing import contract


def tower_of(z: Any) -> nn.Module:
    """The golden file's text tower, by OpenCLIP's class."""
    weights = {key.removeprefix("text/w/"): torch.from_numpy(v).double() for key, v in z.items() if "text/w/" in key}
    vocabulary, width = weights["token_embedding.weight"].shape
    tower = open_clip.transformer.TextTransformer(
        context_length=len(weights["positional_embedding"]), vocab_size=vocabulary, width=width,
        heads=int(z["text/heads"]), layers=int(z["text/layers"]), output_dim=weights["text_projection"].shape[1],
        act_layer=open_clip.transformer.QuickGELU,
    )  # fmt: skip
    tower.load_state_dict(weights, strict=False)
    return tower.double().eval()


@torch.no_grad()
def test_text_features_and_rows_equal_the_authors(golden) -> None:
    z = golden("lift_heads")
    features = tower_of(z)(torch.from_numpy(z["text/tokens"]))
    np.testing.assert_allclose(features, z["text/features"], rtol=1e-8, atol=1e-10)
    rows = towards_images(features, torch.from_numpy(z["text/proj"]).double())
    np.testing.assert_allclose(rows, z["text/weight"], rtol=1e-8, atol=1e-10)


def test_tokens_of_cifars_class_names_equal_the_authors(golden) -> None:
    z = golden("lift_heads")
    names = [name.replace("_", " ") for name in z["tokens/names"].tolist()]
    assert str(z["tokens/template"]) == PROMPT
    found = tokens("openclip/ViT-B-16", [PROMPT.format(name) for name in names], 77)
    np.testing.assert_array_equal(found, z["tokens/cifar100"])


NAMES = ("red_fox", "oak tree", "cup")


@pytest.fixture
def small_clip(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """The settings of a small CLIP model with a file of its weights, and the model."""
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
    }
    (tmp_path / "small-ltray.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "small-ltray.json")
    torch.manual_seed(0)
    model = open_clip.create_model("small-ltray", load_weights=False).eval()
    torch.save(model.state_dict(), tmp_path / "small.pt")
    yield {"backbone": "openclip/small-ltray", "weights": str(tmp_path / "small.pt"), "model": model}
    factory._MODEL_CONFIG_PATHS.remove(tmp_path / "small-ltray.json")
    factory._rescan_model_configs()


@torch.no_grad()
def test_rows_are_clips_text_features_before_the_projection_of_images(small_clip: dict[str, Any]) -> None:
    rows = text_rows(small_clip["backbone"], small_clip["weights"], NAMES)
    model = small_clip["model"]
    texts = open_clip.tokenize([PROMPT.format(name.replace("_", " ")) for name in NAMES], context_length=16)
    features = model.encode_text(texts, normalize=True)
    torch.testing.assert_close(rows, F.normalize(features @ model.visual.proj.T, dim=1))
    assert rows.shape == (3, 64)


FEW = {"dataset.largest_class": 4, "dataset.imbalance_factor": 2}


def lift(small_clip: dict[str, Any], **changed: Any) -> Experiment:
    network = {name: small_clip[name] for name in ("backbone", "weights")}
    own = {"methods": ["lift"], "lift.epochs": 1, "lift.classifier_start": "text", **FEW}
    return contract.small_experiment(own | {"dataset.image_size": 32} | network | changed)


def test_a_run_starts_from_its_class_names(small_clip: dict[str, Any]) -> None:
    run = lift(small_clip)
    (stage,) = run.stages(LongTail((3, 2, 2)))

    class Named:
        class_names = NAMES

    stage.prepare(Named())
    expected = text_rows(small_clip["backbone"], small_clip["weights"], NAMES)
    assert torch.equal(stage.network.classifier.weight, expected)


def test_a_file_without_text_tower_is_refused_with_what_to_bring(small_clip: dict[str, Any], tmp_path: Path) -> None:
    state = small_clip["model"].visual.state_dict()
    torch.save(state, tmp_path / "tower.pt")
    with pytest.raises(UsageError, match="contains no text tower .* give the file of the complete CLIP model"):
        text_rows(small_clip["backbone"], str(tmp_path / "tower.pt"), NAMES)
    whole = {name: value for name, value in small_clip["model"].state_dict().items() if name != "visual.proj"}
    torch.save(whole, tmp_path / "unprojected.pt")
    with pytest.raises(UsageError, match=r"missing: visual\.proj"):
        text_rows(small_clip["backbone"], str(tmp_path / "unprojected.pt"), NAMES)


def test_incomplete_file_is_refused_before_anything_starts(
    small_clip: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTRAY_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tower.pt"
    torch.save(small_clip["model"].visual.state_dict(), file)
    check_start(lift(small_clip), LongTail((3, 2, 2)), NAMES)  # the complete file
    message = "`classifier_start` is text, but `weights` .*tower.pt' contains no text tower that fits"
    given = lift(small_clip, weights=str(file)).settings()
    with pytest.raises(UsageError, match=message):
        check_start(lift(small_clip, weights=str(file)), LongTail((3, 2, 2)), NAMES)

    monkeypatch.setattr("ltray.train._launcher", lambda resources: pytest.fail("started"))
    network = {name: given[name] for name in ("backbone", "weights")}
    own = {"lift.classifier_start": "text", "dataset.image_size": 32, **FEW}
    with pytest.raises(UsageError, match="numbers for names"):
        train.run(dataset="digits-lt", methods="lift", settings=network | own)

    monkeypatch.setattr("ltray.parts.text_rows.check_names", lambda names: None)
    with pytest.raises(UsageError, match=message):
        train.run(dataset="digits-lt", methods="lift", settings=network | own)
    space = tmp_path / "space.yaml"
    explored = {"lift.classifier_start": {"among": ["class_mean", "text"]}}
    fixed = network | {name: value for name, value in own.items() if name != "lift.classifier_start"}
    content = {"dataset": "digits-lt", "methods": ["lift"], "explore": explored, "fix": fixed}
    space.write_text(json.dumps(content | {"search": {"trials": 2}}))
    with pytest.raises(UsageError, match=f"classifier_start=text cannot be tried: {message}"):
        tune.dry_run(space)
    assert not (tmp_path / "runs").exists()


def test_published_weights_are_not_read_by_the_check(small_clip: dict[str, Any]) -> None:
    ClipTextRows("openclip/ViT-B-16", "laion2b_s34b_b88k").check(NAMES)  # they are not on this machine


@pytest.mark.parametrize("names", [("0", "1", "2"), ("-1", " 12")])
def test_numbers_for_names_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="numbers for names .* `dataset.class_names`"):
        check_names(names)
    check_names((*names, "cat"))


def test_text_is_refused_where_the_weights_have_no_text_tower() -> None:
    settings = {"methods": ["lift"], "lift.classifier_start": "text"}
    with pytest.raises(UsageError, match=r"needs a CLIP model with its text tower"):
        contract.small_experiment(settings).planned_epochs(LongTail((3, 2, 2)))
