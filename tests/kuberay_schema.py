"""Checks the RayClusters of deploy/kubernetes against KubeRay's own schema, as a strict API server does.

    kubectl get crd rayclusters.ray.io -o json > crd.json
    python -m tests.kuberay_schema crd.json

It is large and not ours to keep, so it comes from a cluster with the operator or from a release, as JSON or YAML.
Left to the API server are its rules in CEL, and the `metadata` of the object itself.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft4Validator, SchemaError, ValidationError

from tests.unit.test_manifests import manifests

USAGE = "Name one file with the CRD: kubectl get crd rayclusters.ray.io -o json > crd.json"


class CrdError(ValueError):
    """The file does not hold the CRD; says why."""


def main(arguments: list[str]) -> int:
    """0 if every RayCluster is right; 1 with a line for each error, or for what is wrong with the file."""
    try:
        crd = read(arguments)
        found = [(ray, errors_of(crd, ray)) for ray in manifests() if ray["kind"] == "RayCluster"]
    except CrdError as error:
        sys.stderr.write(f"kuberay_schema: {error}\n")
        return 1
    for ray, errors in found:
        name = f"RayCluster {ray['metadata']['name']}"
        for error in errors:
            sys.stdout.write(f"{name}: {error}\n")
        if not errors:
            sys.stdout.write(f"{name} is what {ray['apiVersion']} of {arguments[0]} takes.\n")
    return int(any(errors for _, errors in found))


def read(arguments: list[str]) -> Any:
    """What the one file that is named holds."""
    if len(arguments) != 1:
        raise CrdError(USAGE)
    try:
        text = Path(arguments[0]).read_text(encoding="utf-8")
        return json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "neither JSON nor YAML: " + " ".join(str(error).split())
        )
        raise CrdError(f"{arguments[0]} can't be read ({reason}). {USAGE}") from error


def errors_of(crd: Any, manifest: dict[str, Any]) -> list[str]:
    """A line for each field that is unknown, missing or of another type, with its path. CrdError for another CRD."""
    try:
        schema = closed(schema_of(crd, manifest), is_object=True)
        Draft4Validator.check_schema(schema)
    except (AttributeError, KeyError, TypeError, SchemaError) as error:
        raise CrdError(f"It is no CRD that serves {manifest['apiVersion']} ({error!r:.200}). {USAGE}") from error
    return sorted(f"{path_of(error)}: {error.message}" for error in Draft4Validator(schema).iter_errors(manifest))


def schema_of(crd: Any, manifest: dict[str, Any]) -> dict[str, Any]:
    """The schema of the version that the manifest names. KeyError or TypeError where there is none."""
    spec, (group, _, name) = crd["spec"], manifest["apiVersion"].partition("/")
    if (spec["group"], spec["names"]["kind"]) != (group, manifest["kind"]):
        raise CrdError(f"It is the CRD of {spec['names']['kind']} in {spec['group']}. {USAGE}")
    served = {version["name"]: version["schema"] for version in spec["versions"] if version["served"]}
    return dict(served[name]["openAPIV3Schema"])


def closed(schema: dict[str, Any], *, is_object: bool = False) -> dict[str, Any]:
    """The schema with every object closed to fields that it does not list, in the words of JSON Schema.

    `is_object`: of a whole Kubernetes object, whose `apiVersion`, `kind` and `metadata` the API server knows by itself.
    """
    result = in_json_schema(schema)
    fields = {name: closed(field) for name, field in schema.get("properties", {}).items()}
    if is_object or schema.get("x-kubernetes-embedded-resource"):
        fields |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    if fields:
        result["properties"] = fields
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            result[name] = closed(schema[name])
    if schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        result.setdefault("additionalProperties", False)
    return result


def in_json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """One level of it, with what OpenAPI says in words of its own; what has a default is never missing."""
    result = {name: value for name, value in schema.items() if name != "required"}
    required = [name for name in schema.get("required", ()) if "default" not in schema["properties"].get(name, {})]
    if required:  # the fourth draft has no empty list here
        result["required"] = required
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    elif schema.get("nullable"):
        result["type"] = [schema["type"], "null"]
    return result


def path_of(error: ValidationError) -> str:
    """As in spec.workerGroupSpecs[0].replicas."""
    return error.json_path.removeprefix("$.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
