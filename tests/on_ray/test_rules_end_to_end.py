"""A real search with every stopping rule: killed once, resumed, without repeated work."""

import json
import random
import signal
import time
from collections import defaultdict

import pandas as pd
import pytest

from tests.on_ray import commands

pytestmark = [pytest.mark.ray, pytest.mark.ffcv, pytest.mark.slow]

SPACE = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true}
  rescom.contrastive_weight: {from: 0.1, to: 2.0, log: true}
fix:
  rescom.epochs: 4
  rescom.schedule: cosine
  rescom.batch_size: 16
  dataset.largest_class: 40
  dataset.imbalance_factor: 8
search: {trials: 6, sampler: random}
trial: {cpus_per_worker: 2}
"""
POPULATION = "{rule: pbt, exploit_every: 1, exploit_share: 0.25}"
RULES = {
    "asha": "{rule: asha, first_rung: 1, keep_one_in: 2}",
    "hyperband": "{rule: hyperband, first_rung: 1, keep_one_in: 2}",
    "median": "{rule: median, first_rung: 2}",
    "short_runs": "{rule: asha, fidelity: short_runs, first_rung: 1, keep_one_in: 2}",
    "warm restarts": "{rule: asha, fidelity: short_runs, promotion: continue, first_rung: 1, keep_one_in: 2}",
    "pbt": POPULATION,
    "pbt, two workers": POPULATION,
}
LATER_GENERATION = "at epoch 2:"


def states(folder):
    trials = commands.study_of(folder).get_trials()
    return {trial.number: trial.state.name for trial in trials if trial.intermediate_values}


def reported(folder):
    """Return the training seconds of all reports by trial and epoch, without copied epochs."""
    found = defaultdict(list)
    for path in sorted(folder.glob("trials/[0-9]*/result.json")):
        for line in path.read_text().splitlines():
            result = json.loads(line)
            if "copied_from" not in result:
                found[int(path.parent.name[:4]), result["total_epochs"]].append(result["train/seconds"])
    return found


@pytest.mark.parametrize("rule", RULES)
def test_killed_search_resumes_without_repeated_work(tmp_path, rule):
    path, folder = tmp_path / "small.yaml", tmp_path / "run"
    path.write_text(f"{SPACE}stop: {RULES[rule]}\n")
    arguments = [str(path), "--output", str(folder)]
    trials = 2 if "two" in rule else 6  # a member of two workers takes long to start, and starts in every generation
    if "two" in rule:
        arguments += ["trial.workers=2", "trial.cpus_per_worker=1", "search.trials=2", "stop.exploit_every=2"]
    population = rule.startswith("pbt")
    reached = LATER_GENERATION if population else "trial 2 starts"
    with commands.started("tune", *arguments, data=tmp_path, reached=lambda text: reached in text) as (process, log):
        time.sleep(random.Random(str(tmp_path)).uniform(0.0, 4.0))
        assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGKILL)
        process.wait()
    ended = [number for number, state in states(folder).items() if state != "RUNNING"]
    assert bool(ended) != population  # no member of a population ends before the last generation
    printed = commands.run("tune", *arguments, data=tmp_path)
    assert not [number for number in ended if f"trial {number} starts" in printed], printed
    ends = states(folder)
    assert len(ends) == trials and set(ends.values()) <= {"COMPLETE", "PRUNED"}
    epochs = reported(folder)
    assert all(len(set(seconds)) == 1 for seconds in epochs.values()), epochs  # reported again, but not trained again
    table = pd.read_csv(folder / "results.csv")
    assert sorted(table["trial"]) == sorted(ends) and "test accuracy of trial" in printed
    complete = table[table["state"] == "complete"]["epochs"].unique().tolist()
    assert complete == [7 if "short_runs" in RULES[rule] else 4]
    assert all((number, epoch) in epochs for number in ends for epoch in range(1, 1 + table["epochs"].min()))
    if population:
        assert set(ends.values()) == {"COMPLETE"} and table["copied"].notna().any()
    else:
        assert "PRUNED" in ends.values() or rule == "hyperband"  # its last bracket does not stop trials
