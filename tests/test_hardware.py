"""`auto` settings are determined once, by the device, recorded, and never mixed within a run or a search."""

import io

import pytest
import torch
from rich.console import Console

from ltray import hardware
from ltray.auto_settings import print_determined
from ltray.data.dataset import open_data
from ltray.data.pin import Pin
from ltray.engine.memory_session import MemorySession
from ltray.errors import UsageError
from ltray.experiment import Experiment
from ltray.hardware import EMULATED, NATIVE, automatic, check_bfloat16, fastest_precision, way_of_bfloat16
from ltray.recipe import PRECISIONS, Recipe
from ltray.space.draws import FixedTrial, lowest
from ltray.space.search_space import SearchSpace
from tests import corners

CPU = torch.device("cpu")
RUN = {"dataset": "cifar100-lt", "methods": ["cross_entropy", "crt"]}


@pytest.fixture(params=[True, False], ids=["native", "emulated"])
def native(request, monkeypatch):
    monkeypatch.setattr(hardware, "computes_bfloat16", lambda device: request.param)
    return request.param


def test_choices_of_auto_are_legal_values(native):
    assert fastest_precision(CPU) == ("bfloat16" if native else "float32")
    assert fastest_precision(CPU) in PRECISIONS
    assert Recipe().precision == "float32"  # the papers'; a command gives the same numbers on every machine


def test_native_means_instructions_of_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert way_of_bfloat16(CPU) == EMULATED
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert way_of_bfloat16(CPU) == NATIVE
    assert way_of_bfloat16(torch.device("meta")) == EMULATED


def test_auto_is_a_value_only_of_knobs_that_the_device_determines():
    assert Recipe(precision="auto").undetermined() == ["precision"]
    with pytest.raises(UsageError, match=r"must be one of \['float32', 'bfloat16', 'auto'\], but got 'auot'. Did you"):
        Recipe(precision="auot")
    with pytest.raises(UsageError, match="`schedule` must be one of"):
        Recipe(schedule="auto")


def test_run_gets_one_value_for_all_its_methods_and_keeps_explicit_ones(native):
    value = fastest_precision(CPU)
    experiment = Experiment.from_settings(RUN | {"crt.precision": "auto", "cross_entropy.precision": "auto"})
    assert experiment.undetermined() == {"precision"}
    found = experiment.determined(automatic(experiment.undetermined(), CPU))
    assert [knobs.precision for knobs in found.knobs] == [value, value]
    assert found.settings()["crt.precision"] == value and not found.undetermined()
    mixed = Experiment.from_settings(RUN | {"crt.precision": "auto", "cross_entropy.precision": "bfloat16"})
    assert mixed.determined({"precision": "float32"}).settings()["cross_entropy.precision"] == "bfloat16"


def determined(config, precision="auto"):
    written = io.StringIO()
    console = Console(file=written, width=200)
    experiment = Experiment.from_settings(RUN | {"crt.precision": precision})
    return print_determined([experiment], gpu=False, config=config, console=console), written.getvalue()


def test_command_prints_the_value_and_keeps_that_of_the_first_command(native):
    values, text = determined(None)
    assert values == {"precision": fastest_precision(CPU)}
    assert text.startswith(f"precision={fastest_precision(CPU)} (auto, by the processor of node ")
    assert determined({"auto": {"precision": "float32"}})[0] == {"precision": "float32"}
    assert determined(None, "bfloat16") == ({}, "")
    if native:
        assert determined({"auto": {"precision": "bfloat16"}})[0] == {"precision": "bfloat16"}
    else:
        with pytest.raises(UsageError, match="determined as bfloat16 .auto. where the run began, but the processor"):
            determined({"auto": {"precision": "bfloat16"}})


SPACE = """
dataset: digits-lt
methods: {among: [cross_entropy, focal]}
fix: {precision: auto}
explore: {learning_rate: {from: 0.01, to: 0.1}}
"""
ROWS = """
dataset: digits-lt
methods: [bcl]
rows: [{precision: auto}, {precision: float32, seed: 1}]
"""


def read(tmp_path, text):
    (tmp_path / "space.yaml").write_text(text)
    return SearchSpace.read(tmp_path / "space.yaml")


def test_all_trials_of_a_search_have_the_determined_value(tmp_path):
    space = read(tmp_path, SPACE).determined({"precision": "bfloat16"}).bind(classes=10)
    for alternative in space.alternatives:
        settings = alternative.suggest(FixedTrial(lowest, ()), 10)
        assert {v for k, v in settings.items() if k.endswith(".precision")} == {"bfloat16"}
    recorded = space.as_dict()["alternatives"]
    assert all(own[f"{name}.precision"] == "bfloat16" for name, own in recorded.items())


def test_rows_have_the_determined_value(tmp_path):
    space = read(tmp_path, ROWS).determined({"precision": "bfloat16"}).bind(classes=10)
    found = [space.suggest(FixedTrial(lambda *given, n=n: n, ()))["bcl.precision"] for n in (1, 2)]
    assert found == ["bfloat16", "float32"]


def test_auto_cannot_be_explored(tmp_path):
    text = SPACE.replace("fix: {precision: auto}\n", "").replace("explore: {", "explore: {precision: [auto, float32], ")
    with pytest.raises(UsageError, match=r"space.yaml:4: `precision: auto` is determined once for all trials"):
        read(tmp_path, text)
    own_range = read(tmp_path, text.replace("[auto, float32]", "auto"))
    assert {d.among for d in own_range.dimensions if d.name == "precision"} == {("float32", "bfloat16")}


def test_node_or_machine_with_another_arithmetic_is_refused(monkeypatch, native):
    own, other = (NATIVE, EMULATED) if native else (EMULATED, NATIVE)
    check_bfloat16(CPU, command=own, node="a", recorded=own)
    check_bfloat16(CPU)
    with pytest.raises(UsageError, match=f"is {own} on the processor of node .*, but {other} on node a, where the com"):
        check_bfloat16(CPU, command=other, node="a")
    with pytest.raises(UsageError, match=f"but was {other} where the run began.*precision=float32"):
        check_bfloat16(CPU, recorded=other)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")
    cuda = torch.device("cuda")
    if native:
        check_bfloat16(cuda, command=EMULATED, node="a")  # the command's machine has no GPU
    else:
        with pytest.raises(UsageError, match="Tesla V100 of node .* does not compute bfloat16 natively"):
            check_bfloat16(cuda, command=EMULATED, node="a")


def test_run_records_its_arithmetic_and_continues_only_with_the_same(tmp_path, native, monkeypatch):
    monkeypatch.setattr(
        "ltray.experiment.open_data", lambda of, device, check: open_data(of, device=device, source="memory")
    )
    folder = corners.write(tmp_path / "data", (6, 4))
    settings = corners.settings(folder, ["cross_entropy"], "digits_lt")
    experiment = Experiment.from_settings(settings | {"cross_entropy.precision": "auto"})
    session = MemorySession()
    experiment.train(session, CPU)
    saved = session.resume()
    assert saved.settings["cross_entropy.precision"] == fastest_precision(CPU)
    assert saved.context.get("bfloat16") == (NATIVE if native else None)
    assert Pin("", "").bfloat16 == way_of_bfloat16(CPU)
    monkeypatch.setattr(hardware, "computes_bfloat16", lambda device: not native)
    if native:
        with pytest.raises(UsageError, match="was determined as bfloat16"):
            experiment.train(session, CPU)
        with pytest.raises(UsageError, match="but was native where the run began"):
            Experiment.from_settings(settings | {"cross_entropy.precision": "bfloat16"}).train(session, CPU)
    else:
        experiment.train(session, CPU)  # has ended, in float32
        assert session.resume().settings == saved.settings
