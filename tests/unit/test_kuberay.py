"""Our RayCluster outside its pod templates, and the program that checks all of it against KubeRay's schema.

FIELDS says in our words what we use of ray.io/v1. It was compared with the reference of KubeRay 1.6.2 ("KubeRay CRD API
reference" in Ray's documentation, generated from the types of that release) and with the operator's Go types after 1.7
(ray-operator/apis/ray/v1/raycluster_types.go): names, types and what must be there are the same in both. Our manifest
was also put through `tests.kuberay_schema` with the CRD itself outside the pod templates, as it was in November 2026
(helm-chart/kuberay-operator/crds/ray.io_rayclusters.yaml at 017710c): nothing was unknown or missing. `authOptions`
with `mode` came with 1.5.1, as its notes say, and wants Ray 2.52 or newer. `rayStartParams` may be left out in these
types, and had to be there before: it is required here, so that every release takes ours.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kuberay_schema import CrdError, errors_of, main
from tests.unit.test_manifests import manifests, pods

TEXT: dict[str, Any] = {"type": "string"}
WHOLE: dict[str, Any] = {"type": "integer", "format": "int32", "minimum": 0}
TEXTS: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}
POD: dict[str, Any] = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
}  # tests/compose/test_5_manifests.py
AUTH: dict[str, Any] = {"type": "object", "properties": {"mode": {**TEXT, "enum": ["disabled", "token"]}}}
HEAD: dict[str, Any] = {
    "type": "object",
    "required": ["rayStartParams", "template"],
    "properties": {"rayStartParams": TEXTS, "template": POD},
}
WORKERS: dict[str, Any] = {
    "type": "object",
    "required": ["groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"],
    "properties": {
        "groupName": TEXT,
        "replicas": {**WHOLE, "default": 0},
        "minReplicas": {**WHOLE, "default": 0},
        "maxReplicas": {**WHOLE, "default": 2147483647},
        "rayStartParams": TEXTS,
        "template": POD,
    },
}
SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["headGroupSpec"],
    "properties": {
        "rayVersion": TEXT,
        "authOptions": AUTH,
        "headGroupSpec": HEAD,
        "workerGroupSpecs": {"type": "array", "items": WORKERS},
    },
}
FIELDS: dict[str, Any] = {
    "spec": {
        "group": "ray.io",
        "names": {"kind": "RayCluster"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC}}},
            },
            {"name": "v1alpha1", "served": False, "schema": {"openAPIV3Schema": {"type": "object"}}},
        ],
    }
}


def ours() -> dict[str, Any]:
    """Our RayCluster, to be changed."""
    return copy.deepcopy(next(manifest for manifest in manifests() if manifest["kind"] == "RayCluster"))


def test_our_raycluster_has_the_fields_that_kuberay_documents_and_no_others() -> None:
    assert errors_of(FIELDS, ours()) == []


def test_its_token_is_one_that_kuberay_and_ray_know() -> None:
    ray = ours()
    assert ray["spec"]["authOptions"] == {"mode": "token"}
    assert tuple(map(int, ray["spec"]["rayVersion"].split("."))) >= (2, 52)
    given = {entry["name"]: entry for entry in pods()["dispatcher"]["env"]}
    made = {"name": ray["metadata"]["name"], "key": "auth_token"}  # the secret that the operator makes
    assert given["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"] == made
    assert given["GRADSUM_RAY_ADDRESS"]["value"] == f"{ray['metadata']['name']}-head-svc:6379"


@pytest.mark.parametrize(
    ("where", "field", "value", "error"),
    [
        ((), "replica", 1, "spec: Additional properties are not allowed ('replica' was unexpected)"),
        (
            ("authOptions",),
            "token",
            "x",
            "spec.authOptions: Additional properties are not allowed ('token' was unexpected)",
        ),
        (("authOptions",), "mode", "tokens", "spec.authOptions.mode: 'tokens' is not one of ['disabled', 'token']"),
        (("workerGroupSpecs", 0), "replicas", "2", "spec.workerGroupSpecs[0].replicas: '2' is not of type 'integer'"),
        (("workerGroupSpecs", 0), "groupName", None, "spec.workerGroupSpecs[0]: 'groupName' is a required property"),
        ((), "headGroupSpec", None, "spec: 'headGroupSpec' is a required property"),
        (
            ("headGroupSpec", "rayStartParams"),
            "num-cpus",
            0,
            "spec.headGroupSpec.rayStartParams['num-cpus']: 0 is not of type 'string'",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_path(where: tuple[Any, ...], field: str, value: object, error: str) -> None:
    ray = ours()
    place = ray["spec"]
    for step in where:
        place = place[step]
    if value is None:
        del place[field]
    else:
        place[field] = value
    assert errors_of(FIELDS, ray) == [error]


def test_what_has_a_default_may_be_left_out_and_a_pod_template_is_not_looked_into() -> None:
    ray = ours()
    del ray["spec"]["workerGroupSpecs"][0]["minReplicas"]
    ray["spec"]["headGroupSpec"]["template"]["anything"] = 1
    assert errors_of(FIELDS, ray) == []


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"x-kubernetes-int-or-string": True}, [1, "1"], [True, 1.5]),
        ({"type": "string", "nullable": True}, ["a", None], [1]),
        ({"type": "string"}, ["a"], [None]),
        ({"type": "object"}, [{}], [{"a": 1}]),
        ({"type": "object", "x-kubernetes-embedded-resource": True}, [{"kind": "Pod"}], [{"a": 1}]),
        ({"type": "array", "items": {"type": "object", "properties": {"a": TEXT}}}, [[{"a": "b"}]], [[{"b": "a"}]]),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True}, [1], [0]),
        ({"type": "object", "required": ["a"], "properties": {"a": {**TEXT, "default": "b"}}}, [{}], [{"a": 1}]),
    ],
)
def test_openapi_is_read_as_the_api_server_reads_it(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    crd = copy.deepcopy(FIELDS)
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] = schema
    for value in right:
        assert errors_of(crd, {**ours(), "spec": value}) == []
    for value in wrong:
        assert errors_of(crd, {**ours(), "spec": value}) != []


def test_another_crd_or_version_is_refused() -> None:
    with pytest.raises(CrdError, match=r"serves ray\.io/v1alpha1"):
        errors_of(FIELDS, {**ours(), "apiVersion": "ray.io/v1alpha1"})
    with pytest.raises(CrdError, match="RayCluster"):
        errors_of(FIELDS, {**ours(), "kind": "RayJob"})
    broken = copy.deepcopy(FIELDS)
    broken["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"] = 3
    for crd in ({}, [], None, {"spec": {**FIELDS["spec"], "versions": None}}, broken):
        with pytest.raises(CrdError, match="It is no CRD that serves"):
            errors_of(crd, ours())


@pytest.mark.parametrize("text", [json.dumps(FIELDS), yaml.safe_dump(FIELDS)])
def test_the_program_says_in_one_line_that_ours_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "crd"
    file.write_text(text)
    assert main([str(file)]) == 0
    assert capsys.readouterr().out == f"RayCluster gradsum-ray is what ray.io/v1 of {file} takes.\n"
    file.write_text(text.replace("rayVersion", "rayVerse"))
    assert main([str(file)]) == 1
    assert "RayCluster gradsum-ray: spec: Additional properties" in capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "{", "a: [", "\0", "text", "3"])
def test_a_file_without_the_crd_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None
) -> None:
    file = tmp_path / "crd"
    if text is not None:
        file.write_text(text)
    assert main([str(file)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("kuberay_schema: ")
    assert said.count("\n") == 1
    assert main([]) == 1
