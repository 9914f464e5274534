"""Methods, knobs and other settings as rows and as Markdown, from their declarations."""

from typing import Any

from ltray.following import TrainingSize
from ltray.knobs import AUTO, Above, Knob, Knobs, Needs, OrDotted
from ltray.long_tail import LongTail
from ltray.methods import METHODS
from ltray.network import Network
from ltray.parts.backbones import new_backbone
from ltray.parts.heads import new_classifier
from ltray.stage import BuildContext, Method, Stage

METHOD_HEADINGS = ("method", "paper", "stages", "views of an image", "continues a network")
KNOB_HEADINGS = (
    "knob",
    "symbol",
    "what it does",
    "legal",
    "worth exploring",
    "tried",
    "default",
    "per data set",
    "follows the data unless stated",
)
FIELD_HEADINGS = ("setting", "symbol", "what it does", "legal", "default", "has an effect with")


def method_rows() -> list[tuple[str, ...]]:
    """Return one row per method, under `METHOD_HEADINGS`."""
    rows: list[tuple[str, ...]] = []
    for method in METHODS.values():
        stages = _stages(method)
        views = "; ".join(
            ", ".join(view.name for view in stage.views) if _sees_images(stage) else "–" for stage in stages
        )
        rows.append((method.name, method.paper, str(len(stages)), views, "yes" if method.needs_network else "no"))
    return rows


def knob_rows(method: Method) -> list[tuple[str, ...]]:
    """Return one row per knob that the method takes, under `KNOB_HEADINGS`."""
    rows: list[tuple[str, ...]] = []
    defaults = method.knobs.resolve("default", {}).as_dict()
    for name, spec in method.knobs.specs().items():
        if spec.refused:
            continue
        values = {
            profile: values[name]
            for profile, values in method.knobs.paper_values.items()
            if profile != "default" and name in values and values[name] != defaults[name]
        }
        per_set = ", ".join(f"{profile} {_text(value)}" for profile, value in values.items())
        rows.append(
            (
                name,
                spec.symbol,
                spec.help,
                _legal(spec),
                " … ".join(map(_text, spec.search)) if spec.search and len(spec.search) == 2 else _list(spec.search),
                _list(spec.tried),
                _text(defaults[name]),
                per_set,
                _follows(spec),
            )
        )
    return rows


def field_rows(declared: type[Knobs]) -> list[tuple[str, ...]]:
    """Return one row per setting of a data set, a search or a run, under `FIELD_HEADINGS`."""
    return [
        (f"`{name}`", spec.symbol, spec.help, _legal(spec), _text(getattr(declared, name)), _needed(spec.needs))
        for name, spec in declared.specs().items()
    ]


def markdown() -> str:
    """Return docs/methods.md."""
    parts = [
        "# Methods and their knobs",
        "",
        "Written by `python -m ltray.methods --markdown` from the declarations in `ltray/methods/`.",
        "",
        "The papers' values are for the papers' data sets. On other data, a value that is not stated follows the data",
        "by the rule in the last column; training and the dry run of a search print the changes. A value that is",
        "stated is never changed; if it is not legal, it is an error.",
        "",
        *markdown_table(METHOD_HEADINGS, method_rows()),
    ]
    for method in METHODS.values():
        parts += ["", f"## {method.name}", "", method.paper, "", *markdown_table(KNOB_HEADINGS, knob_rows(method))]
    return "\n".join(parts) + "\n"


def _stages(method: Method) -> list[Stage]:
    tail = LongTail((120, 60, 10, 5))
    knobs = method.knobs.resolve("digits_lt", {}).following(TrainingSize.of(tail), ())

    def network(kind: str) -> Network:
        backbone = new_backbone("resnet32")
        return Network(backbone, new_classifier(kind, width=backbone.width, classes=tail.classes))

    return list(method.stages(knobs, BuildContext(tail, network, network("linear") if method.needs_network else None)))


def _sees_images(stage: Stage) -> bool:
    return stage.source == "images" and stage.recipe.epochs > 0


def _legal(spec: Knob) -> str:
    if spec.choices is not None:
        others = [*["a dotted path"] * spec.dotted, *[f"`{AUTO}`"] * spec.by_device]
        return ", or ".join([_list(spec.choices), *others])
    upper = spec.at_most if isinstance(spec.at_most, str) else "a bound by other knobs" if spec.at_most else None
    ends = [f"≥ {spec.low:.10g}"] if spec.low is not None else []
    ends += [f"≤ {spec.high:.10g}"] if spec.high is not None else []
    return ", ".join(ends + ([f"≤ {upper}"] if upper else []))


def _follows(spec: Knob) -> str:
    rules = [spec.follows.description] if spec.follows else []
    if spec.at_most:
        rules.append(f"at most {f'`{spec.at_most}`' if isinstance(spec.at_most, str) else 'what the classes allow'}")
    return "; ".join(rules)


def _list(values: Any) -> str:
    return ", ".join(map(_text, values or ()))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.8g}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _needed(needs: Needs | None) -> str:
    if needs is None:
        return ""
    other, values = needs
    if isinstance(values, OrDotted):
        return f"`{other}` {_list(values.choices)}, or a dotted path"
    return f"`{other}` " + (f"above {values.limit:g}" if isinstance(values, Above) else _list(values))


def markdown_table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
