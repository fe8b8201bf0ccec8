"""Every setting reaches the processes of a cluster that read it, unless the cluster has to fix it itself.

That holds for docker compose and for Kubernetes.
"""

import re
from typing import Any

import pytest

from service.settings import PREFIX, Settings
from tests.unit.test_manifests import PROJECT, compose, manifests, pods

PROCESSES = ("api", "dispatcher", "tracker")
OF_SERVE = {"GRADSUM_NUMERICS", "GRADSUM_WORKER_SLOTS"}
"""Of the Ray cluster that `gradsum serve` starts."""
FIXED = {
    "GRADSUM_API_TOKENS_FILE",
    "GRADSUM_DATABASE_URL",
    "GRADSUM_DATA_DIR",
    "GRADSUM_HOST",
    "GRADSUM_MLFLOW_PORT",  # of .env, as GRADSUM_PORT is: what is published, not what a process reads
    "GRADSUM_MLFLOW_TRACKING_URI",
    "GRADSUM_PORT",
}
"""What follows from how the containers are put together."""
OF_ONE = {"GRADSUM_RAY_ADDRESS": "dispatcher"}
KEYS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
FREE = sorted({PREFIX + name.upper() for name in Settings.model_fields} - OF_SERVE - FIXED)


def example() -> dict[str, str]:
    """What deploy/env.example shows, by variable."""
    text = (PROJECT / "deploy" / "env.example").read_text()
    return dict(re.findall(r"^#([A-Z][A-Z0-9_]*)=(.*)$", text, re.MULTILINE))


def from_env(service: dict[str, Any]) -> dict[str, str]:
    """The variables that a service takes from `.env`, each with what it is where that has none."""
    found = {}
    for name, value in service.get("environment", {}).items():
        if value is None:
            found[name] = ""
        elif isinstance(value, str) and (match := re.fullmatch(rf"\$\{{{name}:-(.*)\}}", value)):
            found[name] = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", match[1])
    return found


@pytest.mark.parametrize("setting", FREE)
def test_a_setting_of_env_reaches_every_process_that_reads_it(setting: str) -> None:
    for name in [OF_ONE[setting]] if setting in OF_ONE else PROCESSES:
        given = from_env(compose()[name])
        assert setting in given, name
        assert given[setting] in {"", example()[setting]}


@pytest.mark.parametrize("setting", sorted(FIXED | OF_SERVE))
def test_a_setting_that_the_cluster_fixes_is_not_taken_from_env(setting: str) -> None:
    for service in compose().values():
        assert setting not in from_env(service)
    readers = [name for name in PROCESSES if setting in compose()[name]["environment"]]
    assert bool(readers) != (setting in OF_SERVE | {"GRADSUM_MLFLOW_PORT"})


@pytest.mark.parametrize("setting", [setting for setting in FREE if setting.startswith("GRADSUM_LIMIT_")])
def test_the_limits_of_the_example_are_the_defaults(setting: str) -> None:
    field = Settings.model_fields[setting.removeprefix(PREFIX).lower()]
    assert example()[setting] == ("" if field.default_factory else str(field.default))


def test_only_the_dispatcher_has_the_keys_that_datasets_are_read_with() -> None:
    assert {name for name, service in compose().items() if set(from_env(service)) >= KEYS} == {"dispatcher"}
    assert set(example()) >= KEYS | {"GRADSUM_NOTIFY_SECRET", "GRADSUM_INCOMING"}


@pytest.mark.parametrize("name", PROCESSES)
def test_on_kubernetes_the_config_map_may_set_whatever_env_may(name: str) -> None:
    """A container's own `env` comes before the ConfigMap: it holds what Kubernetes fixes, and nothing else."""
    container = pods()[name]
    assert {"configMapRef": {"name": "gradsum"}} in container["envFrom"]
    own = {entry["name"] for entry in container["env"]}
    assert own.isdisjoint(set(FREE) - set(OF_ONE))
    config = next(manifest["data"] for manifest in manifests() if manifest["kind"] == "ConfigMap")
    assert FIXED & set(compose()[name]["environment"]) <= own | set(config)
