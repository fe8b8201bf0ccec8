"""A local server that speaks S3 keeps MLflow's artifacts; then all files of a cluster whose parts share no volume."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import httpx2
import pytest
from moto.server import ThreadedMotoServer

from service.client import Client
from tests.compose.cluster import DOCKER, NAME, Cluster, run, tracked
from tests.compose.conftest import upload
from tests.compose.test_1_training import job_of

BUCKET = "gradsum-artifacts"
STORAGE = {
    "COMPOSE_PROFILES": "s3",
    "GRADSUM_CLUSTER_INTERNAL": "false",
    "GRADSUM_STORAGE_URL": f"s3://{BUCKET}/files",
    "GRADSUM_STORAGE_S3_REGION": "us-east-1",
    "GRADSUM_STORAGE_S3_ACCESS_KEY_ID": "key",
    "GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY": "a-secret-for-the-storage",
}
NOTHING_SHARED = "services:\n" + "".join(
    f"  {name}: {{volumes: ['{name}-data:/data']}}\n" for name in ("api", "dispatcher", "tracker", "ray-worker")
) + "volumes: {api-data: {}, dispatcher-data: {}, tracker-data: {}, ray-worker-data: {}}\n"  # fmt: skip
KEYS = {
    "GRADSUM_MLFLOW_S3_ACCESS_KEY_ID": "key",
    "GRADSUM_MLFLOW_S3_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def server() -> Iterator[str]:
    """The address of an S3 server on this machine: at the gateway of a network that no restart of the cluster takes."""
    network = f"{NAME}_s3"
    docker("network", "rm", network, check=False)  # what a killed run has left
    docker("network", "create", network)
    gateway = json.loads(docker("network", "inspect", network))[0]["IPAM"]["Config"][0]["Gateway"]
    server = ThreadedMotoServer(gateway, 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    store(address).create_bucket(Bucket=BUCKET)
    yield address
    server.stop()
    docker("network", "rm", network)


def docker(*arguments: str, check: bool = True) -> str:
    return subprocess.run([DOCKER, *arguments], capture_output=True, text=True, check=check).stdout


@contextmanager
def with_settings(cluster: Cluster, settings: dict[str, str]) -> Iterator[None]:
    """The cluster's `.env` has these too, inside the block."""
    file = cluster.directory / ".env"
    before = file.read_text(encoding="utf-8")
    settings["AWS_ACCESS_KEY_ID"] = "another"  # of datasets
    file.write_text(before + "".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


@pytest.fixture
def bucket(cluster: Cluster, server: str) -> Iterator[str]:
    """The address of an S3 server that the cluster keeps its artifacts in while this lasts."""
    settings = {"GRADSUM_MLFLOW_ARTIFACTS": f"s3://{BUCKET}/all", "MLFLOW_S3_ENDPOINT_URL": server, **KEYS}
    with with_settings(cluster, settings):
        cluster.up("mlflow", "dispatcher")
        yield server
    cluster.up("mlflow", "dispatcher")


def store(address: str) -> boto3.client:
    key, secret, region = KEYS.values()
    return boto3.client(
        "s3", endpoint_url=address, aws_access_key_id=key, aws_secret_access_key=secret, region_name=region
    )


@pytest.mark.usefixtures("datasets")
def test_artifacts_go_to_s3_by_keys_of_mlflow_and_are_read_through_it(
    cluster: Cluster, client: Client, bucket: str
) -> None:
    assert cluster.inside("mlflow", "printenv", "AWS_ACCESS_KEY_ID") == "key\n"
    assert cluster.inside("dispatcher", "printenv", "AWS_ACCESS_KEY_ID") == "another\n"
    job_id = run(client, {**job_of("digits"), "name": "kept-in-s3"})["id"]
    tracked(client)
    run_id = client.job(job_id)["mlflow"]["run_id"]
    kept = {found["Key"] for found in store(bucket).list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert any(key.endswith(f"{run_id}/artifacts/loss_curve.csv") for key in kept)
    answer = httpx2.get(
        f"{cluster.mlflow_url}/get-artifact",
        params={"run_id": run_id, "path": "loss_curve.csv"},
        auth=("gradsum", cluster.mlflow_password()),
        trust_env=False,
    )
    assert answer.status_code == 200
    assert answer.text.startswith("epoch,")


@pytest.mark.usefixtures("datasets")
def test_a_cluster_that_shares_no_volume_trains_the_same_bits_from_s3(
    cluster: Cluster, client: Client, server: str
) -> None:
    """The last test: the cluster is a new one afterwards."""
    body = job_of("digits", workers=2)
    in_a_volume = run(client, body)["result"]["weights_sha256"]
    cluster.compose("down", "--volumes", "--timeout", "20")
    override = cluster.directory / "docker-compose.override.yml"
    override.write_text(NOTHING_SHARED, encoding="utf-8")
    with with_settings(cluster, {**STORAGE, "GRADSUM_STORAGE_S3_ENDPOINT": server}):
        cluster.up()
        checked = next(found for found in cluster.containers() if found["Service"] == "storage-check")
        assert checked["ExitCode"] == 0
        said = cluster.compose("logs", "--no-log-prefix", "storage-check")
        assert f"The storage s3://{BUCKET}/files can be written and read." in said
        with cluster.client() as new:
            upload(new, "digits")
            assert run(new, body)["result"]["weights_sha256"] == in_a_volume
            assert new.predict("digits", [[0] * 64])["predictions"]
            tracked(new)
        assert STORAGE["GRADSUM_STORAGE_S3_SECRET_ACCESS_KEY"] not in cluster.compose("logs")
        cluster.compose("down", "--volumes", "--timeout", "20")
    override.unlink()
