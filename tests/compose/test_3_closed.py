"""What is closed: each way in is tried by someone who may not."""

import json
import subprocess
from typing import Any

import httpx2
import pytest

from tests.compose.cluster import DOCKER, NAME, Cluster

LASTING = ("api", "dispatcher", "tracker", "ray-head", "ray-worker", "mlflow", "postgres")


def test_the_api_wants_a_token_and_a_reader_s_does_not_write(cluster: Cluster) -> None:
    assert httpx2.get(f"{cluster.url}/healthz", trust_env=False).status_code == 200
    for path in ("/v1/jobs", "/readyz", "/metrics"):
        assert httpx2.get(f"{cluster.url}{path}", trust_env=False).status_code == 401
    assert httpx2.post(f"{cluster.url}/v1/jobs", json={}, trust_env=False).status_code == 401
    token = cluster.compose("run", "--rm", "-T", "secrets", "new", "alice", "--scope", "read").strip()
    alice = {"Authorization": f"Bearer {token}"}
    assert httpx2.get(f"{cluster.url}/v1/jobs", headers=alice, trust_env=False).status_code == 200
    assert httpx2.post(f"{cluster.url}/v1/jobs", json={}, headers=alice, trust_env=False).status_code == 403
    cluster.compose("run", "--rm", "-T", "secrets", "revoke", "alice")
    assert httpx2.get(f"{cluster.url}/v1/jobs", headers=alice, trust_env=False).status_code == 401


def test_mlflow_is_neither_read_nor_written_by_strangers(cluster: Cluster) -> None:
    create, search = (f"{cluster.mlflow_url}/api/2.0/mlflow/experiments/{verb}" for verb in ("create", "search"))
    for auth in (None, ("gradsum", "wrong"), ("admin", "password1234")):
        assert httpx2.post(create, json={"name": "x"}, auth=auth, trust_env=False).status_code == 401
        assert httpx2.post(search, json={"max_results": 1}, auth=auth, trust_env=False).status_code == 401
    ours = ("gradsum", cluster.mlflow_password())
    assert httpx2.post(search, json={"max_results": 1}, auth=ours, trust_env=False).status_code == 200
    elsewhere = {"Origin": "https://evil.example"}
    assert httpx2.post(search, json={}, auth=ours, headers=elsewhere, trust_env=False).status_code == 403
    elsewhere = {"Host": "evil.example"}
    assert httpx2.get(cluster.mlflow_url, auth=ours, headers=elsewhere, trust_env=False).status_code == 403


def test_ray_s_job_api_is_refused_without_its_token_inside_and_published_nowhere(cluster: Cluster) -> None:
    ask = (
        "import sys, urllib.request as web\n"
        "headers = dict(argument.split('=') for argument in sys.argv[1:])\n"
        "try: print(web.urlopen(web.Request('http://ray-head:8265/api/jobs/', headers=headers)).status)\n"
        "except web.HTTPError as error: print(error.code)\n"
    )
    assert cluster.inside("tracker", "python", "-c", ask).strip() == "401"
    assert cluster.inside("tracker", "python", "-c", ask, "Authorization=Bearer wrong").strip() in {"401", "403"}
    token = cluster.inside("ray-head", "cat", "/secrets/ray/token").strip()
    assert cluster.inside("tracker", "python", "-c", ask, f"Authorization=Bearer {token}").strip() == "200"
    join = "RAY_AUTH_MODE=token RAY_AUTH_TOKEN=wrong timeout 60 ray status --address ray-head:6379"
    assert "InvalidAuthToken" in cluster.inside("tracker", "sh", "-c", f"{join} 2>&1", check=False)


def test_postgresql_wants_the_password(cluster: Cluster) -> None:
    ask = "import psycopg; psycopg.connect('host=postgres user=gradsum dbname=gradsum connect_timeout=5')"
    assert "no password supplied" in cluster.inside(
        "api", "sh", "-c", f'PGPASSFILE=/dev/null python -c "{ask}" 2>&1 || true'
    )
    wrong = cluster.inside("api", "sh", "-c", f'PGPASSWORD=wrong python -c "{ask}" 2>&1 || true')
    assert "password authentication failed" in wrong
    cluster.inside("api", "python", "-c", ask)
    for host in ("127.0.0.1", "/var/run/postgresql"):
        for role in ("gradsum", "postgres"):
            within = f"psql -w -h {host} -U {role} -d {role} -c 'SELECT 1' 2>&1 || true"
            assert "no password supplied" in cluster.inside("postgres", "sh", "-c", within)


@pytest.mark.parametrize(("service", "role", "other"), [("mlflow", "mlflow", "gradsum"), ("api", "gradsum", "mlflow")])
def test_a_service_s_role_reads_its_own_database_and_does_no_more(
    cluster: Cluster, service: str, role: str, other: str
) -> None:
    ask = (
        "import psycopg, sys\n"
        "try: print(psycopg.connect(f'host=postgres {sys.argv[1]}', autocommit=True).execute(sys.argv[2]).fetchall())\n"
        "except psycopg.Error as error: print(error)\n"
    )

    def answer(statement: str, user: str = role, database: str = role) -> str:
        return cluster.inside(service, "python", "-c", ask, f"user={user} dbname={database}", statement)

    assert "to COPY to or from an external program" in answer("COPY (SELECT 1) TO PROGRAM 'true'")
    assert "superuser" in answer(f"ALTER ROLE {role} SUPERUSER").lower()
    assert answer("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").strip() == "[(False,)]"
    assert f'permission denied for database "{other}"' in answer("SELECT 1", database=other)
    assert 'permission denied for database "postgres"' in answer("SELECT 1", database="postgres")
    for stranger in (other, "postgres"):
        assert "password authentication failed" in answer("SELECT 1", user=stranger, database=stranger)


@pytest.mark.parametrize("service", LASTING)
def test_no_process_has_a_capability_or_can_get_one(cluster: Cluster, service: str) -> None:
    processes = cluster.inside(service, "sh", "-c", "cat /proc/[0-9]*/status").split("Name:\t")[1:]
    fields = [dict(line.split(":\t", 1) for line in process.splitlines()[1:] if ":\t" in line) for process in processes]
    ours = [process for process in fields if process["Uid"].split()[0] != "0"]
    assert ours
    assert all(process["NoNewPrivs"].strip() == "1" for process in fields)
    assert {process["CapEff"].strip() for process in ours} == {"0" * 16}
    if service != "postgres":  # its start takes another user; all that serves has none
        assert len(ours) == len(fields)
        assert {process["CapBnd"].strip() for process in fields} == {"0" * 16}


def test_a_service_has_only_the_secrets_that_it_needs_and_a_root_that_is_read_only(cluster: Cluster) -> None:
    found = inspected(cluster.compose("ps", "--quiet").split())
    secrets = {
        container["Config"]["Labels"]["com.docker.compose.service"]: {
            mount["Destination"].rpartition("/")[2]
            for mount in container["Mounts"]
            if "/secrets/" in mount["Destination"]
        }
        for container in found
    }
    assert secrets == {
        "api": {"api", "database"},
        "dispatcher": {"database", "ray", "health"},
        "tracker": {"database", "mlflow", "health"},
        "mlflow": {"mlflow-database", "mlflow"},
        "postgres": {"postgres"},
        "ray-head": {"ray"},
        "ray-worker": {"ray"},
    }
    assert all(container["HostConfig"]["ReadonlyRootfs"] for container in found)


def test_only_what_fetches_sends_or_is_published_reaches_the_outer_network(cluster: Cluster) -> None:
    containers = inspected(cluster.compose("ps", "--quiet").split())
    networks = {
        container["Config"]["Labels"]["com.docker.compose.service"]: set(container["NetworkSettings"]["Networks"])
        for container in containers
    }
    assert set(networks) == set(LASTING)
    inner, outer = f"{NAME}_cluster", f"{NAME}_outside"
    assert {name for name, found in networks.items() if outer in found} == {"api", "dispatcher", "tracker", "mlflow"}
    assert all(found <= {inner, outer} for found in networks.values())
    assert [network["Internal"] for network in inspected([inner, outer])] == [True, False]


def inspected(ids: list[str]) -> list[dict[str, Any]]:
    """What the engine says of containers or networks."""
    done = subprocess.run([DOCKER, "inspect", *ids], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))


def test_the_logs_hold_no_secret(cluster: Cluster) -> None:
    logs = cluster.compose("logs", "--no-color")
    for service, path in (
        ("api", "api/token"),
        ("mlflow", "mlflow/password"),
        ("mlflow", "mlflow/session-key"),
        ("api", "database/password"),
        ("mlflow", "mlflow-database/password"),
        ("ray-head", "ray/token"),
    ):
        assert cluster.inside(service, "cat", f"/secrets/{path}").strip() not in logs
