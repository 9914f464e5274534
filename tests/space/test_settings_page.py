"""The page of settings is generated from the declarations and has the standard term of each key."""

import pytest

from ltray.data.definition import DatasetDefinition
from ltray.run_settings import RunSettings
from ltray.space.__main__ import main
from ltray.space.search_settings import Search, Stop
from ltray.space.settings_page import SECTIONS, markdown
from ltray.space.space_file import BLOCKS
from tests.paths import ROOT

WORDS = {
    (Stop, "keep_one_in"): "reduction factor",
    (Stop, "first_rung"): "grace period",
    (Stop, "exploit_every"): "perturbation interval",
    (Stop, "exploit_share"): "quantile fraction",
    (Search, "first_try"): "points to evaluate",
}


def test_python_api_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == capsys.readouterr().out, (
        "run `python -m ltray.space > docs/settings.md`"
    )


def test_settings_page_has_every_section_and_setting() -> None:
    assert [declared for _, declared, _ in SECTIONS] == [DatasetDefinition, RunSettings, *BLOCKS.values()]
    parts = markdown().split("\n## ")[1:]
    for part, (heading, declared, _) in zip(parts, SECTIONS, strict=True):
        assert part.startswith(f"{heading}\n")
        named = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        assert named == list(declared.specs())


@pytest.mark.parametrize(("declared", "name"), WORDS, ids=lambda value: getattr(value, "__name__", value))
def test_standard_term_is_in_help_and_pages(declared: type[Search] | type[Stop], name: str) -> None:
    word = WORDS[declared, name]
    assert word in declared.specs()[name].help
    page = {Stop: "early-stopping.md", Search: "searching.md"}[declared]
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    assert any(name in line and word in line for line in lines), f"{page} names {name} without its usual name"
