"""The verdict on methods: ties, single runs, error rate, independence of the order, and its output."""

import json
import math
import random
from html import unescape

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltray.console import new_console
from ltray.report.sections.answer import answer
from ltray.report.sections.methods import methods
from ltray.results.method_verdict import BEHIND, BEST, NONE, ONE_RUN, ONLY, TIE, TIED, UNKNOWN, Candidate, judge
from ltray.results.next_steps import COMMAND
from ltray.results.run_record import RunRecord
from ltray.results.verdict import print_verdict, verdict_of


def candidate(method, trial, values, image_error=math.nan):
    named = {str(place): value for place, value in enumerate(values)}
    return Candidate(method, str(trial), math.fsum(values) / len(values), named, image_error)


values_of = st.lists(st.integers(0, 100).map(lambda hits: hits / 100), min_size=1, max_size=4)
races = st.lists(st.tuples(st.sampled_from("abc"), values_of), min_size=1, max_size=7)


@settings(deadline=None, max_examples=60)
@given(races, st.randoms(use_true_random=False), st.sampled_from([math.nan, 0.0, 0.02]))
def test_verdict_does_not_depend_on_the_order_of_settings(entries, chance, error):
    candidates = [candidate(method, trial, values, error) for trial, (method, values) in enumerate(entries)]
    found = judge(candidates)
    chance.shuffle(candidates)
    assert judge(candidates) == found
    assert found.leader.score == max(one.score for one in candidates)
    rivals = {rival.best.method for rival in found.rivals}
    assert rivals == {one.method for one in candidates} - {found.leader.method} and len(rivals) == len(found.rivals)
    verdicts = {rival.verdict for rival in found.rivals}
    assert (found.answer == ONLY) == (not rivals)
    assert (found.answer == BEST) == (verdicts == {BEHIND})
    assert (found.answer == TIE) == (TIED in verdicts)
    for rival in found.rivals:
        assert rival.low <= rival.lead <= rival.high and rival.least <= rival.lead
        assert rival.verdict != BEHIND or rival.least > 0
        assert rival.best.score == max(one.score for one in candidates if one.method == rival.best.method)


@given(st.lists(st.sampled_from("abcd"), min_size=2, max_size=8, unique=True), st.data())
def test_one_run_per_method_gives_no_verdict(methods, data):
    entries = [candidate(m, i, [data.draw(st.floats(0, 1))], 0.001) for i, m in enumerate(methods)]
    found = judge(entries)
    assert found.answer == ONE_RUN and {rival.verdict for rival in found.rivals} == {UNKNOWN}


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.integers(2, 4))
@settings(deadline=None)
def test_equal_methods_tie(values, count):
    found = judge([candidate(name, name, values) for name in "abcd"[:count]])
    assert found.answer == TIE and found.leader.method == "a" and {rival.lead for rival in found.rivals} == {0.0}


@given(values=st.lists(st.floats(0.3, 0.5), min_size=2, max_size=5))
@settings(deadline=None)
def test_method_is_not_behind_if_one_setting_is_not(values):
    near = [value - 0.0001 * (-1) ** place for place, value in enumerate(values)]
    found = judge([candidate("a", 0, values, 0.01), candidate("b", 1, near, 0.01), candidate("b", 2, [0.0] * 9, 0.01)])
    assert found.answer == TIE


def test_clear_lead_is_found_only_with_enough_images():
    good, bad = [0.80, 0.82, 0.81], [0.60, 0.61, 0.62]
    few, many = 0.1, 0.005
    assert judge([candidate("a", 0, good), candidate("b", 1, bad)]).answer == BEST
    assert judge([candidate("a", 0, good, many), candidate("b", 1, bad, many)]).answer == BEST
    assert judge([candidate("a", 0, good, few), candidate("b", 1, bad, few)]).answer == TIE
    lead = judge([candidate("a", 0, good, many), candidate("b", 1, bad, many)]).rivals[0]
    assert lead.low < 0.2 < lead.high and 0 < lead.least < 0.2


def test_no_finite_candidates_give_no_verdict():
    assert judge([]).answer == judge([candidate("a", 0, [math.nan])]).answer == NONE


def test_best_of_many_equal_settings_is_rarely_called_better():
    """With equal settings, at most about one search in twenty gives the verdict "best"."""
    chance, wrong = random.Random(3), 0
    for _ in range(200):
        entries = [candidate("ab"[trial % 2], trial, [chance.gauss(0.5, 0.02) for _ in range(3)]) for trial in range(8)]
        wrong += judge(entries).answer == BEST
    assert wrong <= 10


COMMAND_LINE = ["python", "-m", "ltray.tune", "which-method", "dataset=my pets.yaml", "search.trials=4"]


def record_of(tmp_path, rows, *, finalists=None, states=None, protocol="honest", command=COMMAND_LINE):
    """Return the record of a search; a row is a method and its values by seed."""
    trials = [
        {
            "trial": number, "name": "", "paper": False, "reason": "", "epochs": 2, "seconds": 60.0,
            "state": (states or {}).get(number, "complete"), "methods": method,
            "val/acc_all": sum(values) / len(values),
            "val/acc_all_se": 0.001, "by_seed": ", ".join(map(str, values)) if len(values) > 1 else None,
        }
        for number, (method, values) in enumerate(rows)
    ]  # fmt: skip
    names = dict.fromkeys(method for method, _ in rows)
    config = {
        "settings": {"dataset": "pets", "methods": ["a"], "dataset.protocol": protocol},
        "alternatives": {n: {} for n in names},
        "search": {"objectives": ["acc_all"]}, "trials": 4, "finalists": {"best": 2, "seeds": 3}, COMMAND: command,
    }  # fmt: skip
    runs = None if finalists is None else pd.DataFrame(finalists)
    table = pd.DataFrame(trials)
    return RunRecord(tmp_path, config, {}, table, pd.DataFrame(), None, runs, None)


def final(trial, method, seed, val, test):
    return {"trial": trial, "methods": method, "seed": seed, "data_seed": 0, "val/acc_all": val, "test/acc_all": test}


FOUR = [("a", [0.8, 0.82]), ("b", [0.6, 0.61]), ("a", [0.7, 0.7]), ("b, tau_norm", [0.5, 0.52])]


def test_verdict_file_and_sentences_of_a_clear_lead(tmp_path):
    verdict = verdict_of(record_of(tmp_path, FOUR))
    found = json.loads(json.dumps(verdict.as_dict(), allow_nan=False))
    assert found["answer"] == "best" and found["best"]["method"] == "a" and found["compared"] == "search"
    assert found["rivals"][0]["method"] == "b" and found["rivals"][0]["at_least"] > 0
    assert [m["method"] for m in found["methods"]] == ["a", "b", "b, tau_norm"] and found["metric"] == "val/acc_all"
    text = " ".join(found["sentences"])
    assert "Best method: a, 81.0 % accuracy on validation images." in text and "20.5 points ahead of b" in text
    assert "Also behind: [b, tau_norm]" in text and "trained 2 times" in text
    command = found["next"][0]["command"]
    assert command == (
        "python -m ltray.tune which-method 'dataset=my pets.yaml' search.trials=4 finalists.best=3 finalists.seeds=5"
    )
    assert found["next"][-1]["command"].endswith("'dataset=my pets.yaml' search.trials=8")


@given(st.permutations(range(4)))
@settings(deadline=None)
def test_verdict_does_not_depend_on_the_order_of_rows(order):
    record = record_of("", FOUR)
    shuffled = RunRecord("", record.config, {}, record.trials.iloc[list(order)], pd.DataFrame(), None, None, None)
    assert verdict_of(shuffled).as_dict() == verdict_of(record).as_dict()


def test_sentences_of_single_runs_report_no_verdict(tmp_path):
    verdict = verdict_of(record_of(tmp_path, [("a", [0.9]), ("b", [0.2]), ("a", [0.3]), ("b", [0.1])]))
    assert verdict.as_dict()["answer"] == "one run cannot tell" and "one run does not show" in " ".join(
        verdict.sentences
    )
    assert "Best method" not in " ".join(verdict.sentences) and "finalists.best=3" in verdict.steps[0].command
    assert verdict.as_dict()["rivals"][0]["low"] is None


def test_of_equal_methods_the_one_with_the_earliest_trial_leads_as_in_the_search(tmp_path):
    found = judge([candidate("a", 11, [0.9]), candidate("b", 2, [0.9]), candidate("c", 3, [0.9])])
    assert [found.leader.method, *(rival.best.method for rival in found.rivals)] == ["b", "c", "a"]
    verdict = verdict_of(record_of(tmp_path, [("b", [0.9]), ("a", [0.9])]))
    assert "b has the same value as a, but there is only one run" in " ".join(verdict.sentences)


def test_equal_means_of_several_runs_are_called_the_same_value(tmp_path):
    verdict = verdict_of(record_of(tmp_path, [("b", [0.9, 0.8]), ("a", [0.8, 0.9])]))
    assert "a has the same value (95 % interval" in " ".join(verdict.sentences)


def test_finalists_are_ranked_on_validation_images_and_compared_on_test_images(tmp_path):
    runs = [final("0000", "a", s, 0.9, t) for s, t in enumerate((0.7, 0.71, 0.72))]
    runs += [final("0001", "b", s, 0.8, t) for s, t in enumerate((0.71, 0.70, 0.73))]
    verdict = verdict_of(record_of(tmp_path, FOUR, finalists=runs))
    found = verdict.as_dict()
    assert (found["compared"], found["metric"], found["answer"]) == ("new seeds", "test/acc_all", "tie")
    assert found["best"]["method"] == "a", "test images must not select"
    assert "Tie: no significant difference between a and b." in verdict.sentences[0]
    assert "finalists.best=2 finalists.seeds=6" in verdict.steps[0].command


def test_finalists_of_one_method_give_no_method_verdict(tmp_path):
    runs = [final("0000", "a", s, 0.9, 0.7) for s in range(3)]
    assert verdict_of(record_of(tmp_path, FOUR, finalists=runs)).compared == "search"


def test_runs_on_the_same_data_seed_are_one_observation(tmp_path):
    runs = [
        final("0000", "a", s, 0.9, 0.7) | {"data_seed": d} for s in range(3) for d in (1, 2)
    ] + [final("0001", "b", s, 0.8, 0.6) | {"data_seed": d} for s in range(3) for d in (1, 2)]  # fmt: skip
    assert verdict_of(record_of(tmp_path, FOUR, finalists=runs)).as_dict()["best"]["runs"] == 2


def test_methods_without_a_result_are_named_with_the_command_to_continue(tmp_path):
    rows = [("a", [0.8]), ("b", [0.6]), ("c", [0.5])]
    verdict = verdict_of(record_of(tmp_path, rows, states={1: "stopped early", 2: "interrupted"}))
    text = " ".join(verdict.sentences)
    assert verdict.judgement.answer == ONLY and "Only a finished" in text
    assert (
        "Stopped early because other methods were better, and therefore not compared: b." in text
        and "Without a result: c" in text
    )
    assert verdict.steps[0].command == "python -m ltray.tune which-method 'dataset=my pets.yaml' search.trials=4"


def test_values_selected_on_test_images_are_marked(tmp_path):
    record = record_of(tmp_path, FOUR, protocol="paper")
    record = RunRecord(
        tmp_path, record.config, {}, record.trials.rename(columns=lambda n: n.replace("val/", "test/")), pd.DataFrame(),
        None, None, None,
    )  # fmt: skip
    assert "chosen on test images" in verdict_of(record).sentences[-1]


def test_terminal_and_report_show_the_sentences(tmp_path, capsys):
    record = record_of(tmp_path, FOUR)
    verdict = verdict_of(record)
    print_verdict(verdict, new_console())
    printed, page = capsys.readouterr().out, unescape(answer(record).html())
    for sentence in verdict.sentences:
        assert sentence in printed and sentence in page
    assert verdict.steps[0].command in printed and verdict.steps[0].command in page
    assert verdict.methods[0].method in methods(record).html()


def test_search_of_one_method_has_no_verdict(tmp_path):
    record = record_of(tmp_path, FOUR)
    config = {key: value for key, value in record.config.items() if key != "alternatives"}
    assert verdict_of(RunRecord(tmp_path, config, {}, record.trials, pd.DataFrame(), None, None, None)) is None


@pytest.mark.parametrize("command", [None, "x"])
def test_steps_name_the_settings_without_a_recorded_command(tmp_path, command):
    step = verdict_of(record_of(tmp_path, FOUR, command=command)).steps[0]
    assert step.command == "" and "finalists.best=3, finalists.seeds=5" in step.why
