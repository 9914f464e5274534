"""End states of trials whose methods have different lengths."""

from ltray.metrics import CHECKPOINT_SCORE, PLANNED_EPOCHS
from ltray.on_ray.scheduler import EPOCHS
from ltray.on_ray.searcher import StudySearch
from ltray.on_ray.shutdown import GracefulStopper
from ltray.space.search_space import SearchSpace
from ltray.study.study import open_study

SPACE = """
dataset: digits-lt
methods: {among: [ldam, [ldam, tau_norm]]}
explore: {learning_rate: auto}
fix: {epochs: 4}
"""


def test_trial_is_complete_only_at_the_end_of_its_own_methods(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    space = SearchSpace.read(path).bind(10)
    study = open_study(tmp_path, space)
    searcher = StudySearch(study, space, metric="val/acc_all", trials=4, stopper=GracefulStopper())
    for trial_id, reached, planned in (("a", 4, 4), ("b", 4, 5), ("c", 5, 5)):
        assert isinstance(searcher.suggest(trial_id), dict)
        result = {EPOCHS: reached, PLANNED_EPOCHS: planned, CHECKPOINT_SCORE: 0.5}
        result |= {"val/acc_all": 0.5, "val/acc_all_best": 0.5}
        searcher.on_trial_complete(trial_id, result)
    assert [trial.state.name for trial in study.get_trials()[:3]] == ["COMPLETE", "PRUNED", "COMPLETE"]
