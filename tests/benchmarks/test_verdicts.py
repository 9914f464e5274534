"""The simulation for docs/protocol.md: it uses the rules of the package, and its page is complete."""

import numpy as np
import pytest

from benchmarks.verdicts import FINALISTS, SCENARIOS, Scenario, called_better, covered, dropped, misjudged
from ltray.published import published
from ltray.published.spreads import MEASURED
from ltray.results.finalist_table import summary
from ltray.results.finalists import Finalist
from ltray.results.intervals import BETTER
from tests.paths import ROOT

PAGE = ROOT / "docs" / "protocol.md"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_simulated_search_is_judged_like_its_table(scenario) -> None:
    runs = scenario.runs(np.random.default_rng(1), 4, 5, [0.0, 3.0, -1.0])
    _, after = called_better(runs)
    for own, verdicts in zip(runs, after, strict=True):
        found = {
            f"{place:02d}": {
                (seed, 0): {"selection": {"val/acc_all": value}, "metrics": {"test/acc_all": value}}
                for seed, value in enumerate(column)
            }
            for place, column in enumerate(own.T.tolist())
        }
        settings = [Finalist(key, {}, key == "00") for key in found]
        order = [[(seed, 0)] for seed in range(5)]
        table = summary(settings, found, order, protocol="honest", objective="acc_all").set_index("trial")
        assert (table.loc[["01", "02", "03"], "verdict"] == BETTER).tolist() == verdicts.tolist()


def test_spreads_and_leads_of_a_scenario_are_the_declared_ones() -> None:
    for scenario in SCENARIOS:
        runs = scenario.runs(np.random.default_rng(2), 20_000, 2, [0.0, 2.0])
        assert np.median(runs, axis=(0, 1)).tolist() == pytest.approx([0.0, 0.0, 2.0], abs=0.06)
        # with variance 1, 68 % of a normal and 82 % of a t with 3 degrees of freedom are within 1
        inside = (np.abs(runs - [0.0, 0.0, 2.0]) < [scenario.reference, 1.0, scenario.every]).mean(axis=(0, 1))
        share = 0.818 if "tails" in scenario.name else 0.683
        assert inside.tolist() == pytest.approx([share] * 3, abs=0.01)


@pytest.mark.parametrize("count", FINALISTS)
def test_five_seeds_find_a_lead_of_two_points_in_most_searches(count: int) -> None:
    runs = SCENARIOS[0].runs(np.random.default_rng(5), 6000, 5, [2.0, *[0.0] * (count - 1)])
    assert called_better(runs)[1][:, 0].mean() > (0.7 if count < 5 else 0.5)


FURTHER = (
    Scenario("every second finalist spreads twice as much", SCENARIOS[0].draw, every=2.0),
    Scenario("every second finalist spreads 5 times as much", SCENARIOS[0].draw, every=5.0),
    Scenario("the papers' setting spreads a third as much", SCENARIOS[0].draw, reference=1 / 3),
    Scenario("heavy tails, every second finalist spreads 3 times as much", SCENARIOS[3].draw, every=3.0),
)


@pytest.mark.parametrize("scenario", [*SCENARIOS, *FURTHER], ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("count", [2, 5, 20])
def test_error_rate_is_at_most_five_percent_in_every_scenario(scenario: Scenario, count: int) -> None:
    for seeds in (2, 3, 5, 10):
        runs = scenario.runs(np.random.default_rng(count), 3000, seeds, [0.0] * count)
        assert called_better(runs)[1].any(axis=1).mean() <= 0.058  # 5 % and two standard errors
        assert covered(runs, np.zeros(count + 1))[1].mean() >= 0.942


@pytest.mark.parametrize(("outliers", "factor"), [(1, 3.0), (2, 3.0), (2, 5.0)])
def test_few_finalists_with_larger_spread_keep_the_error_rate(outliers: int, factor: float) -> None:
    for seeds in (3, 5, 10):
        runs = SCENARIOS[0].runs(np.random.default_rng(6), 3000, seeds, [0.0] * 20)
        runs[:, :, -outliers:] *= factor
        assert called_better(runs)[1].any(axis=1).mean() <= 0.058


def test_former_rules_have_a_higher_error_rate() -> None:
    runs = SCENARIOS[0].runs(np.random.default_rng(3), 400, 5, [0.0] * 10)
    before, after = (found.any(axis=1).mean() for found in called_better(runs))
    assert before > 0.1 > 0.05 >= after
    before, after = (found.mean() for found in covered(runs, np.zeros(11)))
    assert before < 0.9 < 0.95 <= after
    assert (
        dropped(runs[:20], lambda found, *_: [key for key in ("00", "03") if key in found])[:, [0, 3, 4]] == [5, 3, 5]
    ).all()  # never the reference
    before, after = misjudged(np.random.default_rng(4), SCENARIOS[0].draw, 50, searches=300, own=1.0, published=1.0)
    assert before > 60 and after < 9


def test_page_has_every_table_and_the_listed_spreads() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert sum(line.startswith("| ") and "→" in line for line in text.splitlines()) == 4 * len(FINALISTS) * 3 + 16 + 5
    for row in MEASURED:
        line = f"| {row.family} | {row.where} | {row.points:.1f} | {row.ratio:.1f} | {row.freedom} |"
        assert line in text, line
    rows = published()
    own = sum(bool(row.methods) for row in rows)
    missing = len(rows) - own
    sentence = f"Of {len(rows)} published rows, {own} are for methods that ltray has; each of the other {missing} lists"
    assert sentence in " ".join(text.split())
