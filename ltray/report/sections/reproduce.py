"""The exact commands that repeat the run, evaluate it and write this page again."""

from collections.abc import Mapping
from typing import Any

import yaml

from ltray.program import called
from ltray.report.section import Section
from ltray.results.next_steps import COMMAND
from ltray.results.paths import shell_word
from ltray.results.run_record import RunRecord
from ltray.settings import plain

NOT_SETTINGS = ("dataset", "methods")


def reproduce(record: RunRecord) -> Section:
    """Return the command of the run with every setting, and the versions and data that it needs."""
    known = record.environment
    values = {
        "command": command_of(record),
        "is_search": record.is_search,
        "report": " ".join([called("report"), shell_word(record.folder)]),
        "commit": str(known.get("commit", "")),
        "digest": str(known.get("data_digest", "")),
    }
    return Section("reproduce", "Reproduce", values)


def command_of(record: RunRecord) -> str:
    """Return the command that was given; for a training run, the command with all its settings; "" if not known."""
    given = record.config.get(COMMAND)
    if isinstance(given, list):
        return " ".join(map(shell_word, given))
    return "" if record.is_search else _training(record.settings)


def _training(settings: Mapping[str, Any]) -> str:
    methods, start = settings["methods"], settings.get("start", "")
    words = ["--methods", *([methods] if isinstance(methods, str) else methods)]
    words += ["--dataset", str(settings["dataset"]), *(["--from", str(start)] if start else [])]
    names = [name for name in settings if name not in (*NOT_SETTINGS, "start", "dataset.name")]
    words += [f"{name}={_value(settings[name])}" for name in names if settings[name] != ""]
    return " ".join([called("train"), *map(shell_word, words)])


def _value(value: Any) -> str:
    """Return a setting as the command line reads it."""
    text: str = yaml.safe_dump(plain(value), default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()
