"""Modules that `train` inserts into a network, and trained parameters: golden vectors of LIFT and LIFT+, properties."""

import copy
import re
from collections.abc import Iterator, Mapping

import numpy as np
import open_clip.transformer
import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer as TimmVit
from torch import Tensor, nn
from torchvision.models import VisionTransformer as TorchvisionVit

from ltray.errors import UsageError
from ltray.network import Backbone
from ltray.parts.backbones import new_backbone
from ltray.parts.fine_tuning import SHARES, TRAIN, default_size, tune
from ltray.parts.openclip_backbones import ImageTower
from ltray.parts.timm_backbones import TimmBackbone
from ltray.parts.torchvision_backbones import VisionTransformer

Arrays = Mapping[str, np.ndarray]


def of(z: Arrays, prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): torch.from_numpy(v).double() for k, v in z.items() if k.startswith(prefix)}


def clip(z: Arrays) -> Backbone:
    tower = open_clip.transformer.VisionTransformer(
        image_size=8, patch_size=4, width=32, layers=2, heads=int(z["clip/config/heads"]), mlp_ratio=4.0,
        output_dim=16, act_layer=open_clip.transformer.QuickGELU,
    )  # fmt: skip
    tower.load_state_dict(of(z, "clip/w/"))
    return ImageTower(tower).double()


def vit(z: Arrays, **changes: float) -> TimmBackbone:
    body = TimmVit(img_size=8, patch_size=4, embed_dim=32, depth=2, num_heads=4, num_classes=0, **changes)
    body.pretrained_cfg = {"fixed_input_size": True, "architecture": "small"}
    body.load_state_dict(of(z, "in21k/w/"))
    return TimmBackbone(body).double()


def torchvision(z: Arrays) -> Backbone:
    new = lambda: TorchvisionVit(image_size=8, patch_size=4, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=128)  # noqa: E731
    backbone = VisionTransformer(new)
    names = {
        "cls_token": "class_token", "pos_embed": "encoder.pos_embedding", "patch_embed.proj": "conv_proj",
        r"blocks\.": "encoder.layers.encoder_layer_", "norm1": "ln_1", "norm2": "ln_2",
        "attn.qkv.": "self_attention.in_proj_", "attn.proj": "self_attention.out_proj",
        "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.3", "^norm": "encoder.ln",
    }  # fmt: skip
    state = {}
    for key, value in of(z, "in21k/w/").items():
        for ours, theirs in names.items():
            key = re.sub(ours, theirs, key)
        state[key] = value
    backbone.body.load_state_dict(state)
    return backbone.double()


BUILD = {"clip": clip, "in21k": vit}
CASES = {
    "adaptformer": "adaptformer",
    "adapter": "adapter",
    "lora": "lora",
    "prompts": "vpt_deep",
    "biases": "bias",
    "norms": "layernorm",
    "last_block": "full_last",
    "head": "none",
}


def ours(theirs: str) -> tuple[str, ...]:
    """Return the parts of ltray's name of an inserted parameter for the authors' name, without its block."""
    last = theirs.rpartition(".")
    if "lora" in theirs:
        down = theirs.endswith(("lora_A", "down"))
        return ("down" if down else "up", "q" if ".q." in theirs else "v")
    if "prompt" in theirs:
        return ("prompts.tokens",)
    if theirs.endswith("scale"):
        return ("scale",)
    part = "norm" if ".ln." in theirs or ".norm." in theirs else "down" if "down" in theirs else "up"
    return (f"{part}.{last[2]}",)


def block_of(name: str) -> int:
    return int(next(part for part in name.replace("encoder_layer_", "").split(".") if part.isdigit()))


def inserted(backbone: Backbone, theirs: str) -> nn.Parameter:
    found = [
        p
        for name, p in backbone.named_parameters()
        if name in backbone.tuned.parameters
        and name.endswith(".".join(ours(theirs)))
        and block_of(name) == block_of(theirs)
    ]
    assert len(found) == 1, (theirs, len(found))
    return found[0]


def outcome(backbone: Backbone, z: Arrays, kind: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x = of(z, f"{kind}/x")[""].requires_grad_()
    head = of(z, f"{kind}/head.weight")[""].requires_grad_()
    feature = backbone(x)
    logits = 25.0 * F.normalize(feature, dim=1) @ F.normalize(head, dim=1).T
    prior = torch.from_numpy(z[f"{kind}/counts"]).double()
    loss = F.cross_entropy(logits + (prior / prior.sum()).log(), torch.from_numpy(z[f"{kind}/labels"]))
    loss.backward()
    return feature, logits, loss, x.grad


def check(backbone: Backbone, z: Arrays, kind: str, case: str, what: str) -> None:
    tune(backbone, what, classes=6, size=3 if what == "prompts" else 4 if what in SHARES else 0)
    backbone.double().eval()
    values = of(z, f"{kind}/{case}/t/")
    with torch.no_grad():
        for theirs, value in values.items():
            own = inserted(backbone, theirs)
            own.copy_(value.view_as(own))
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in backbone.tuned.parameters)
    for expected, got in zip(("feature", "logits", "loss", "grad_x"), outcome(backbone, z, kind), strict=True):
        torch.testing.assert_close(got, of(z, f"{kind}/{case}/{expected}")[""], rtol=1e-9, atol=1e-11)
    grads = of(z, f"{kind}/{case}/grad/")
    for theirs in values:
        own = inserted(backbone, theirs)
        torch.testing.assert_close(own.grad.view_as(grads[theirs]), grads[theirs], rtol=1e-9, atol=1e-11)
    total = sum(p.numel() for p in backbone.parameters() if p.requires_grad)
    assert total == z[f"{kind}/{case}/numel"].sum()


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("what", CASES)
def test_inserted_modules_equal_those_of_lift(golden, kind: str, what: str) -> None:
    z = golden("foundation/lift_vit")
    check(BUILD[kind](z), z, kind, CASES[what], what)


@pytest.mark.parametrize(("what", "case"), [("adaptformer", "adaptformer"), ("prompts", "prompt_deep")])
def test_inserted_modules_equal_those_of_lift_plus(golden, what: str, case: str) -> None:
    z = golden("foundation/lift_plus_vit")
    check(clip(z), z, "clip", case, what)


@pytest.mark.parametrize("what", CASES)
def test_transformer_of_torchvision_is_fine_tuned_like_that_of_timm(golden, what: str) -> None:
    z = golden("foundation/lift_vit")
    check(torchvision(z), z, "in21k", CASES[what], what)


@pytest.mark.parametrize("what", ["adaptformer", "adapter", "lora"])
@pytest.mark.parametrize("name", ["timm/test_vit", "timm/test_efficientnet", "resnet32", "timm/test_convnext"])
def test_inserted_modules_are_neutral_at_the_start_and_copied(name: str, what: str) -> None:
    torch.manual_seed(0)
    backbone = new_backbone(name, 32).eval()
    x = torch.randn(2, 3, 160 if "vit" in name else 32, 160 if "vit" in name else 32)
    before = backbone(x)
    if what == "adaptformer" and "vit" not in name:
        with pytest.raises(UsageError, match="here `train` can be all, head, last_block.*lora, adapter"):
            tune(backbone, what, classes=6)
        return
    tune(backbone, what, classes=6)
    assert torch.equal(backbone(x), before)
    other = copy.deepcopy(backbone)
    with torch.no_grad():
        for name, parameter in other.named_parameters():
            if name in other.tuned.parameters:
                parameter.add_(0.1)
    assert torch.equal(backbone(x), before)
    assert not torch.allclose(other(x), before)


def sizes(z: Arrays) -> Iterator[tuple[str, str, str, int]]:
    for repository, kind in (("lift", "clip"), ("lift_plus", "in21k")):
        ways = {"adaptformer": "adaptformer", "adapter": "adapter", "biases": "bias", "norms": "layernorm"}
        if repository == "lift_plus":
            ways = ways | {"lora": "lora", "prompts": "prompt", "biases": "bitfit"}
            del ways["norms"]
        for what, theirs in ways.items():
            for classes in (100, 365, 1000, 8142):
                yield kind, what, f"{repository}/{kind}/{theirs}/K{classes}", classes


def test_default_sizes_and_trained_parameters_are_those_of_lift_plus(golden) -> None:
    z = golden("foundation/lift_params")
    with torch.device("meta"):
        base = {"clip": new_backbone("openclip/ViT-B-16", 224), "in21k": new_backbone("timm/vit_base_patch16_224")}
        total = {kind: sum(p.numel() for p in one.parameters()) for kind, one in base.items()}
        for kind, what, key, classes in sizes(z):
            backbone = copy.deepcopy(base[kind])
            tune(backbone, what, classes=classes)
            trained = sum(p.numel() for n, p in backbone.named_parameters() if n in backbone.tuned.parameters)
            assert trained == z[f"{key}/total"], key
            if what in SHARES:
                assert default_size(what, classes=classes, blocks=12) == z[f"{key}/size_knob"]
    assert total["in21k"] == 85_798_656


@pytest.mark.parametrize("what", sorted(set(TRAIN) - {"all"}))
@pytest.mark.parametrize("name", ["resnet32", "timm/test_resnet", "timm/test_vit", "timm/test_byobnet"])
def test_every_value_of_train_works_or_is_refused_with_alternatives(name: str, what: str) -> None:
    backbone = new_backbone(name, 160)
    try:
        tune(backbone, what, classes=10)
    except UsageError as error:
        assert "here `train` can be" in str(error)
        assert what in ("adaptformer", "prompts") and "vit" not in name
        return
    trained = {n for n, _ in backbone.named_parameters()} & backbone.tuned.parameters
    assert trained == backbone.tuned.parameters
    assert bool(trained) == (what != "head")
    assert len(trained) < len(list(backbone.parameters()))
