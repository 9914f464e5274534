"""The prior of a search follows from the declarations of its knobs."""

from pathlib import Path

import pytest

from ltray.errors import UsageError
from ltray.space.search_space import SearchSpace
from ltray.strategies.prior import Belief
from ltray.study.paper_prior import prior_of
from ltray.tune import _recorded

RANGES = """
dataset: digits-lt
methods: [rescom]
explore:
  rescom.temperature: {from: 0.05, to: 0.5, log: true, prior: strong}
  rescom.learning_rate: {from: 0.1, to: 1.0, log: true}
  rescom.queue_size: {among: [4, 64]}
  rescom.hard_positives: {from: 1, to: 8}
search: {sampler: prior, prior: weak, first_try: none, trials: 40}
stop: {rule: none}
"""


def read(folder: Path, text: str = RANGES, **overrides: object) -> SearchSpace:
    path = folder / "space.yaml"
    path.write_text(text)
    return SearchSpace.read(path, overrides).bind(classes=10, follow=False)


def test_beliefs_are_the_papers_values_in_the_studys_form(tmp_path: Path) -> None:
    space = read(tmp_path)
    papers = space.base.knobs[0].as_dict()
    prior = prior_of(space)
    assert (prior.strength, prior.trials) == ("weak", 40)
    assert prior.beliefs["rescom.temperature"] == Belief(papers["temperature"], "strong")
    assert papers["learning_rate"] == 0.05  # below the range: its nearest end
    assert prior.beliefs["rescom.learning_rate"] == Belief(0.1, "weak")
    assert 0 <= prior.beliefs["rescom.hard_positives (share)"].value <= 0.5
    assert ("rescom.queue_size" in prior.beliefs) == (papers["queue_size"] in (4, 64))


def test_a_choice_of_methods_has_a_belief_for_each_methods_knobs_and_none_for_the_choice(tmp_path: Path) -> None:
    text = "dataset: digits-lt\nmethods: {among: [focal, ldam]}\nexplore: {learning_rate: auto, ldam.margin: auto}\n"
    space = read(tmp_path, text + "search: {sampler: prior}\nstop: {rule: none}\n")
    assert prior_of(space).beliefs.keys() == {"focal.learning_rate", "ldam.learning_rate", "ldam.margin"}


@pytest.mark.parametrize("given", ["strongest", "''", "1", "[weak]", "null"])
def test_another_strength_is_refused_with_its_place(tmp_path: Path, given: str) -> None:
    with pytest.raises(UsageError, match=r"space.yaml:5: .*`prior` must be one of \['weak', 'medium', 'strong'\]"):
        read(tmp_path, RANGES.replace("prior: strong", f"prior: {given}"))


def test_a_strength_without_the_sampler_is_an_error_and_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`search.prior` has no effect"):
        read(tmp_path, **{"search.prior": "strong", "search.sampler": "tpe"})
    assert _recorded(read(tmp_path).search)["prior"] == "weak"
    assert "prior" not in _recorded(read(tmp_path, **{"search.sampler": "tpe"}).search)
