"""The image and the Kubernetes templates, checked with hadolint, the schemas of Kubernetes and those of KubeRay."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import yaml

from tests.paths import ROOT, SCHEMAS
from tests.test_project_files import make_targets

CLUSTER = ROOT / "cluster"
DOCKERFILE = CLUSTER / "Dockerfile"
SHARED, STAYING, JOB = (CLUSTER / "kubernetes" / f"{name}.yaml" for name in ("shared", "ray_cluster", "ray_job"))
PART_OF = {"app.kubernetes.io/part-of": "ltray"}


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def specification(path: Path) -> dict[str, Any]:
    """Return the RayCluster's specification in a template."""
    (content,) = documents(path)
    return dict(content["spec"].get("rayClusterSpec", content["spec"]))


def pod_templates(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every pod template of a template, with the name of its group."""
    (content,) = documents(path)
    if "submitterPodTemplate" in content["spec"]:
        yield "submitter", content["spec"]["submitterPodTemplate"]
    groups = specification(path)
    yield "head", groups["headGroupSpec"]["template"]
    for group in groups["workerGroupSpecs"]:
        yield group["groupName"], group["template"]


def closed(schema: Any) -> Any:
    """Return a schema in which an undeclared field is an error; Kubernetes drops such fields without a message."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        found["additionalProperties"] = False
    return found


def test_hadolint_finds_nothing_in_the_image() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_image_runs_as_an_ordinary_user_on_pinned_packages() -> None:
    text = DOCKERFILE.read_text()
    images = re.findall(r"^FROM (\S+)", text, re.M)
    assert images and all(re.fullmatch(r"python:3\.\d+-slim-\w+", image) for image in images)
    assert text.rindex("\nUSER 1000:1000\n") > text.rindex("\nFROM ")
    assert text.rindex("\nUSER ") > text.rindex("\nRUN ")  # no later step runs as root
    for block in re.findall(r"apt-get install -y --no-install-recommends(.*?)&&", text, re.S):
        packages = block.replace("\\", "").split()
        assert packages and all(re.fullmatch(r"[\w.+-]+=[\w.:*-]+", package) for package in packages)


def test_first_layer_of_the_image_has_what_setup_needs(tmp_path: Path) -> None:
    """`make setup` runs before the code is copied, so that a change of the code does not install everything again."""
    before, _, _ = DOCKERFILE.read_text().partition("RUN make setup")
    for line in re.findall(r"^COPY (.*)$", before, re.M):
        *sources, target = line.split()
        for source in sources:
            copy = tmp_path / (source if target == source else Path(target) / source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            original = ROOT / source
            (shutil.copytree if original.is_dir() else shutil.copy)(original, copy)
    subprocess.run(["make", "-n", "setup"], cwd=tmp_path, check=True, capture_output=True)
    program = "import ltray, sys; sys.path.insert(0, 'tools'); import setup_environment; setup_environment.digest()"
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True)
    project = (tmp_path / "pyproject.toml").read_text()
    for name in re.findall(r'^(?:readme|license-files) = \[?"([^"]+)"', project, re.M):
        assert (tmp_path / name).is_file()
    assert "setup" in make_targets()


@pytest.mark.parametrize("document", documents(SHARED), ids=lambda document: document["kind"])
def test_shared_resources_follow_the_schemas_of_kubernetes(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.34", strict=True)


@pytest.mark.data
@pytest.mark.parametrize(("path", "resource"), [(STAYING, "rayclusters"), (JOB, "rayjobs")], ids=str)
def test_resource_follows_the_schema_of_kuberay(path: Path, resource: str) -> None:
    definition = SCHEMAS / "kuberay" / f"ray.io_{resource}.yaml"
    assert definition.is_file(), f"{definition} is missing: copy KubeRay's custom resource definitions there"
    (content,) = documents(path)
    versions = {one["name"]: one for one in yaml.load(definition.read_text(), yaml.CSafeLoader)["spec"]["versions"]}
    version = versions[content["apiVersion"].removeprefix("ray.io/")]
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}  # checked below, by the schema of a pod template
    jsonschema.validate(content, schema)


@pytest.mark.parametrize("path", [STAYING, JOB], ids=lambda path: path.stem)
def test_pods_follow_the_schema_of_kubernetes_and_have_few_rights(path: Path) -> None:
    for group, template in pod_templates(path):
        document = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": group}, "template": template}
        kubernetes_validate.validate(document, "1.34", strict=True)
        assert template["metadata"]["labels"] == PART_OF, group  # the network policy selects these pods
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, group
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, group
        # Only the head needs the Kubernetes API: its pod contains the autoscaler.
        assert pod.get("automountServiceAccountToken", True) is (group == "head"), group
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), group
        for container in pod["containers"]:
            assert container["image"] == "IMAGE", group
            rights = container["securityContext"]
            assert rights == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, group
            assert container["resources"]["requests"] == container["resources"]["limits"], group


@pytest.mark.parametrize("path", [STAYING, JOB], ids=lambda path: path.stem)
def test_cluster_requires_the_token_and_shares_a_volume(path: Path) -> None:
    cluster = specification(path)
    assert cluster["authOptions"] == {"mode": "token", "secretName": "ltray-token"}
    assert f"create secret generic {cluster['authOptions']['secretName']} " in SHARED.read_text()
    assert cluster["rayVersion"] == ray.__version__
    (claim,) = [one for one in documents(SHARED) if one["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for group, template in pod_templates(path):
        if group == "submitter":
            continue
        (volume,), (container,) = template["spec"]["volumes"], template["spec"]["containers"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        (mount,) = container["volumeMounts"]
        assert mount["name"] == volume["name"]
        (data,) = [one["value"] for one in container["env"] if one["name"] == "LTRAY_DATA"]
        assert Path(data).is_relative_to(mount["mountPath"]), group


@pytest.mark.parametrize("path", [STAYING, JOB], ids=lambda path: path.stem)
def test_autoscaler_starts_with_nodes_for_a_trial(path: Path) -> None:
    """A command plans its trials for the nodes that exist when it starts."""
    cluster = specification(path)
    assert cluster["enableInTreeAutoscaling"] is True
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    (gpu,) = cluster["workerGroupSpecs"]
    assert 1 <= gpu["minReplicas"] <= gpu["replicas"] <= gpu["maxReplicas"]
    assert gpu["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_network_policy_admits_only_the_cluster_and_the_operator() -> None:
    (policy,) = [one["spec"] for one in documents(SHARED) if one["kind"] == "NetworkPolicy"]
    assert policy["podSelector"]["matchLabels"] == PART_OF
    assert policy["policyTypes"] == ["Ingress"]
    own, operator = policy["ingress"]
    assert own == {"from": [{"podSelector": {"matchLabels": PART_OF}}]}
    (source,) = operator["from"]  # one item with both selectors: these pods in that namespace
    assert source.keys() == {"namespaceSelector", "podSelector"}
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]


def test_job_continues_in_the_shared_folder_after_the_loss_of_the_head() -> None:
    (job,) = documents(JOB)
    words = job["spec"]["entrypoint"].split()
    assert words[words.index("--output") + 1].startswith("/shared/")
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert job["spec"]["backoffLimit"] > 0
