"""The training command that `convert` proposes: its rules, and a run of it."""

import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ltray import convert, train
from ltray.data.definition import DatasetDefinition
from ltray.experiment import Experiment
from ltray.long_tail import LongTail
from ltray.next_command import LARGEST, best_weights, proposed
from ltray.parts import weights_at_hand
from ltray.parts.backbones import family_of, new_backbone
from ltray.parts.weights_at_hand import WeightsAtHand, find_weights
from ltray.settings import parse_assignments
from ltray.space import catalog
from ltray.space.search_space import SearchSpace
from tests.data.folders_and_commands import fill

LITE0 = "timm/tf_efficientnet_lite0.in1k"
TAIL, BALANCED = LongTail((900, 90, 9)), LongTail((19, 18, 10))
LARGE = LongTail((2000, 90, 9))


def dataset(image_size: int) -> DatasetDefinition:
    return DatasetDefinition(name="pets", source="folder", folder="/p", image_size=image_size)


def packaged() -> WeightsAtHand:
    (found,) = weights_at_hand._in_packages()
    return found


@pytest.mark.parametrize(
    ("tail", "side", "gpu", "methods", "settings"),
    [
        (TAIL, 224, False, ["balanced_softmax"], ["dataset.image_size=64", "dataset.store=pets"]),
        (TAIL, 64, False, ["balanced_softmax"], []),
        (TAIL, 224, True, ["balanced_softmax"], []),
        (LARGE, 224, True, ["bcl"], []),
        (LARGE, 32, False, ["balanced_softmax"], []),
        (BALANCED, 32, True, ["cross_entropy"], []),
    ],
)
def test_without_weights(tail: LongTail, side: int, gpu: bool, methods: list[str], settings: list[str]) -> None:
    found = proposed(dataset(side), tail, None, gpu=gpu)
    assert (list(found.methods), list(found.settings)) == (methods, settings)
    assert "no pretrained weights found on this machine" in found.reasons[1]


@pytest.mark.parametrize(
    ("side", "gpu", "settings"),
    [
        (224, False, ["dataset.image_size=128"]),
        (32, False, ["dataset.image_size=128", "dataset.store=pets"]),
        (224, True, []),
        (64, True, ["dataset.store=pets"]),
    ],
)
def test_with_weights(side: int, gpu: bool, settings: list[str]) -> None:
    weights = packaged()
    found = proposed(dataset(side), TAIL, weights, gpu=gpu)
    assert found.methods == ("linear_probe", "post_hoc_adjustment")
    assert list(found.settings) == [f"backbone={LITE0}", f"weights={weights.file}", *settings]
    assert proposed(dataset(side), BALANCED, weights, gpu=gpu).methods == ("linear_probe",)


def test_network_with_one_image_size_uses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightsAtHand, "size", 1)
    weights = WeightsAtHand("timm/vit_tiny_patch16_224.augreg_in21k", "", tmp_path / "w.bin", "a test")
    assert proposed(dataset(64), TAIL, weights, gpu=False).settings[1:] == ("dataset.store=pets",)
    assert proposed(dataset(224), TAIL, weights, gpu=False).settings[1:] == ()


def test_command_is_parsed_as_one_run(tmp_path: Path) -> None:
    file = tmp_path / "My: pets #1.yaml"
    store = "2024"  # a name that looks like a number
    file.write_text(f"name: '{store}'\nsource: folder\nfolder: {tmp_path}\nimage_size: 32\n")
    made = proposed(DatasetDefinition.read(file), TAIL, packaged(), gpu=False)
    words = shlex.split(made.line(file).partition("train ")[2])
    assert words == made.words(file)
    options = train.new_parser().parse(words)
    settings = {"dataset": options.dataset, "methods": options.methods} | parse_assignments(options.settings)
    run = Experiment.from_settings(settings)
    assert (run.dataset.store, run.dataset.image_size, run.network.backbone) == (store, 128, LITE0)
    assert run.network.train == "head" and run.dataset.mean == (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Sized(WeightsAtHand):
    """Weights without a file."""

    bytes: int = 0
    fits: bool = True

    @property
    def size(self) -> int:
        """The stated size."""
        return self.bytes

    @property
    def fit(self) -> bool:
        """The stated value."""
        return self.fits


def test_largest_usable_weights_with_a_gpu_and_smallest_without() -> None:
    found = [
        Sized(name, "", Path(name), "", size, fits)
        for name, size, fits in (
            ("a", 1, False),
            ("b", 2, True),
            ("c", 3, True),
            ("d", 4, False),
            ("e", LARGEST + 1, True),
        )
    ]
    assert [one and one.backbone for one in (best_weights(found, gpu=gpu) for gpu in (True, False))] == ["c", "b"]
    assert best_weights(found[:1], gpu=False) is None and best_weights([], gpu=True) is None


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, and no package with weights."""
    monkeypatch.setattr(weights_at_hand, "PACKAGES", {"a_package_that_is_not_there": ("*.pth", LITE0)})
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def test_weights_are_found_in_caches_and_next_to_a_configuration(caches: Path) -> None:
    assert find_weights(caches) == []
    (vision,) = (one for one in family_of("resnet50").published("resnet50").values() if one.name.endswith("V1"))
    hub = caches / "hub" / "models--timm--resnet18.a1_in1k"
    for folder in (vision.keeps, hub):
        folder.mkdir(parents=True)
    (vision.keeps / vision.file).write_bytes(bytes(3))
    (vision.keeps / "another-file.pth").write_bytes(bytes(3))
    (hub / "model.safetensors").write_bytes(bytes(2))
    torch.save(new_backbone("timm/test_resnet").loadable.state_dict(), caches / "mine.pth")
    (caches / "config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    found = {(one.backbone, one.weights): one.fit for one in find_weights(caches)}
    assert found == {
        ("timm/resnet18.a1_in1k", ""): False,  # no file has the network's tensors
        ("resnet50", "IMAGENET1K_V1"): False,
        ("timm/test_resnet", str(caches / "mine.pth")): True,
    }


@pytest.mark.parametrize("content", ["[1]", "no JSON", '{"architecture": "somebodys_own"}', '{"architecture": 3}'])
def test_configuration_of_another_program_is_ignored(caches: Path, content: str) -> None:
    (caches / "config.json").write_text(content)
    (caches / "model.bin").write_bytes(bytes(3))
    assert find_weights(caches) == []


@pytest.mark.parametrize("pretrained", [False, True])
def test_proposed_comparison_is_a_search_with_the_same_network(tmp_path: Path, pretrained: bool) -> None:
    made = proposed(dataset(64), TAIL, packaged() if pretrained else None, gpu=False)
    name, *settings = shlex.split(made.comparison(Path("cifar10-lt")).partition("tune ")[2])
    assert (name, settings[1:]) == (
        "which-method-pretrained" if pretrained else "which-method",
        [*made.settings, *made.of_search],
    )
    assert made.of_search == (("lift.feature_passes=4",) if pretrained else ())
    space = SearchSpace.read(catalog.find(name), parse_assignments(settings) | {"stop.rule": "none"})
    assert space.base.network.backbone == (LITE0 if pretrained else "resnet32")


@pytest.mark.slow
@pytest.mark.ffcv
def test_proposed_command_trains(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open and convert the data set and build the stages, as at the start of `ltray train`."""
    monkeypatch.setenv("LTRAY_DATA", str(caches / "data"))
    monkeypatch.chdir(caches)
    fill(caches / "pets", "cat", "dog")
    torch.save(new_backbone("timm/test_resnet").loadable.state_dict(), "mine.pth")
    Path("config.json").write_text(json.dumps({"architecture": "test_resnet"}))
    done = convert.run("pets")
    assert done.data_set_file
    made = done.next_command()
    assert "backbone=timm/test_resnet" in made.settings
    options = train.new_parser().parse(shlex.split(made.line(done.data_set_file).partition("train ")[2]))
    settings = {"dataset": options.dataset, "methods": options.methods} | parse_assignments(options.settings)
    run = Experiment.from_settings(settings)
    data = run.open_data(torch.device("cpu"), check="convert")
    (stage, *_) = run.stages(data.tail)
    assert data.tail.classes == 2 and next(stage.network.backbone.parameters()).isfinite().all()
    assert os.listdir(caches / "data")
