"""MLflow's artifacts in S3, kept by a local server that speaks it: what the tracker sends is there, and comes back."""

import json
import subprocess
from collections.abc import Iterator

import boto3
import httpx2
import pytest
from moto.server import ThreadedMotoServer

from service.client import Client
from tests.compose.cluster import DOCKER, NAME, Cluster, run, tracked
from tests.compose.test_1_training import job_of

BUCKET = "gradsum-artifacts"
KEYS = {
    "GRADSUM_MLFLOW_S3_ACCESS_KEY_ID": "key",
    "GRADSUM_MLFLOW_S3_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture
def bucket(cluster: Cluster) -> Iterator[str]:
    """The address of an S3 server that the cluster keeps its artifacts in while this lasts."""
    network = subprocess.run(
        [DOCKER, "network", "inspect", f"{NAME}_outside"], capture_output=True, text=True, check=True
    )
    server = ThreadedMotoServer(json.loads(network.stdout)[0]["IPAM"]["Config"][0]["Gateway"], 0)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    store(address).create_bucket(Bucket=BUCKET)
    settings = {"GRADSUM_MLFLOW_ARTIFACTS": f"s3://{BUCKET}/all", "MLFLOW_S3_ENDPOINT_URL": address, **KEYS}
    file = cluster.directory / ".env"
    before = file.read_text(encoding="utf-8")
    settings["AWS_ACCESS_KEY_ID"] = "another"  # of datasets
    file.write_text(before + "".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    try:
        cluster.up("mlflow", "dispatcher")
        yield address
    finally:
        file.write_text(before, encoding="utf-8")
        cluster.up("mlflow", "dispatcher")
        server.stop()


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
