"""What a trial takes of a cluster, and how many fit; no cluster is started."""

import pytest

from ltray.errors import UsageError
from ltray.on_ray import cluster
from ltray.space.search_settings import TrialResources


@pytest.mark.parametrize(
    ("asked", "there", "each", "fit"),
    [
        ({}, {"CPU": 4.0}, {"CPU": 1.0}, 4),
        ({}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 1.0}, 2),
        ({"gpus_per_worker": 0.25}, {"CPU": 64.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 0.25}, 8),
        ({"gpus_per_worker": 0.1}, {"CPU": 64.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 0.1}, 10),
        ({"gpus_per_worker": 0.1, "workers": 3}, {"CPU": 64.0, "GPU": 3.0}, {"CPU": 1.0, "GPU": 0.1}, 10),
        ({"gpus_per_worker": 0}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 1.0}, 8),
        ({"workers": 2, "cpus_per_worker": 3}, {"CPU": 13.0}, {"CPU": 3.0}, 2),
        ({"gpus_per_worker": 2}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 1.0, "GPU": 2.0}, 0),
        ({"gpus_per_worker": 1}, {"CPU": 8.0}, {"CPU": 1.0, "GPU": 1.0}, 0),
    ],
)
def test_as_many_trials_run_at_once_as_fit(monkeypatch, asked, there, each, fit):
    monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: there)
    assert cluster.worker_resources(TrialResources(**asked)) == each
    assert cluster.trials_at_once(TrialResources(**asked)) == fit


@pytest.mark.parametrize("gpus", [1.5, -0.5])
def test_a_share_of_more_than_one_gpu_is_refused(gpus):
    with pytest.raises(UsageError, match="a share of one GPU"):
        TrialResources(gpus_per_worker=gpus)
