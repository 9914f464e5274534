"""A table of a paper: rows, settings of the user, figures beside the published ones, Markdown, LaTeX, CSV."""

import io
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ltray.errors import UsageError
from ltray.on_ray.paper_table import print_table
from ltray.paper_tables.layout import TableLayout
from ltray.paper_tables.markup import escaped_latex, latex, markdown
from ltray.paper_tables.prepared import finished_runs, run_folder
from ltray.paper_tables.result import RowResult, read_results
from ltray.paper_tables.table_file import PaperTable
from ltray.paper_tables.table_files import write_files
from ltray.paper_tables.table_page import page
from ltray.run_folder import RunFolder
from ltray.seal import write_sealed
from tests.paths import ROOT

PAPER = ROOT / "search_spaces" / "paper"
SHORT = {"dataset": "cifar10-lt", "epochs": 2}


def table(stem: str, given: dict[str, Any] | None = None, **how: Any) -> PaperTable:
    return PaperTable.read(PAPER / f"{stem}.yaml", given, **how)


def written(folder: Path, text: str, **how: Any) -> PaperTable:
    file = folder / "mine.yaml"
    file.write_text(f"# python -m ltray.tune mine.yaml\n# Mine.\n{text}")
    return PaperTable.read(file, **how)


def finish(folder: Path, settings: dict[str, Any], accuracy: float) -> Path:
    run = RunFolder(folder)
    run.best.path.mkdir(parents=True)
    metrics = {"test/acc_all": accuracy, "test/acc_many": accuracy + 0.1, "test/mcc": 0.3}
    write_sealed(run.best.evaluation_file, {"metrics": metrics, "selection": {}, "settings": settings})
    return folder


def results(found: PaperTable, folder: Path, accuracies: dict[str, list[float]]) -> list[RowResult]:
    folders = {}
    for row in found.trained:
        if row.label in accuracies:
            runs = enumerate(accuracies[row.label])
            folders[row.name] = {
                seed: finish(folder / f"{row.name}-{seed}", row.settings() | {"seed": seed}, value)
                for seed, value in runs
            }
    return read_results(found.rows, folders)


def printed(layout: TableLayout, width: int = 80) -> str:
    text = io.StringIO()
    Console(file=text, width=width, markup=False).print(layout.terminal("they are in table.md"))
    return text.getvalue()


def test_short_run_of_bcl_table_2_is_not_comparable_and_says_why(tmp_path: Path) -> None:
    found = table("bcl-table2", SHORT)
    assert found.datasets == ["cifar10-lt"]
    layout = TableLayout.of(found.title, results(found, tmp_path, {"LC": [0.3], "LC+SC": [0.2, 0.24]}))
    assert layout.headings == ("row", "ours, %", "published, %", "verdict")
    assert [row[0] for row in layout.rows][:3] == ["LC", "LC+SC", "LC+SC+complement"]
    assert layout.rows[0] == ("LC", "30.0", "50.8", "not comparable [a, b]")
    assert layout.rows[1][1] == "22.0 ± 25.4"
    assert layout.rows[2] == ("LC+SC+complement", "–", "52.3", "not trained")
    assert layout.notes["a"] == "their data set: cifar100-lt, ours: cifar10-lt"
    assert layout.notes["b"] == "their epochs: 400, ours: 2"
    assert "not comparable [a, b]" in printed(layout) and all(len(line) <= 80 for line in printed(layout).splitlines())


def test_complete_runs_get_the_verdict_of_the_published_figure(tmp_path: Path) -> None:
    found = table("bcl-table2")
    figures = {"LC": [0.508, 0.51, 0.506], "LC+SC": [0.6, 0.601, 0.602], "LC+SC+complement": [0.3, 0.301, 0.302]}
    layout = TableLayout.of(found.title, results(found, tmp_path, figures))
    verdicts = [row[-1] for row in layout.rows]
    assert verdicts[0].startswith("within noise (± ") and verdicts[1:3] == ["above", "below"]
    assert layout.rows[3][2] == "52.0"  # as printed, not 52
    assert any(line.startswith("above: ours is significantly higher") for line in layout.legend)


def test_groups_and_other_metrics_stand_beside_the_published_ones_where_the_paper_has_them(tmp_path: Path) -> None:
    found = table("dlsa-table1")
    shown = TableLayout.of(found.title, results(found, tmp_path, {"LWS": [0.5]}))
    column = shown.headings.index("many")
    assert re.fullmatch(r"60\.0 / [\d.]+", shown.rows[0][column]) and "MCC" in shown.headings
    assert "ours" in printed(shown) and "not shown for lack of space" in printed(shown, 60)


def test_figures_that_another_command_measures_stand_as_published() -> None:
    for stem, heading in (("rescom-table1", "ms"), ("rescom-table3", "mCE"), ("paco-table12", "ms")):
        found = table(stem)
        layout = TableLayout.of(found.title, read_results(found.rows, {}))
        column = layout.headings.index(heading)
        assert all(row[column] != "–" for row in layout.rows), stem


def test_rows_of_several_data_sets_and_factors_get_columns_that_distinguish_them() -> None:
    found = table("bcl-table3")
    layout = TableLayout.of(found.title, read_results(found.rows, {}))
    assert layout.headings[:3] == ("row", "data set", "factor")
    assert len({row[:3] for row in layout.rows}) == 60
    assert "not in ltray" in {row[-1].partition(" [")[0] for row in layout.rows}


def test_settings_of_the_user_go_to_the_rows_that_have_them() -> None:
    rows = {row.label: row for row in table("bcl-table4", {"epochs": 3}).trained}
    assert {row.settings()[f"{row.settings()['methods'][0]}.epochs"] for row in rows.values()} == {3}
    ride = table("bcl-table4", {"ride.batch_size": 32})
    assert {row.settings().get("ride.batch_size") for row in ride.trained} == {None, 32}
    scaled = table("bcl-table2", {"epochs": 40}).trained[0].settings()
    assert (scaled["bcl.warmup_epochs"], scaled["bcl.milestones"]) == (1, [36, 38])  # a tenth of the paper's
    own = table("bcl-table2", {"epochs": 40, "milestones": [20, 30]}).trained[0].settings()
    assert (own["bcl.warmup_epochs"], own["bcl.milestones"]) == (1, [20, 30])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochz": 2}, "`epochz` is not a setting. Did you mean `epochs`"),
        ({"search.trials": 2}, "`search.trials` has no effect on a table"),
        ({"methods": ["paco"]}, "`methods` cannot be set for a table"),
        ({"trial.seeds": 2}, "give the number of seeds with --seeds"),
        ({"trial.worker": 2}, "Did you mean `workers`"),
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 2, "bcl.epochs": 3}, "given twice"),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        table("bcl-table2", given)


def test_rows_that_become_the_same_run_are_refused_with_the_remedy() -> None:
    with pytest.raises(UsageError, match="are the same run; choose the rows to train with --rows"):
        table("bcl-table3", {"dataset": "cifar100-lt"})
    chosen = table("bcl-table3", {"dataset": "cifar100-lt"}, patterns=["*cifar100-lt*"])
    assert len(chosen.trained) == 12 and len(chosen.rows) == 60


def test_patterns_choose_rows_by_name_or_label() -> None:
    assert [row.label for row in table("bcl-table2", patterns=["lc", "*bcl*"]).trained][0] == "LC"
    with pytest.raises(UsageError, match="'BBN': no row that can be trained has this name: not in ltray: BBN"):
        table("rescom-table7", patterns=["BBN"])
    with pytest.raises(UsageError, match="'LCC'.*Did you mean `LC`"):
        table("bcl-table2", patterns=["LCC"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("table: bcl-table22\n", "Did you mean `bcl-table2"),
        ("table: 3\n", "must be the name of a table"),
        ("table: bcl-table2\nexplore: {}\n", "`explore` is not a key of a table"),
        ("table: bcl-table2\nmethods: [bcl]\n", "`methods` has no effect without `rows`"),
        ("table: a\nrows: [{name: x}]\n", "mine.yaml:4: `dataset` is missing"),
        ("table: a\ndataset: cifar10-lt\nrows: [{name: x}]\n", "`methods` is missing"),
        ("table: a\ndataset: cifar10-lt\nmethods: [bcl]\nrows: [{bcl.temperature: 1}]\n", "must contain a `name`"),
        ("table: a\ndataset: cifar10-lt\nmethods: [bcl]\nrows: [{name: x, tau: 1}]\n", "`tau` is not a setting"),
        ("table: a\ndataset: cifar10-lt\nmethods: [bcl]\nrows: [{name: x}, {name: X, seed: 1}]\n", "the name `x`"),
        ("table: a\ndataset: cifar10-lt\nmethods: [bcl]\nrows: [{name: x}, {name: y}]\n", "are the same run"),
        ("table: bcl-table2\nfix: {search.trials: 1}\n", "has no effect on a table"),
    ],
)
def test_wrong_files_are_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        written(tmp_path, text)


OWN = """table: mine
dataset: cifar10-lt
rows:
  - {name: a, methods: [bcl]}
  - {name: b, methods: [paco]}
"""


def test_rows_of_ones_own_need_no_published_figure(tmp_path: Path) -> None:
    found = written(tmp_path, OWN)
    layout = TableLayout.of(found.title, results(found, tmp_path, {"a": [0.5]}))
    assert layout.headings == ("row", "ours, %", "state")
    assert layout.rows == (("a", "50.0", "complete"), ("b", "–", "not trained"))


def test_page_of_all_tables_is_current() -> None:
    assert (ROOT / "docs" / "paper-tables.md").read_text(encoding="utf-8") == page()


def test_files_contain_the_table_for_people_and_for_programs(tmp_path: Path) -> None:
    found = table("rescom-table7")
    shown = results(found, tmp_path, {"ResCom": [0.8, 0.82]})
    layout = TableLayout.of(found.title, shown)
    files = write_files(tmp_path, found.name, layout, shown)
    assert [file.suffix for file in files] == [".md", ".tex", ".csv", ".parquet"]
    for frame in (pd.read_csv(files[2]), pd.read_parquet(files[3])):
        assert len(frame) == 29 and frame["name"].tolist() == [row.label for row in found.rows]
        last = frame.iloc[-3]
        assert last["all_mean"] == pytest.approx(0.81) and last["all_published"] == pytest.approx(0.849)
        assert last["runs"] == 2 and last["state"] == "complete" and last["imbalance_factor"] == 100
    lines = [line for line in files[0].read_text().splitlines() if line.startswith("|")]
    assert len(lines) == 31 and len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4), TEXTS)
def test_any_text_is_itself_in_markdown_and_latex(rows: list[tuple[str, str]], note: str) -> None:
    layout = TableLayout("a & b_1", ("row", "verdict"), tuple(rows), {"a": note})
    body = latex(layout, "x")
    lines = body[body.index("\\midrule") : body.index("\\bottomrule")].splitlines()[1:]
    assert len(lines) == len(rows)
    for line in lines:
        assert len(re.findall(r"(?<!\\)&", line)) == 1 and line.endswith("\\\\")
    plain = re.sub(r"\\[{}]", "", body.replace("\\\\", ""))
    assert plain.count("{") == plain.count("}")
    assert not re.search(r"(?<!\\)[%#_^~$&](?![^\n]*\\usepackage)", escaped_latex("%#_^~&" + note).replace("$", ""))
    shown = [line for line in markdown(layout).splitlines() if line.startswith("| ")]
    assert len(shown) == len(rows) + 2
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3 for line in shown)


def test_finished_runs_of_earlier_rows_and_seeds_stay_in_the_table(tmp_path: Path) -> None:
    found = table("bcl-table2", patterns=["LC"])
    other = found.rows[1]
    for seed, value in ((10, 0.2), (2, 0.3)):
        finish(run_folder(tmp_path, other, seed), other.settings() | {"seed": seed}, value)
    run_folder(tmp_path, other, 3).mkdir()  # begun, not finished
    assert list(finished_runs(tmp_path, other)) == [2, 10] and finished_runs(tmp_path, found.rows[0]) == {}
    console = Console(file=io.StringIO(), markup=False)
    print_table(found, [], tmp_path, console)
    frame = pd.read_parquet(RunFolder(tmp_path).paper_table)
    assert frame["runs"].tolist()[:2] == [0, 2] and frame["seeds"][1] == "2, 10"
