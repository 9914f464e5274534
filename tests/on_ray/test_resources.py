"""Resources of a trial, and the number of trials that fit into a cluster; no cluster is started."""

from collections import Counter
from contextlib import nullcontext

import pytest

from ltray.errors import UsageError
from ltray.on_ray import cluster
from ltray.space.search_settings import TrialResources
from ltray.study.budget import Budget


def of_nodes(monkeypatch, nodes):
    """Patch Ray to return these nodes and a dead one."""
    dead = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    monkeypatch.setattr(cluster.ray, "nodes", lambda: [dead, *({"Alive": True, "Resources": node} for node in nodes)])
    everything = sum(map(Counter, nodes), Counter())
    monkeypatch.setattr(cluster.ray, "cluster_resources", lambda: dict(everything))


@pytest.mark.parametrize(
    ("requested", "there", "each", "fit"),
    [
        ({}, [{"CPU": 4.0}], {"CPU": 1.0}, 4),
        ({}, [{"CPU": 8.0, "GPU": 2.0}], {"CPU": 1.0, "GPU": 1.0}, 2),
        ({"gpus_per_worker": 0.25}, [{"CPU": 64.0, "GPU": 2.0}], {"CPU": 1.0, "GPU": 0.25}, 8),
        ({"gpus_per_worker": 0.1}, [{"CPU": 64.0, "GPU": 1.0}], {"CPU": 1.0, "GPU": 0.1}, 10),
        ({"gpus_per_worker": 0.1, "workers": 3}, [{"CPU": 64.0, "GPU": 3.0}], {"CPU": 1.0, "GPU": 0.1}, 10),
        ({"gpus_per_worker": 0}, [{"CPU": 8.0, "GPU": 2.0}], {"CPU": 1.0}, 8),
        ({"workers": 2, "cpus_per_worker": 3}, [{"CPU": 13.0}], {"CPU": 3.0}, 2),
        ({"workers": 2, "cpus_per_worker": 3}, [{"CPU": 4.0}, {"CPU": 5.0}, {"CPU": 6.0}], {"CPU": 3.0}, 2),
        ({"gpus_per_worker": 0.4}, [{"CPU": 8.0, "GPU": 1.0}] * 2, {"CPU": 1.0, "GPU": 0.4}, 4),
        ({"gpus_per_worker": 0.4}, [{"CPU": 8.0, "GPU": 2.0}], {"CPU": 1.0, "GPU": 0.4}, 4),
    ],
)
def test_number_of_concurrent_trials_is_the_number_that_fits(monkeypatch, requested, there, each, fit):
    of_nodes(monkeypatch, there)
    assert cluster.worker_resources(TrialResources(**requested)) == each
    assert cluster.concurrent_trials(TrialResources(**requested)) == fit


@pytest.mark.parametrize(
    ("requested", "there", "message"),
    [
        ({"gpus_per_worker": 1}, [{"CPU": 8.0}], r"1 x .*'GPU': 1.*have .*'GPU': 0.0"),
        ({"workers": 3}, [{"CPU": 2.0}], "3 x .*have {'CPU': 2.0}"),
        ({"cpus_per_worker": 8}, [{"CPU": 6.0}, {"CPU": 6.0}], "have {'CPU': 6.0}; {'CPU': 6.0}"),
    ],
)
def test_trial_that_does_not_fit_is_refused(monkeypatch, requested, there, message):
    of_nodes(monkeypatch, there)
    with pytest.raises(UsageError, match=message):
        cluster.concurrent_trials(TrialResources(**requested))


@pytest.mark.parametrize(("there", "refused"), [([{"CPU": 8.0}], True), ([{"CPU": 8.0, "GPU": 1.0}], False)])
def test_gpu_hours_are_refused_without_gpu_trials(monkeypatch, there, refused):
    of_nodes(monkeypatch, there)
    with pytest.raises(UsageError, match="cpuh") if refused else nullcontext():
        cluster.check_budget(Budget.parse("2gpuh"), TrialResources())


@pytest.mark.parametrize("gpus", [1.5, -0.5])
def test_fraction_above_one_gpu_is_refused(gpus):
    with pytest.raises(UsageError, match="a share of one GPU"):
        TrialResources(gpus_per_worker=gpus)
