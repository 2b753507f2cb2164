"""The Kubernetes manifests fit the schemas, and agree with images, ports and drain times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
OTHERS = ("kustomize.config.k8s.io/", "keda.sh/")
"""Kinds whose schemas Kubernetes itself does not publish."""


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(FOLDER.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path.name, document


@pytest.mark.parametrize(("name", "manifest"), list(manifests()))
def test_a_manifest_fits_the_schema_of_its_kind(name: str, manifest: dict[str, Any]) -> None:
    if manifest["apiVersion"].startswith(OTHERS):
        assert manifest["kind"] in ("Kustomization", "TriggerAuthentication", "ScaledObject"), name
        return
    kubernetes_validate.validate(manifest, "1.34", strict=True)


def test_a_wrong_manifest_is_found() -> None:
    wrong = next(manifest for name, manifest in manifests() if name == "worker.yaml")
    wrong["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.34", strict=True)


def test_every_manifest_is_applied() -> None:
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == files


@pytest.mark.parametrize("service", ["dashboard", "worker"])
def test_pods_run_without_rights_and_as_the_image_is_made(service: str) -> None:
    deployment = yaml.safe_load((FOLDER / f"{service}.yaml").read_text().split("\n---\n")[0])
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    port = {"dashboard": "8000", "worker": "9100"}[service]
    assert container["ports"][0]["containerPort"] == int(port)
    assert f"127.0.0.1:{port}/readyz" in (ROOT / "Dockerfile").read_text()


def test_a_worker_has_its_drain_time_and_thirty_seconds_more() -> None:
    settings = yaml.safe_load((FOLDER / "configmap.yaml").read_text())["data"]
    worker = yaml.safe_load((FOLDER / "worker.yaml").read_text().split("\n---\n")[0])
    grace = worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= int(settings["JOBFLEET_DRAIN_SECONDS"]) + 30


def test_workers_are_never_scaled_below_two_by_settings_that_act_at_zero_only() -> None:
    """KEDA reads ``cooldownPeriod`` only when it scales to zero."""
    [scaled] = [each for _, each in manifests() if each["kind"] == "ScaledObject"]
    assert scaled["spec"]["minReplicaCount"] >= 2
    assert "cooldownPeriod" not in scaled["spec"]
    behavior = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] > 0
