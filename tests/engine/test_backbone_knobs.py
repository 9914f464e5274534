"""Learning rates by layer and stochastic depth: by block, only where it trains, exact under resume."""

from typing import Any

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.optim import param_groups_layer_decay
from torch import nn

from ltray.engine.backbone_knobs import apply_drop_path, check_backbone_knobs
from ltray.engine.optimizers import new_optimizer
from ltray.engine.train_step import set_training_mode
from ltray.errors import UsageError
from ltray.methods import METHODS
from ltray.parts.backbones import new_backbone
from ltray.parts.drop_path import DropPath, branches, set_drop_path
from ltray.parts.fine_tuning import Trained
from ltray.parts.layer_scales import layer_scales
from ltray.parts.timm_backbones import TimmBackbone
from ltray.stage import BuildContext, Stage
from ltray.testing import contract
from ltray.testing.knob_contract import KnobTestbed
from ltray.testing.overfit import SIZE, TinyBackbone, textures

LAYERED = ("cross_entropy", "bcl", "moco", "ldam")
DEPTH = ("cross_entropy", "focal", "mixup", "class_balanced")


def stage_of(method: str = "cross_entropy", **knobs: Any) -> Stage:
    testbed = KnobTestbed(METHODS[method], knobs | {"batch_size": 12, "epochs": 3, "milestones": (1, 2)})
    return METHODS[method].stages(testbed.base, BuildContext(textures().tail, testbed.network, None, SIZE))[0]


def rates(stage: Stage) -> dict[str, float]:
    """The factor of the learning rate of every trained parameter, by name."""
    set_training_mode(stage)
    optimizer = new_optimizer(stage)
    assert optimizer is not None
    scales = {p: group.get("lr_scale", 1.0) for group in optimizer.param_groups for p in group["params"]}
    every = {name: scales[p] for name, p in stage.named_parameters() if p.requires_grad}
    assert len(scales) == len(every)  # each once
    return every


@pytest.mark.parametrize("method", LAYERED)
@given(decay=st.floats(0.01, 0.99), norms=st.booleans())
def test_rates_fall_by_the_factor_from_block_to_block(method: str, decay: float, norms: bool) -> None:
    found = rates(stage_of(method, layer_decay=decay, decay_norms=norms))
    for name, scale in found.items():
        layer = 2 if "blocks.1" in name else 1 if "blocks.0" in name else 3
        assert scale == pytest.approx(decay ** (3 - layer)), name
    assert len(set(found.values())) == 3


def test_no_decay_leaves_the_groups_of_the_stage() -> None:
    stage = stage_of()
    set_training_mode(stage)
    optimizer = new_optimizer(stage)
    assert optimizer is not None and len(optimizer.param_groups) == 1 and "lr_scale" not in optimizer.param_groups[0]


class ScaledStage(Stage):
    """A backbone whose group has a rate of its own."""

    def __init__(self, recipe: Any) -> None:
        super().__init__(recipe)
        self.backbone = TinyBackbone()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group at a tenth of the rate."""
        return [{"params": list(self.parameters()), "lr_scale": 0.1, "weight_decay": 0.5}]


def test_a_group_of_the_stage_keeps_its_own_factor_and_settings() -> None:
    stage = ScaledStage(stage_of(layer_decay=0.5).recipe)
    assert set(rates(stage).values()) == {0.05, 0.025}
    optimizer = new_optimizer(stage)
    assert optimizer is not None and {group["weight_decay"] for group in optimizer.param_groups} == {0.5}


@pytest.mark.parametrize("kind", ["vit_tiny_patch16_224", "beit_base_patch16_224"])
def test_the_layers_of_transformers_are_those_of_beit_and_mae(kind: str) -> None:
    body = timm.create_model(kind, num_classes=0, embed_dim=24, depth=3, num_heads=2)
    scales = layer_scales(TimmBackbone(body), 0.5)
    for name, parameter in body.named_parameters():
        block = int(name.split(".")[1]) + 1 if name.startswith("blocks.") else None
        before = name.startswith(("cls_token", "pos_embed", "patch_embed"))
        layer = block or (0 if before else 4)
        assert scales[parameter] == 0.5 ** (4 - layer), name


def test_the_layers_of_a_convolutional_network_rise_with_its_depth() -> None:
    body = timm.create_model("convnext_atto", num_classes=0)
    scales = layer_scales(TimmBackbone(body), 0.5)
    assert {scales[p] for p in body.stem.parameters()} == {min(scales.values())}
    order = [scales[p] for p in body.stages.parameters()]
    assert order == sorted(order) and max(order) == 0.5
    groups = param_groups_layer_decay(body, layer_decay=0.5)
    theirs = [group["lr_scale"] for p in body.stages.parameters() for group in groups if p in set(group["params"])]
    assert theirs == sorted(theirs)  # in groups of blocks


@pytest.mark.parametrize("name", ["resnet32", "resnet50", "vit_b_16", "timm/tf_efficientnet_lite0"])
def test_the_backbones_of_every_family_have_layers(name: str) -> None:
    with torch.device("meta"):
        backbone = new_backbone(name)
    scales = layer_scales(backbone, 0.9)
    assert scales.keys() == set(backbone.parameters()) and len(set(scales.values())) > 8
    assert next(iter(scales.values())) == min(scales.values())


def test_what_is_refused_says_why() -> None:
    frozen = stage_of(layer_decay=0.5, drop_path=0.1)
    frozen.network.backbone.tuned = Trained()
    with pytest.raises(UsageError, match=r"`ldam.layer_decay` has no effect: no block .* trained \(`train`\)"):
        check_backbone_knobs("ldam", [frozen])
    with pytest.raises(UsageError, match="`x.drop_path` has no effect: ResNet32 has no stochastic depth"):
        stage = stage_of(drop_path=0.1)
        stage.network.backbone = new_backbone("resnet32")
        check_backbone_knobs("x", [stage])
    with pytest.raises(UsageError, match="`x.layer_decay` has no effect: Flat has no blocks that are known"):
        stage = stage_of(layer_decay=0.9)
        stage.network.backbone = Flat()
        check_backbone_knobs("x", [stage])
    check_backbone_knobs("x", [stage_of(layer_decay=0.9, drop_path=0.3)])


class Flat(TinyBackbone):
    """A backbone without blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(3, 16, 3))


@pytest.mark.parametrize(
    ("method", "name", "value", "reason"),
    [
        ("bcl", "mixup", 0.5, "takes no soft labels"),
        ("focal", "label_smoothing", 0.1, "takes no soft labels"),
        ("paco", "drop_path", 0.1, "several views"),
        ("ride", "layer_decay", 0.5, "experts are parallel"),
        ("linear_probe", "layer_decay", 0.5, "trains no part of the backbone"),
        ("mixup", "cutmix", 1.0, "this method is mixup"),
        ("tau_norm", "drop_path", 0.1, "nothing is trained"),
    ],
)
def test_a_knob_that_means_nothing_to_a_method_is_refused(method: str, name: str, value: float, reason: str) -> None:
    with pytest.raises(UsageError, match=f"`{name}` has no effect here: .*{reason}.* {name}={value}"):
        METHODS[method].knobs.resolve("default", {name: value})
    spec = METHODS[method].knobs.specs()[name]
    assert METHODS[method].knobs.resolve("default", {name: spec.before}).as_dict()[name] == spec.before


@given(rate=st.floats(0.01, 0.95), seed=st.integers(0, 99))
def test_a_branch_is_left_out_for_some_images_and_scaled_up_for_the_others(rate: float, seed: int) -> None:
    torch.manual_seed(seed)
    branch = torch.rand(64, 3, 2) + 0.5
    found = DropPath(rate)(branch)
    kept = found.flatten(1).abs().sum(dim=1) > 0
    torch.testing.assert_close(found[kept], branch[kept] / (1 - rate))
    assert abs(float(kept.double().mean()) - (1 - rate)) < 0.3
    assert torch.equal(DropPath(rate).eval()(branch), branch)


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "timm/convnext_atto", "timm/tf_efficientnet_lite0"])
def test_rates_rise_evenly_and_change_nothing_else(name: str) -> None:
    with torch.device("meta"):
        backbone = new_backbone(name)
    before = list(backbone.state_dict())
    set_drop_path(backbone, 0.0)
    assert not any(isinstance(module, DropPath) for module in backbone.modules())
    set_drop_path(backbone, 0.4)
    of = [next(m.rate for m in block.children() if isinstance(m, DropPath)) for block in branches(backbone)]
    assert of[0] == 0.0 and of[-1] == pytest.approx(0.4) and len(of) > 5
    steps = [second - first for first, second in zip(of, of[1:], strict=False)]
    assert steps == pytest.approx([0.4 / (len(of) - 1)] * len(steps))
    assert list(backbone.state_dict()) == before
    set_drop_path(backbone, 0.0)
    assert {module.rate for module in backbone.modules() if isinstance(module, DropPath)} == {0.0}


def test_a_second_stage_has_its_own_depth() -> None:
    first, second = stage_of(drop_path=0.5), stage_of()
    second.network = first.network
    apply_drop_path(first)
    assert [m.rate for m in first.modules() if isinstance(m, DropPath)] == [0.0, 0.5]
    apply_drop_path(second)
    assert [m.rate for m in first.modules() if isinstance(m, DropPath)] == [0.0, 0.0]


SMALL = {
    "backbone": "tests.engine.test_backbone_knobs:TinyBackbone",
    "cross_entropy.epochs": 2,
    "cross_entropy.batch_size": 32,
    "cross_entropy.warmup_epochs": 0,
    "methods": ["cross_entropy"],
}
KNOBS = {"layer_decay": 0.5, "drop_path": 0.4, "label_smoothing": 0.1, "mixup": 0.4, "cutmix": 1.0}


@pytest.mark.parametrize("knob", KNOBS)
def test_each_is_exact_under_resume(knob: str) -> None:
    assert contract.check_resume(contract.small_experiment(SMALL | {f"cross_entropy.{knob}": KNOBS[knob]})) == 1


def test_two_workers_with_all_of_them_end_like_one(two_workers: Any) -> None:
    settings = {f"cross_entropy.{name}": value for name, value in KNOBS.items()}
    contract.check_workers(contract.small_experiment(SMALL | settings), two_workers)
