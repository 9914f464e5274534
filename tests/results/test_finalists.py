"""Finalists without Ray: seeds of the runs, dropped finalists, the summary."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

from ltray.errors import UsageError
from ltray.results.finalist_table import (
    meanings,
    render_finalists,
    run_table,
    shift_of,
    spread,
    summary,
    write_finalists,
)
from ltray.results.finalists import Finalist, check_asked, choose, clear_losers, read_run, rounds
from ltray.results.intervals import MEANING, UNJUDGED
from ltray.space.search_settings import Finalists, Stop
from ltray.space.search_space import SearchSpace
from ltray.study.study import PAPER, SETTINGS

GOOD, PAPERS = Finalist("0003", {}, False), Finalist("0000", {}, True)


def evaluation(validation: float, test: float) -> dict:
    return {"selection": {"val/acc_all": validation}, "metrics": {"test/acc_all": test, "test/acc_few": test / 2}}


def results(good: list[float], paper: list[float], *, shift: float = 0.0) -> tuple[dict, list]:
    order = [[(seed, 0)] for seed in range(1, len(good) + 1)]
    cells = [cells[0] for cells in order]
    return {
        "0003": {cell: evaluation(v, v + shift) for cell, v in zip(cells, good, strict=True)},
        "0000": {cell: evaluation(v, v) for cell, v in zip(cells, paper, strict=True)},
    }, order


def test_finalists_use_new_seeds_and_all_combinations():
    one = rounds(Finalists(best=1, seeds=3), seed=7, data_seed=2)
    assert one == [[(8, 2)], [(9, 2)], [(10, 2)]]
    several = rounds(Finalists(best=1, seeds=2, data_seeds=3), seed=7, data_seed=2)
    assert several == [[(8, 3), (9, 3)], [(8, 4), (9, 4)], [(8, 5), (9, 5)]]
    settings = Finalist("0005", {"seed": 7, "bcl.epochs": 3}, False).run_settings((9, 4))
    assert settings == {"seed": 9, "dataset.data_seed": 4, "bcl.epochs": 3}


def test_finalists_setting_without_effect_is_refused():
    assert Finalists().best == 0
    with pytest.raises(UsageError, match=r"`finalists.seeds` has no effect with finalists.best=0"):
        Finalists(seeds=3)


def test_paired_runs_show_a_difference_hidden_in_the_means():
    # The seeds differ by ten points, the settings by one, always in the same direction.
    found, order = results([0.51, 0.611, 0.709, 0.57], [0.50, 0.60, 0.70, 0.56])
    table = summary([GOOD, PAPERS], found, order, protocol="honest")
    best = table.iloc[0]
    assert best["trial"] == "0003" and best["winner"] and best["verdict"] == "better"
    assert 0 < best["difference_least"] < best["difference_mean"] < best["difference_most"]
    assert best["selection_low"] < 0.56 < best["selection_mean"]  # the intervals of the means overlap
    assert list(table["verdict"]) == ["better", ""]
    text = " ".join(str(c) for column in render_finalists(table).columns for c in column.cells)
    assert "better" in text and "0 (paper's setting)" in text


def test_winner_is_chosen_on_validation_images():
    found, order = results([0.71, 0.72, 0.70], [0.60, 0.61, 0.60], shift=-0.3)
    table = summary([GOOD, PAPERS], found, order, protocol="honest")
    assert table.iloc[0]["trial"] == "0003" and table.iloc[0]["winner"]
    assert table.iloc[0]["verdict"] == "worse" and not table.iloc[1]["winner"]


def test_winner_is_chosen_by_the_objective_of_the_search():
    found, order = results([0.71, 0.72, 0.70], [0.60, 0.61, 0.60])
    for own, few in ((found["0003"], 0.1), (found["0000"], 0.2)):
        for evaluated in own.values():
            evaluated["selection"]["val/acc_few"] = evaluated["metrics"]["test/acc_few"] = few
    table = summary([GOOD, PAPERS], found, order, protocol="honest", objective="acc_few")
    assert table["trial"].tolist() == ["0000", "0003"] and table["verdict"][1] == "worse"
    headings = [str(column.header) for column in render_finalists(table).columns]
    assert "validation few" in headings and "test few − paper's setting" in headings


def test_noise_gives_no_difference_found():
    found, order = results([0.60, 0.66, 0.61, 0.65], [0.64, 0.61, 0.65, 0.61])
    assert summary([GOOD, PAPERS], found, order, protocol="honest")["verdict"][0] == ("no difference found")


def test_observations_are_means_per_data_seed():
    order = rounds(Finalists(best=1, seeds=2, data_seeds=2), seed=0, data_seed=0)
    found = {
        key: {cell: evaluation(0.5 + 0.1 * cell[1] + own, 0.5) for cells in order for cell in cells}
        for key, own in (("0003", 0.01), ("0000", 0.0))
    }
    table = summary([GOOD, PAPERS], found, order, protocol="honest")
    # Two observations, 0.6 and 0.7 (+ 0.01): t(0.975, 1) = 12.706 times 0.0707 / sqrt(2).
    assert table["selection_high"][1] - table["selection_mean"][1] == pytest.approx(12.706 * 0.05, rel=1e-3)
    assert table["runs"][0] == 4 and "over 2 data seeds" in str(render_finalists(table).title)


def test_selection_on_the_test_set_is_stated():
    order = [[(seed, 0)] for seed in (1, 2)]
    both = {"selection": {"test/acc_all": 0.5}, "metrics": {"test/acc_all": 0.5}}
    table = summary([PAPERS], {"0000": {(1, 0): both, (2, 0): both}}, order, protocol="paper")
    assert table["selection_mean"][0] == 0.5 and "selected on test" in str(render_finalists(table).title)


def test_clear_loser_is_dropped_only_after_three_rounds():
    found, order = results([0.70, 0.71, 0.69], [0.60, 0.61, 0.60])
    assert clear_losers(found, order, metric="val/acc_all") == ["0000"]
    assert clear_losers(found, order[:2], metric="val/acc_all") == []
    close, _ = results([0.70, 0.71, 0.69], [0.71, 0.69, 0.68])
    assert clear_losers(close, order, metric="val/acc_all") == []


def test_failed_run_is_counted_and_its_pair_excluded(tmp_path: Path):
    found, order = results([0.70, 0.71, 0.69], [0.60, 0.61, 0.60])
    found["0003"][2, 0] = {"failure": "loss/total is not finite"}
    table = summary([GOOD, PAPERS], found, order, protocol="honest").set_index("trial")
    assert table.loc["0003", "failed"] == 1 and table.loc["0003", "runs"] == 2
    assert table.loc["0003", "difference_mean"] == pytest.approx((0.10 + 0.09) / 2)
    assert list(run_table([GOOD, PAPERS], found)["failure"] != "") == [False, True, False, False, False, False]
    (tmp_path / "failure.json").write_text('{"failure": "x"}')
    assert read_run(tmp_path) == {"failure": "x"}  # a failed run counts as finished


SPACE = """
dataset: digits-lt
methods: [cross_entropy]
explore: {cross_entropy.weight_decay: {from: 1.0e-5, to: 1.0e-2, log: true}}
finalists: {best: 2, seeds: 3}
"""


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    (tmp_path / "space.yaml").write_text(SPACE)
    return SearchSpace.read(tmp_path / "space.yaml")


def study_with(space: SearchSpace, values: list[float | None], *, paper: bool) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for number, value in enumerate(values):
        trial = study.ask()
        trial.set_user_attr(SETTINGS, json.dumps({"number": number}))
        if paper and number == 0:
            trial.set_user_attr(PAPER, True)
        state = optuna.trial.TrialState.PRUNED if value is None else None
        study.tell(trial, value, state=state)
    return study


def test_best_complete_trials_and_the_papers_setting_are_chosen(space: SearchSpace):
    chosen = choose(study_with(space, [0.1, 0.5, None, 0.9, 0.7], paper=True), space)
    assert [(one.key, one.paper) for one in chosen] == [("0003", False), ("0004", False), ("0000", True)]


def test_best_of_several_papers_settings_is_the_reference(space: SearchSpace):
    study = optuna.create_study(direction="maximize")
    for method, value in (("bcl", 0.5), ("ldam", 0.4), ("paco", 0.5)):
        attributes = {SETTINGS: json.dumps({"methods": [method, "tau_norm"]}), PAPER: True}
        study.add_trial(optuna.trial.create_trial(value=value, user_attrs=attributes))
    chosen = choose(study, space)
    assert [(one.key, one.paper, one.of_papers) for one in chosen] == [
        ("0002", False, True),
        ("0001", False, True),
        ("0000", True, True),
    ]
    order = [[(seed, 0)] for seed in (1, 2, 3)]
    found = {
        one.key: {cells[0]: evaluation(value + cells[0][0] / 100, value) for cells in order}
        for one, value in zip(chosen, (0.7, 0.3, 0.6), strict=True)
    }
    table = summary(chosen, found, order, protocol="honest")
    assert table["trial"].tolist() == ["0002", "0000", "0001"] and table["methods"][2] == "ldam, tau_norm"
    assert table["verdict"].tolist() == ["better", "", "worse"]
    shown = render_finalists(table)
    assert [str(column.header) for column in shown.columns][-2] == "test − trial 0"
    assert list(shown.columns[0].cells) == ["2 (paper's setting)", "0 (paper's setting)", "1 (paper's setting)"]
    assert list(shown.columns[1].cells) == ["paco, tau_norm", "bcl, tau_norm", "ldam, tau_norm"]


def test_papers_setting_is_a_finalist_without_a_trial(space: SearchSpace):
    chosen = choose(study_with(space, [0.1, 0.5], paper=False), space)
    assert [(one.key, one.paper) for one in chosen] == [("0001", False), ("0000", False), ("paper", True)]
    assert chosen[-1].settings["cross_entropy.weight_decay"] == space.base.knobs[0].weight_decay


def test_data_seeds_without_effect_are_refused(space: SearchSpace, monkeypatch: pytest.MonkeyPatch):
    requested = replace(space, finalists=Finalists(best=1, seeds=2, data_seeds=2))
    digest = SimpleNamespace(digest="same")
    monkeypatch.setattr("ltray.experiment.Experiment.open_data", lambda *_, **__: digest)
    with pytest.raises(UsageError, match="the data seed does not change the images of digits-lt"):
        check_asked(requested)
    check_asked(space)  # one data seed needs no check


def test_finalists_of_a_population_are_refused(space: SearchSpace):
    population = replace(space, stop=Stop(rule="pbt"))
    with pytest.raises(UsageError, match="no single setting to train again"):
        check_asked(population)
    check_asked(replace(population, finalists=Finalists()))


def test_finalists_of_warm_restarts_are_refused(space: SearchSpace):
    chained = replace(space, stop=Stop(fidelity="short_runs", promotion="continue"))
    with pytest.raises(UsageError, match="each finalist is trained in one complete run"):
        check_asked(chained)
    check_asked(replace(chained, finalists=Finalists()))


def test_finalist_tables_and_the_winners_best_run_are_written(space: SearchSpace, tmp_path: Path):
    finalists = [Finalist("0003", {}, False), Finalist("0000", {}, True)]
    assert write_finalists(space, finalists, tmp_path) is None
    for one, base in zip(finalists, (0.7, 0.6), strict=True):
        for seed in (1, 2, 3):
            best = one.folder(tmp_path, (seed, 0)) / "best"
            best.mkdir(parents=True)
            (best / "checkpoint.pt").write_text(f"{one.key} {seed}")
            found = evaluation(base + 0.01 * (seed == 2), base) | {"settings": {}}
            (best / "evaluation.json").write_text(json.dumps(found))
    table = write_finalists(space, finalists, tmp_path, look=2)
    assert table is not None and table["trial"][0] == "0003" and table["test_look"].tolist() == [2, 2]
    assert (tmp_path / "best" / "checkpoint.pt").read_text() == "0003 2"
    kept = json.loads((tmp_path / "best" / "evaluation.json").read_text())
    assert kept["run"] == "finalists/0003-seed2-data0" and kept["test_look"] == 2
    names = {path.name for path in tmp_path.glob("finalist*.*")}
    assert names == {"finalists.parquet", "finalists.csv", "finalist_runs.parquet", "finalist_runs.csv"}


def test_cell_is_in_percent_with_half_the_interval():
    row = {"x_mean": 0.7125, "x_low": 0.7045, "x_high": 0.7205, "d_mean": -0.019, "d_low": -0.036, "d_high": -0.002}
    assert spread(row, "x") == "71.2 ± 0.8"
    assert spread(row, "d", signed=True) == "-1.9 ± 1.7"
    assert spread(row | {"d_mean": 0.019, "d_low": 0.002, "d_high": 0.036}, "d", signed=True) == "+1.9 ± 1.7"
    assert spread(row | {"x_low": -float("inf"), "x_high": float("inf")}, "x") == "71.2"
    assert spread(row | {"x_mean": float("nan")}, "x") == "–"


@pytest.mark.parametrize(
    ("verdict", "mean", "text"),
    [
        ("better", 0.019, "+1.9 (≥ +0.1)"),
        ("worse", -0.019, "-1.9 (≤ +3.7)"),
        ("no difference found", 0.019, "+1.9 ± 1.8"),
        ("", -0.019, "-1.9 ± 1.8"),
    ],
)
def test_difference_is_shown_with_its_one_sided_bound(verdict: str, mean: float, text: str):
    row = {"paper": False, "verdict": verdict, "difference_mean": mean}
    row |= {"difference_low": mean - 0.018, "difference_high": mean + 0.018}
    row |= {"difference_least": 0.001, "difference_most": 0.037}
    assert shift_of(row) == text
    assert shift_of(row | {"paper": True}) == ""


@pytest.mark.parametrize("protocol", ["honest", "paper"])
def test_terminal_shows_differences_to_the_papers_setting_in_points(protocol: str):
    found, order = results([0.70, 0.72, 0.74], [0.60, 0.62, 0.64], shift=0.05)
    for cell in found["0003"]:  # 0003: 77 on test images, 72 on validation images; 0000: 62 on both
        found["0003"][cell]["selection"]["test/acc_all"] = 0.81
        found["0000"][cell]["selection"]["test/acc_all"] = 0.5
    shown = render_finalists(summary([GOOD, PAPERS], found, order, protocol=protocol))
    columns = {str(column.header): list(column.cells) for column in shown.columns}
    selected = "validation" if protocol == "honest" else "selected on test"
    assert list(columns) == ["finalist", "runs", selected, "test all", "test few", "test − paper's setting", ""]
    assert columns["finalist"] == ["3", "0 (paper's setting)"] and columns["runs"] == ["3", "3"]
    means = {name: [cell.partition(" ")[0] for cell in cells] for name, cells in columns.items()}
    assert means[selected] == (["72.0", "62.0"] if protocol == "honest" else ["81.0", "50.0"])
    assert means["test all"] == ["77.0", "62.0"] and means["test few"] == ["38.5", "31.0"]
    assert columns["test − paper's setting"] == ["+15.0 (≥ +15.0)", ""] and columns[""] == ["better", ""]


def test_run_table_has_both_accuracies_as_fractions():
    found, _ = results([0.70, 0.72], [0.60, 0.62], shift=0.05)
    found["0003"][2, 0] = {"failure": "loss is NaN"}
    table = run_table([GOOD, PAPERS], found)
    assert table["val/acc_all"].tolist()[::2] == [0.70, 0.60] and table["test/acc_all"].tolist()[0] == 0.75
    assert table["seed"].tolist() == [1, 2, 1, 2] and table["failure"].tolist() == ["", "loss is NaN", "", ""]


@pytest.mark.parametrize("shared", [0, 1])
def test_fewer_than_two_paired_runs_give_no_verdict(shared: int) -> None:
    found, order = results([0.71, 0.72, 0.73], [0.60, 0.61, 0.62])
    for cell in list(found["0003"])[shared:]:
        found["0003"][cell] = {"failure": "loss is NaN"}
    table = summary([GOOD, PAPERS], found, order, protocol="honest").set_index("trial")
    assert table.loc["0003", "verdict"] == UNJUDGED and "±" not in shift_of(table.reset_index().iloc[-1])
    assert str(render_finalists(table.reset_index()).caption) == f"{UNJUDGED}: {MEANING[UNJUDGED]}"


def test_terminal_explains_each_shown_verdict_and_stopped_finalists() -> None:
    found, order = results([0.71, 0.72, 0.73], [0.60, 0.61, 0.62])
    del found["0003"][next(reversed(found["0003"]))]
    table = summary([GOOD, PAPERS], found, order, protocol="honest")
    assert table["state"].tolist() == ["stopped early, after 2 of 3 runs", "finished"]
    assert list(render_finalists(table).columns[-1].cells)[0] == f"{table['state'][0]}; {table['verdict'][0]}"
    assert meanings(table) == [f"{table['verdict'][0]}: {MEANING[table['verdict'][0]]}"]
