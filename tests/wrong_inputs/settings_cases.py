"""Wrong values and wrong names of settings, derived from the declarations, wherever a setting can be given."""

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from ltray.data.definition import DatasetDefinition
from ltray.knobs import Knob, Knobs
from ltray.methods import METHODS
from ltray.recipe import Recipe
from ltray.run_settings import RunSettings
from ltray.space.search_settings import Finalists, Search, Stop, TrialResources
from tests.wrong_inputs.case import Case
from tests.wrong_inputs.valid_inputs import FOLDER, SPACE

AREA = "value of a setting"
INVALID_NUMBERS = (
    "x",
    "nan",
    ".nan",
    "inf",
    "-.inf",
    "1e999",
    "true",
    "1_000",
    "010",
    "0x10",
    "1:30",
    "2024-01-01",
    "~",
)
NESTED = ("[1]", "[[1]]", "{a: 1}", "[]")
HUGE = (str(10**30), str(-(10**30)), "9" * 400, str(-(2**63)), "1e308", "-1")
FREE_TEXT = ("[a]", "{a: 1}", "[]", "~")
BLOCKS: dict[str, type[Knobs]] = {"search": Search, "stop": Stop, "trial": TrialResources, "finalists": Finalists}
BUILDERS = sorted(name for name, method in METHODS.items() if not method.needs_network)


def wrong_values(spec: Knob, kind: Any) -> Iterator[str]:
    """Yield values that are wrong for a declaration, as YAML."""
    if kind is bool:
        yield from ("2", "maybe", "0.5", "nan", "~", *NESTED)
    elif kind in (int, float):
        yield from (*INVALID_NUMBERS, *NESTED)
        if kind is int:
            yield from ("1.5", "0.1", "-1.5e-3")
        if spec.low is not None:
            yield from (f"{spec.low - 1:g}", str(-(10**30)), "-" + "9" * 400)
        if spec.high is not None:
            yield from (f"{2 * spec.high + 1:g}", str(10**30), "9" * 400, "1e308")
    elif kind is str and spec.choices:
        yield from ("nonsense", "3", "true", "nan", *NESTED, "'x y'", "x" * 300)
    elif kind is str:
        yield from FREE_TEXT
    else:
        yield from ("{a: 1}", "[[1]]", "[{a: 1}]", "~")
        if kind != tuple[str, ...]:
            yield from ("x", "[x]", "[nan]", "[true]", "[~]", "5", "[010]", "[1e999]")
        if spec.low is not None and kind != tuple[str, ...]:
            yield f"[{spec.low - 1:g}]"


def shown(value: str) -> tuple[str, ...]:
    """Return the parts of a value that a message must contain: a short word, but no value that may be reformatted."""
    plain = value.isalpha() and value not in ("true",)
    return (value,) if plain and len(value) < 80 else ()


def _owned(owner: str, knobs: type[Knobs]) -> list[tuple[str, str, str]]:
    """Return (owner, name, wrong value) of every declaration."""
    types = knobs.types()
    return [
        (owner, name, value)
        for name, spec in knobs.specs().items()
        if name not in ("first_try", "name", "source")
        for value in wrong_values(spec, types[name])
    ]


METHOD_VALUES = [entry for name in BUILDERS for entry in _owned(name, METHODS[name].knobs)]
DATA_VALUES = _owned("dataset", DatasetDefinition)
RUN_VALUES = [entry for entry in _owned("", RunSettings) if entry[1] != "start"]
BLOCK_VALUES = [entry for name, block in BLOCKS.items() for entry in _owned(name, block)]


def train(method: str, *arguments: str, contains: tuple[str, ...], area: str = AREA, **more: Any) -> Case:
    """Return a case with a training run of a method on the digits."""
    return Case(area, "train", ("--methods", method, "--dataset", "digits-lt", *arguments), contains, **more)


def space(extra: str, *arguments: str, contains: tuple[str, ...], method: str = "ldam", area: str = AREA) -> Case:
    """Return a case with a search in its own file, which ends with `extra`."""
    knob = "margin" if method == "ldam" else "weight_decay"
    text = SPACE.replace("ldam.margin: [0.3, 0.5]", f"{method}.{knob}: auto").replace("ldam", method)
    return Case(area, "tune", ("space.yaml", *arguments), contains, (("space.yaml", text + extra),))


def _method_case(entry: tuple[str, str, str], place: str) -> Case:
    method, name, value = entry
    key, contains = f"{method}.{name}", (name, *shown(value))
    line = ("space.yaml:6", *contains)
    if place == "train":
        return train(method, f"{key}={value}", contains=contains)
    if place == "views":
        return Case(AREA, "views", ("digits-lt", method, f"{key}={value}"), contains)
    if place == "tune":
        return space("", f"{key}={value}", contains=contains, method=method)
    if place == "fix":
        return space(f"fix: {{{key}: {value}}}\n", contains=line, method=method)
    if place == "explore":
        text = f"dataset: digits-lt\nmethods: [{method}]\nexplore:\n  {key}: {{among: [{value}]}}\n"
        return Case(AREA, "tune", ("space.yaml",), ("space.yaml:4", name), (("space.yaml", text),))
    text = f"dataset: digits-lt\nmethods: [{method}]\nrows:\n  - {{{key}: {value}}}\n"
    return Case(AREA, "tune", ("space.yaml",), ("space.yaml:4", *contains), (("space.yaml", text),))


def _data_case(entry: tuple[str, str, str], place: str) -> Case:
    _, name, value = entry
    contains = (name, *shown(value))
    if place == "train":
        return train("bcl", f"dataset.{name}={value}", contains=contains)
    if place == "convert":
        return Case(AREA, "convert", ("digits-lt", f"{name}={value}"), contains)
    if place == "folder":
        return Case(AREA, "convert", ("{inputs}/pets", f"{name}={value}"), contains)
    if place == "tune":
        return space("", f"dataset.{name}={value}", contains=contains)
    text = "".join(line for line in FOLDER.splitlines(keepends=True) if not line.startswith(f"{name}:"))
    files = (("mine.yaml", f"{name}: {value}\n{text}"),)
    where = (f"mine.yaml:1: `{name}`" if value in NESTED else "mine.yaml", *contains)
    if place == "views":
        return Case(AREA, "views", ("mine.yaml", "bcl"), where, files)
    if place == "file, train":
        return Case(AREA, "train", ("--methods", "bcl", "--dataset", "mine.yaml"), where, files)
    return Case(AREA, "convert", ("mine.yaml",), where, files)


def _run_case(entry: tuple[str, str, str], place: str) -> Case:
    _, name, value = entry
    contains = (name, *shown(value))
    if place == "train":
        return train("ldam", f"{name}={value}", contains=contains)
    if place == "tune":
        return space("", f"{name}={value}", contains=contains)
    return space(f"fix:\n  {name}: {value}\n", contains=("space.yaml:7", *contains))


def _block_case(entry: tuple[str, str, str], place: str) -> Case:
    block, name, value = entry
    contains = (name, *shown(value))
    if place == "tune":
        return space("", f"{block}.{name}={value}", contains=contains)
    text = SPACE.replace("search: {trials: 2}\n", "")
    text += f"{block}:\n  {name}: {value}\n"
    return Case(AREA, "tune", ("space.yaml",), ("space.yaml:", *contains), (("space.yaml", text),))


@st.composite
def misspelled(draw: st.DrawFn) -> Case:
    """Draw a name with a letter omitted, doubled or replaced."""
    owner, knobs = draw(
        st.sampled_from(
            [("dataset", DatasetDefinition), *BLOCKS.items(), *((name, METHODS[name].knobs) for name in BUILDERS)]
        )
    )
    name = draw(st.sampled_from([name for name in knobs.specs() if len(name) > 4]))
    place = draw(st.integers(1, len(name) - 2))
    how = draw(st.sampled_from(("left out", "doubled", "exchanged")))
    letter = {"left out": "", "doubled": 2 * name[place], "exchanged": "q"}[how]
    typo = name[:place] + letter + name[place + 1 :]
    if typo in knobs.specs():
        typo = f"{name}q"
    key = f"{owner}.{typo}"
    if owner in BLOCKS:
        return space("", f"{key}=1", contains=(typo,), area="name of a setting")
    method = "bcl" if owner == "dataset" else owner
    if draw(st.booleans()):
        return train(method, f"{key}=1", contains=(typo,), area="name of a setting")
    return space(f"fix: {{{key}: 1}}\n", contains=("space.yaml:6", typo), method=method, area="name of a setting")


VALID = {"average_decay": "0.5", "momentum": "0.5", "decay": "0.5", "nesterov": "true", "milestones": "[1]"}
VALID |= {
    "schedule": "cosine",
    "precision": "float32",
    "weight_decay": "0.1",
    "optimizer": "adam",
    "decay_norms": "false",
    **{name: "0" for name in ("drop_path", "label_smoothing", "mixup", "cutmix")},
}


def _twice() -> list[Case]:
    """Return cases with settings given twice, in the wrong place, or without effect."""
    area = "given twice or without effect"
    cases = []
    for method in BUILDERS:
        for name in Recipe.specs():
            value, contains = VALID.get(name, "1"), (f"{method}.{name}", "twice")
            cases.append(train(method, f"{name}={value}", f"{method}.{name}={value}", contains=contains, area=area))
            cases.append(
                space("", f"{name}={value}", f"{method}.{name}={value}", contains=contains, method=method, area=area)
            )
            both = f"fix:\n  {name}: {value}\n  {method}.{name}: {value}\n"
            cases.append(space(both, contains=(*contains, "space.yaml:8"), method=method, area=area))
        cases.append(train(method, "seed=1", "seed=2", contains=("seed", "twice"), area=area))
    for block in BLOCKS:
        for text in ("no", "off", "[]", "''", "0", "false", "x", "[1]", "3.5"):
            body = SPACE.replace("search: {trials: 2}\n", "") + f"{block}: {text}\n"
            contains = ("space.yaml:5", f"`{block}`")
            cases.append(Case(area, "tune", ("space.yaml",), contains, (("space.yaml", body),)))
    for text in ("no", "[]", "''", "0", "false", "x"):
        cases.append(space(f"fix: {text}\n", contains=("space.yaml:6", "`fix`"), area=area))
        body = f"dataset: digits-lt\nmethods: [ldam]\nexplore: {text}\n"
        cases.append(Case(area, "tune", ("space.yaml",), ("space.yaml:3", "explore"), (("space.yaml", body),)))
        body = f"dataset: digits-lt\nmethods: [ldam]\nrows: {text}\n"
        cases.append(Case(area, "tune", ("space.yaml",), ("space.yaml:3", "rows"), (("space.yaml", body),)))
        body = f"dataset: digits-lt\nmethods: {text}\nexplore: auto\n"
        cases.append(Case(area, "tune", ("space.yaml",), ("space.yaml:2",), (("space.yaml", body),)))
        body = f"dataset: digits-lt\nmethods: [ldam]\nexplore:\n  ldam.margin: {text}\n"
        cases.append(Case(area, "tune", ("space.yaml",), ("space.yaml:4",), (("space.yaml", body),)))
    for rule in ("median", "pbt", "none", "asha", "hyperband"):
        for name, spec in Stop.specs().items():
            if spec.needs and rule not in spec.needs[1]:
                value = {"fidelity": "short_runs", "promotion": "continue", "rungs": "[1]"}.get(name, "2")
                if name == "exploit_share":
                    value = "0.3"
                arguments = (f"stop.rule={rule}", f"stop.{name}={value}")
                cases.append(space("", *arguments, contains=(f"stop.{name}", "no effect"), area=area))
                body = SPACE + f"stop: {{rule: {rule}, {name}: {value}}}\n"
                contains = ("space.yaml:6", f"stop.{name}", "no effect")
                cases.append(Case(area, "tune", ("space.yaml",), contains, (("space.yaml", body),)))
    for name in ("seeds", "data_seeds"):
        cases.append(space("", f"finalists.{name}=3", contains=(f"finalists.{name}", "no effect"), area=area))
        cases.append(
            space("", "finalists.best=0", f"finalists.{name}=3", contains=(f"finalists.{name}", "no effect"), area=area)
        )
    cases += [
        space("fix: {methods: [bcl]}\n", contains=("space.yaml:6", "methods"), area=area),
        space("fix: {dataset: cifar10-lt}\n", contains=("space.yaml:6", "dataset"), area=area),
        space("fix: {objective: acc_few}\n", contains=("space.yaml:6", "objective"), area=area),
        space("", "explore.ldam.margin=auto", "ldam.margin=0.5", contains=("ldam.margin", "fixed"), area=area),
        space("", "explore.margin=auto", "explore.ldam.margin=auto", contains=("ldam.margin", "twice"), area=area),
        space("fix: {margin: 0.5}\n", contains=("ldam.margin", "fixed"), area=area),
        train("bcl", "dataset=cifar10-lt", contains=("dataset", "--dataset"), area=area),
        train("bcl", "methods=[bcl]", contains=("methods", "--methods"), area=area),
        train("bcl", "start=x", contains=("start", "--from"), area=area),
        train("bcl", "train=norms", contains=("train", "weights"), area=area),
        train("bcl", "frozen=early_convolutions", contains=("frozen", "train=norms_and_last_block"), area=area),
        train("bcl", "weights=imagenet", contains=("weights", "resnet32"), area=area),
        train("bcl", "profile=cifar", contains=("profile", "cifar"), area=area),
        train("bcl", "dataset.folder=x", contains=("folder", "no effect"), area=area),
        train("bcl", "dataset.longest_side=64", contains=("longest_side", "no effect"), area=area),
        train("bcl", "dataset.jpeg_quality=64", contains=("jpeg_quality", "no effect"), area=area),
        train("bcl", "dataset.train_list=x", contains=("train_list", "no effect"), area=area),
        train("bcl", "dataset.imbalance_shape=3", contains=("imbalance_shape", "no effect"), area=area),
    ]
    for first in BUILDERS[:6]:
        for second in BUILDERS[:6]:
            arguments = ("--methods", first, second, "--dataset", "digits-lt")
            cases.append(Case(area, "train", arguments, (second, "no effect"), ()))
    return cases


def cases() -> st.SearchStrategy[Case]:
    """Return the strategy of all settings cases."""
    methods = st.builds(
        _method_case,
        st.sampled_from(METHOD_VALUES),
        st.sampled_from(("train", "views", "tune", "fix", "explore", "rows")),
    )
    data = st.builds(
        _data_case,
        st.sampled_from(DATA_VALUES),
        st.sampled_from(("train", "convert", "folder", "tune", "views", "file, train", "file")),
    )
    runs = st.builds(_run_case, st.sampled_from(RUN_VALUES), st.sampled_from(("train", "tune", "fix")))
    blocks = st.builds(_block_case, st.sampled_from(BLOCK_VALUES), st.sampled_from(("tune", "file")))
    return st.one_of(methods, data, runs, blocks, misspelled(), st.sampled_from(_twice()))
