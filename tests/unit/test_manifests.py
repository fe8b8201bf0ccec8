"""What runs on Kubernetes is what docker compose runs: the same image, commands and settings."""

from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
MANIFESTS = PROJECT / "deploy" / "kubernetes"
IMAGE = "gradsum:0.1.0"
ELSEWHERE = {  # a setting of compose, and what gives the same on Kubernetes: None where it is KubeRay's or not needed
    "PGPASSFILE": "PGPASSWORD",
    "POSTGRES_PASSWORD_FILE": "POSTGRES_PASSWORD",
    "GRADSUM_DATABASE_PASSWORD_FILE": "GRADSUM_DATABASE_PASSWORD",
    "MLFLOW_DATABASE_PASSWORD_FILE": "MLFLOW_DATABASE_PASSWORD",
    "MLFLOW_TRACKING_PASSWORD_FILE": "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_AUTH_ADMIN_PASSWORD_FILE": "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY_FILE": "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "RAY_AUTH_TOKEN_PATH": "RAY_AUTH_TOKEN",
}
STORAGE = {  # of .env with compose, and of the secret `gradsum-storage` on Kubernetes, where the storage is in S3
    "GRADSUM_STORAGE_S3_ENDPOINT",
    "GRADSUM_STORAGE_S3_REGION",
    "GRADSUM_STORAGE_S3_ACCESS_KEY_ID",
    "GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY",
    "GRADSUM_STORAGE_CACHE_BYTES",
}
STORES = ("api", "dispatcher", "tracker", "ray-worker")


def compose() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
    return services


def manifests() -> list[dict[str, Any]]:
    return [document for file in sorted(MANIFESTS.glob("*.yaml")) for document in yaml.safe_load_all(file.read_text())]


def pods() -> dict[str, dict[str, Any]]:
    """The containers of all manifests, by name."""
    templates = [manifest["spec"]["template"] for manifest in manifests() if "template" in manifest.get("spec", {})]
    ray = next(manifest["spec"] for manifest in manifests() if manifest["kind"] == "RayCluster")
    templates += [group["template"] for group in (ray["headGroupSpec"], *ray["workerGroupSpecs"])]
    return {
        container["name"]: container
        for template in templates
        for container in (*template["spec"].get("initContainers", []), *template["spec"]["containers"])
    }


def settings_of(container: dict[str, Any]) -> set[str]:
    config = next(manifest["data"] for manifest in manifests() if manifest["kind"] == "ConfigMap")
    return {entry["name"] for entry in container.get("env", [])} | (set(config) if "envFrom" in container else set())


def test_every_service_of_compose_runs_on_kubernetes_too() -> None:
    assert set(pods()) == set(compose()) - {"secrets", "storage-check"}


@pytest.mark.parametrize("name", ["api", "dispatcher", "tracker", "roles", "migrate", "mlflow", "postgres"])
def test_image_command_and_settings_are_those_of_compose(name: str) -> None:
    container, service = pods()[name], compose()[name]
    assert container["image"] == service["image"].replace("${GRADSUM_IMAGE:-gradsum:0.1.0}", IMAGE)
    assert container.get("args") == service.get("command")
    assert container.get("command", []) == [part.replace("$$", "$") for part in service.get("entrypoint", [])]
    given = {name for name, value in service["environment"].items() if value is not None}  # the rest is for .env
    wanted = {name for name in given if not name.startswith("AWS_")} - {"GRADSUM_IMPORT_ROOTS"}
    assert {ELSEWHERE.get(name, name) for name in wanted} <= settings_of(container)


@pytest.mark.parametrize("name", [name for name, service in compose().items() if "healthcheck" in service])
def test_health_is_asked_for_as_it_is_with_compose(name: str) -> None:
    probe, check = pods()[name]["readinessProbe"], compose()[name]["healthcheck"]
    assert command_of(probe, pods()[name]) == check["test"][1:]
    assert (f"{probe['periodSeconds']}s", f"{probe['timeoutSeconds']}s") == (check["interval"], check["timeout"])


def command_of(probe: dict[str, Any], container: dict[str, Any]) -> list[str]:
    """What a probe runs; for one that Kubernetes makes itself, the same by our own command."""
    if "exec" in probe:
        command: list[str] = probe["exec"]["command"]
        return command
    [port] = [port["containerPort"] for port in container["ports"] if port["name"] == probe["httpGet"]["port"]]
    return ["healthy", "127.0.0.1", str(port), probe["httpGet"]["path"]]


@pytest.mark.parametrize("name", ["dispatcher", "tracker"])
def test_whoever_asks_for_health_by_a_token_has_it(name: str) -> None:
    assert any(volume.startswith("health-secrets:/secrets/health") for volume in compose()[name]["volumes"])
    mounts = {mount["name"]: mount["mountPath"] for mount in pods()[name]["volumeMounts"]}
    assert mounts["health"] == "/secrets/health"
    spec = next(
        manifest["spec"]["template"]["spec"]
        for manifest in manifests()
        if manifest["kind"] == "Deployment" and manifest["metadata"]["name"] == name
    )
    assert {"name": "health", "secret": {"secretName": "gradsum-health"}} in spec["volumes"]


def test_the_values_of_settings_are_those_of_compose() -> None:
    data = next(manifest["data"] for manifest in manifests() if manifest["kind"] == "ConfigMap")
    theirs = compose()["api"]["environment"]
    theirs["GRADSUM_STORAGE_URL"] = theirs["GRADSUM_STORAGE_URL"].removeprefix("${GRADSUM_STORAGE_URL:-").rstrip("}")
    assert {name: theirs[name] for name in data if name != "GRADSUM_MLFLOW_PUBLIC_URL"} == {
        name: value for name, value in data.items() if name != "GRADSUM_MLFLOW_PUBLIC_URL"
    }


@pytest.mark.parametrize("name", ["ray-head", "ray-worker"])
def test_ray_starts_as_it_does_with_compose(name: str) -> None:
    ray = next(manifest["spec"] for manifest in manifests() if manifest["kind"] == "RayCluster")
    group = ray["headGroupSpec"] if name == "ray-head" else ray["workerGroupSpecs"][0]
    given = {f"--{option}={value.strip(chr(39) + chr(34))}" for option, value in group["rayStartParams"].items()}
    given = {option.replace('\\"', '"').replace("=true", "") for option in given}
    kuberay = {"ray", "start", "--head", "--block", "--port=6379", "--address=ray-head:6379"}
    assert given == set(compose()[name]["command"]) - kuberay
    assert ray["authOptions"] == {"mode": "token"}
    assert f"ray=={ray['rayVersion']}\n" in (PROJECT / "requirements.lock").read_text()


@pytest.mark.parametrize("key", ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"])
def test_mlflow_s_own_keys_of_s3_come_before_those_of_datasets(key: str) -> None:
    environment = compose()["mlflow"]["environment"]
    assert environment[f"AWS_{key}"] == f"${{GRADSUM_MLFLOW_S3_{key}:-${{AWS_{key}:-}}}}"
    assert f"#GRADSUM_MLFLOW_S3_{key}=" in (PROJECT / "deploy" / "env.example").read_text()


def test_whoever_reads_and_writes_files_knows_the_storage_and_waits_for_its_check() -> None:
    wanted = STORAGE | {"GRADSUM_STORAGE_URL", "GRADSUM_DATA_DIR"}
    services, example = compose(), (PROJECT / "deploy" / "env.example").read_text()
    assert {name for name, service in services.items() if STORAGE & set(service.get("environment", {}))} == {
        *STORES, "storage-check"
    }  # fmt: skip
    for name in STORES:
        assert wanted <= set(services[name]["environment"])
        assert services[name]["depends_on"]["storage-check"] == {
            "condition": "service_completed_successfully", "required": False
        }  # fmt: skip
        assert {"secretRef": {"name": "gradsum-storage", "optional": True}} in pods()[name]["envFrom"]
    assert services["storage-check"]["profiles"] == ["s3"]
    assert all(f"#{setting}=" in example for setting in wanted - {"GRADSUM_DATA_DIR"})


def test_the_tracker_has_the_webhooks_secret_and_a_way_out() -> None:
    service = compose()["tracker"]
    assert "GRADSUM_NOTIFY_SECRET" in service["environment"]
    assert {"cluster", "outside"} == set(service["networks"])
    secret = next(entry for entry in pods()["tracker"]["env"] if entry["name"] == "GRADSUM_NOTIFY_SECRET")
    assert secret["valueFrom"]["secretKeyRef"]["optional"]
    policies = [manifest["spec"]["policyTypes"] for manifest in manifests() if manifest["kind"] == "NetworkPolicy"]
    assert policies
    assert all(types == ["Ingress"] for types in policies)  # so whoever sends and fetches may


def test_uploads_are_spooled_on_disk_and_not_in_memory() -> None:
    assert compose()["api"]["environment"]["TMPDIR"] == "/data"
    assert {"name": "TMPDIR", "value": "/data"} in pods()["api"]["env"]


def test_postgresql_trusts_nobody() -> None:
    service = compose()["postgres"]
    assert (
        "printf '%s scram-sha-256\\n' 'local all all' 'host all all all' > /tmp/pg_hba.conf" in service["entrypoint"][2]
    )
    assert service["command"] == ["postgres", "-c", "hba_file=/tmp/pg_hba.conf"]


def test_only_the_step_that_makes_roles_has_the_superuser_s_password() -> None:
    having = {"postgres", "roles"}
    assert having == {name for name, container in pods().items() if "POSTGRES_PASSWORD" in settings_of(container)}
    mounting = {
        name
        for name, service in compose().items()
        if any(volume.startswith("postgres-secrets:") for volume in service.get("volumes", []))
    }
    assert mounting == having | {"secrets"}


def test_mlflow_has_a_role_of_its_own() -> None:
    environment = compose()["mlflow"]["environment"]
    assert (environment["PGUSER"], environment["PGPASSFILE"]) == ("mlflow", "/secrets/mlflow-database/pgpass")
    assert not any(volume.startswith("database-secrets:") for volume in compose()["mlflow"]["volumes"])
    given = {entry["name"]: entry.get("value") or entry["valueFrom"] for entry in pods()["mlflow"]["env"]}
    assert given["PGUSER"] == "mlflow"
    assert given["PGPASSWORD"] == {"secretKeyRef": {"name": "gradsum-mlflow-database", "key": "password"}}


@pytest.mark.parametrize("name", ["tracker", "mlflow"])
def test_what_must_be_there_once_is_never_there_twice(name: str) -> None:
    spec = next(
        manifest["spec"]
        for manifest in manifests()
        if manifest["kind"] == "Deployment" and manifest["metadata"]["name"] == name
    )
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_no_container_may_do_more_than_it_needs() -> None:
    for name, container in pods().items():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"], name
        assert not context["allowPrivilegeEscalation"], name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
    assert all(service["cap_drop"] == ["ALL"] and service["read_only"] for service in compose().values())
