"""The manifests of deploy/kubernetes against the schemas of Kubernetes; of a RayCluster, the pods that it makes."""

from typing import Any

import kubernetes_validate
import pytest

from tests.unit.test_manifests import manifests

VERSION = "1.31"


def checkable(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifest itself, or the pod templates of one whose kind is KubeRay's."""
    if manifest["kind"] != "RayCluster":
        return [manifest]
    groups = (manifest["spec"]["headGroupSpec"], *manifest["spec"]["workerGroupSpecs"])
    return [
        {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "ray"}, "template": group["template"]}
        for group in groups
    ]


@pytest.mark.parametrize("manifest", manifests(), ids=lambda found: f"{found['kind']} {found['metadata']['name']}")
def test_a_manifest_is_what_kubernetes_takes(manifest: dict[str, Any]) -> None:
    for checked in checkable(manifest):
        kubernetes_validate.validate(checked, VERSION, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    deployment = next(manifest for manifest in manifests() if manifest["kind"] == "Deployment")
    broken = {**deployment, "spec": {**deployment["spec"], "replica": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)
