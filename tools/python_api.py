"""Writes docs/python-api.md: what `import ltray` gives, from signatures and docstrings.

`python tools/python_api.py > docs/python-api.md`
"""

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import ltray
from ltray.lazy_names import exported
from ltray.results.classifier import Classifier, Prediction
from ltray.testing import check_method

HEAD = """# Python API

Written by `python tools/python_api.py` from signatures and docstrings; the examples run as tests.

`import ltray` takes a tenth of a second: each name is imported when it is first used. The commands `train`, `tune`,
`convert`, `evaluate`, `predict` and `export` are modules whose function `run` takes the command's arguments as
keywords. `run` returns a result instead of an exit code; `train`, `tune` and the progress of `convert` print what the
command prints. It can be called from a script without `if __name__ == "__main__"`, from a notebook and from a thread;
signal handlers are afterwards as before. In a thread other than the main one, Ctrl-C does not reach a search. Where
ltray has started Ray and Ray's processes end by themselves, the program ends with exit code 1 and a sentence, as a
command does.

```python
# example: train, load, predict
import ltray

run = ltray.train.run(
    dataset="digits-lt",
    methods=["balanced_softmax"],
    settings={"epochs": 2, "dataset.largest_class": 40, "dataset.imbalance_factor": 8},
    output="runs/first",
)
print(run.metrics["test/acc_all"], run.history[["epoch", "val/acc_all"]])

again = ltray.load("runs/first")
model = again.model()
print(model.class_names, again.best["balanced_softmax.epochs"])
```

```python
# example: errors
import ltray

try:
    ltray.train.run(dataset="digits-lt", methods=["balanced_sofmax"])
except ltray.UsageError as error:
    message = str(error)
assert "Did you mean `balanced_softmax`?" in message
```

```python
# example: methods and search spaces
import ltray

knobs = ltray.METHODS["bcl"].knobs
assert knobs.resolve("cifar100_lt", {"temperature": 0.2}).temperature == 0.2
```
"""
FUNCTIONS = {name: ("run",) for name in ("train", "tune", "convert", "evaluate", "predict", "export")} | {
    "tune": ("run", "dry_run")
}
RESULTS = ("ltray.convert:ConvertedData", "ltray.evaluate:Findings", "ltray.predict:Predicted", "ltray.export:Exported")


def main() -> None:
    """Print the page."""
    print(page(), end="")


def page() -> str:
    """Return the page."""
    return HEAD + "\n" + "\n".join(sections())


def sections() -> Iterator[str]:
    """Yield the part of every public name."""
    for name in sorted(exported("ltray"), key=lambda name: (name not in FUNCTIONS, name != "load", name.lower())):
        found = getattr(ltray, name)
        if isinstance(found, ModuleType):
            for function in FUNCTIONS[name]:
                yield section(f"ltray.{name}.{function}", getattr(found, function))
        elif isinstance(found, dict):
            yield f"## ltray.{name}\n\nltray's methods by name, each a `ltray.Method`: {listed(found)}.\n"
        else:
            yield section(f"ltray.{name}", found)
    for path in RESULTS:
        module, _, name = path.partition(":")
        yield section(f"{module}.{name}", getattr(importlib.import_module(module), name))
    yield section("ltray.results.classifier.Classifier", Classifier)
    yield section("ltray.results.classifier.Prediction", Prediction)
    yield section("ltray.testing.check_method", check_method)


def section(title: str, found: Any) -> str:
    """Return the part of a function or class: signature, docstring, public methods and properties."""
    signature = shown_signature(found)
    code = f"```\n{title.rpartition('.')[2]}{signature}\n```\n\n" if signature else ""
    parts = [f"## {title}\n\n{code}{documented(found)}\n"]
    for name, member in vars(found).items() if inspect.isclass(found) else ():
        inner = getattr(member, "__func__", getattr(member, "fget", getattr(member, "func", member)))
        if not name.startswith("_") and inspect.isfunction(inner) and inner.__doc__:
            called = shown_signature(inner) if inspect.isfunction(getattr(member, "__func__", member)) else ""
            parts.append(f"### {title.rpartition('.')[2]}.{name}\n\n```\n{name}{called}\n```\n\n{documented(inner)}\n")
    return "\n".join(parts)


def shown_signature(found: Any) -> str:
    """Return a signature in short names; "" where a class has none of its own."""
    try:
        text = str(inspect.signature(found))
    except ValueError:
        return ""
    if inspect.isclass(found) and issubclass(found, Exception):
        return ""
    text = re.sub(
        r"(?:collections\.abc|pathlib(?:\._local)?|typing|os|ltray(?:\.\w+)+|torch|numpy|pandas(?:\.\w+)*)\.(?=\w)",
        "",
        text,
    )
    text = re.sub(r"<factory>|<function [^>]*>|<object object[^>]*>", "…", text)
    return text if len(text) < 100 else re.sub(r", (?=\*|\w+:)", ",\n    ", text).replace("(", "(\n    ", 1)


def documented(found: Any) -> str:
    """Return a docstring as Markdown: its sections as lists."""
    lines, items = [], False
    for line in (inspect.getdoc(found) or "").splitlines():
        heading = re.fullmatch(r"(Args|Attributes|Returns|Raises|Yields):", line)
        item = re.match(r"    (\w+): (.*)", line)
        if heading:
            items = True
            lines += [f"**{heading[1]}**", ""] if heading[1] != "Args" else ["**Arguments**", ""]
        elif items and item:
            lines.append(f"* `{item[1]}`: {item[2]}")
        elif items and line.startswith("    "):
            lines.append(f"  {line.strip()}" if lines and lines[-1].startswith(("*", "  ")) else line.strip())
        else:
            items = items and not line
            lines.append(line)
    return "\n".join(lines)


def listed(names: Any) -> str:
    """Return names in backquotes."""
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    main()
