"""Weight files of training scripts: tensors that a backbone loads, and tensors that are not loaded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from ltray.errors import UsageError
from ltray.parts.backbones import new_backbone
from ltray.parts.pretrained import load_weights
from ltray.parts.weight_layouts import fit

State = Mapping[str, Tensor]
NAME = "resnet32"


def state(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return dict(new_backbone(NAME).state_dict())


def under(prefix: str, tensors: State) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


HEAD = {"weight": torch.ones(10, 64), "bias": torch.zeros(10)}
QUEUE = {"queue": torch.ones(4, 8), "queue_ptr": torch.zeros(1, dtype=torch.long)}


def moco(own: State) -> dict[str, Any]:
    keys, queries = under("module.encoder_k.", state(1)), under("module.encoder_q.", own)
    heads = under("module.encoder_q.fc.", HEAD) | under("module.linear.", HEAD)
    return {"epoch": 3, "arch": NAME, "state_dict": keys | queries | heads | under("module.", QUEUE)}


LAYOUTS: Mapping[str, tuple[Callable[[State], Any], str]] = {
    "a plain state dictionary": (lambda own: dict(own), ""),
    "with a classifier": (lambda own: dict(own) | under("linear.", HEAD), "linear (2 tensors)"),
    "LDAM-DRW: data parallel, with the optimizer": (
        lambda own: {
            "epoch": 1,
            "state_dict": under("module.", dict(own) | under("linear.", HEAD)),
            "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "extra": torch.ones(3)},
        },
        "linear (2 tensors)",
    ),
    "PaCo, ResCom, DSCL: queries, keys and a queue": (
        moco,
        f"encoder_k ({len(state())} tensors), fc (2 tensors), linear (2 tensors), queue (1 tensor), "
        "queue_ptr (1 tensor)",
    ),
    "BCL: an encoder with two heads": (
        lambda own: {
            "state_dict": under("module.encoder.", own)
            | under("module.head.0.", HEAD)
            | under("module.head_fc.0.", HEAD)
            | under("module.fc.", HEAD)
        },
        "fc (2 tensors), head (2 tensors), head_fc (2 tensors)",
    ),
    "classifier-balancing: features and classifier apart": (
        lambda own: {
            "epoch": 90,
            "best_acc": 0.4,
            "state_dict_best": {"feat_model": under("module.", own), "classifier": under("module.fc.", HEAD)},
        },
        "classifier (2 tensors)",
    ),
    "an average beside the weights": (
        lambda own: {"state_dict": state(1), "state_dict_ema": dict(own)},
        f"state_dict ({len(state())} tensors)",
    ),
    "without counters of batches": (
        lambda own: {name: tensor for name, tensor in own.items() if not name.endswith("num_batches_tracked")},
        "",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_checkpoint_of_a_training_script_is_loaded(tmp_path: Path, layout: str) -> None:
    build, left_over = LAYOUTS[layout]
    own = state()
    torch.save(build(own), tmp_path / "checkpoint.pth.tar")
    torch.manual_seed(5)
    backbone = new_backbone(NAME)
    found = load_weights(backbone, NAME, str(tmp_path / "checkpoint.pth.tar"))
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, own[name]), name
    assert found.left_over_parts() == left_over


def test_safetensors_file_is_loaded_and_a_damaged_one_refused(tmp_path: Path) -> None:
    file, own, backbone = tmp_path / "model.safetensors", state(), new_backbone(NAME)
    save_file(under("backbone.", own), file)
    load_weights(backbone, NAME, str(file))
    assert all(torch.equal(value, own[name]) for name, value in backbone.state_dict().items())
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UsageError, match=r"model.safetensors: not a safetensors file"):
        load_weights(backbone, NAME, str(file))


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3))


WORDS = st.lists(st.sampled_from(["module", "net", "0", "encoder", "model", "state_dict", "x1"]), max_size=4)


@given(
    prefix=WORDS, others=st.lists(st.sampled_from(["queue", "fc.weight", "other.0.weight"]), unique=True, max_size=3)
)
def test_network_is_found_with_any_prefix(prefix: list[str], others: list[str]) -> None:
    torch.manual_seed(0)
    network = small()
    before = "".join(f"{word}." for word in prefix)
    content = under(before, network.state_dict()) | {f"aside.{name}": torch.ones(7) for name in others}
    found = fit(content, network)
    if prefix or not others:
        assert found.is_complete and found.prefix == before
        assert sorted(found.left_over) == sorted(f"aside.{name}" for name in others)
        assert all(torch.equal(found.state[name], value) for name, value in network.state_dict().items())
    else:
        assert not found.missing and len(found.unknown) == len(others)


@given(st.sampled_from([name for name in small().state_dict() if not name.endswith("tracked")]), st.booleans())
def test_missing_and_misshapen_tensors_are_named(name: str, cut: bool) -> None:
    content = under("module.", small().state_dict())
    if cut:
        content[f"module.{name}"] = torch.ones(2, 2, 2)
    else:
        del content[f"module.{name}"]
    found = fit(content, small())
    assert not found.is_complete and list(found.missing) == [name]


def test_file_of_another_network_is_refused_with_names(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "narrow.pt")
    with pytest.raises(
        UsageError, match=r"must fit resnet32_w64, but \d+ tensors are missing or have another shape \("
    ):
        load_weights(new_backbone("resnet32_w64"), "resnet32_w64", str(tmp_path / "narrow.pt"))


def test_two_equally_suitable_networks_are_refused(tmp_path: Path) -> None:
    torch.save(under("first.", state()) | under("second.", state(1)), tmp_path / "two.pt")
    with pytest.raises(UsageError, match=r"two.pt' contains several networks that fit resnet32 \(`second`, `first`\)"):
        load_weights(new_backbone(NAME), NAME, str(tmp_path / "two.pt"))
