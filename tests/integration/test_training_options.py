"""Every option of training as a user asks for it, over HTTP against the whole service."""

import io
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest
from rich.console import Console

from service.client import Client
from service.watching import wait_for_record
from tests.running_service import RunningService

ROWS = "width,height,colour,trust,area,kind\n" + "".join(
    f"{0.1 * n:.1f},{0.3 * (n % 11):.1f},{'red' if n % 3 else 'blue'},{n % 4},{0.1 * n * (n % 11):.2f},"
    f"{'big' if n > 130 else 'mid' if n > 60 else 'small'}\n"
    for n in range(200)
)
SMALL: dict[str, Any] = {"dataset": "options", "target": "kind", "features": ["width", "height", "colour"]}
NETWORK = {"hidden_layers": [6], "activation": "tanh"}

JOBS: dict[str, dict[str, Any]] = {
    "batches": {"training": {"batch_size": 16, "learning_rate_schedule": {"name": "cosine", "warmup_epochs": 2}}},
    "dropout": {"network": {**NETWORK, "dropout": 0.3}},
    "momentum": {"training": {"optimizer": {"name": "momentum", "nesterov": True}, "clip_gradient_norm": 0.5}},
    "rprop": {"training": {"optimizer": "rprop", "l1": 0.001}},
    "lbfgs": {"training": {"optimizer": "lbfgs", "l2": 0.01}, "network": {"hidden_layers": []}},
    "no biases": {"network": {**NETWORK, "bias": False, "initialization": "he"}},
    "float64": {"training": {"dtype": "float64", "learning_rate_schedule": {"name": "step", "every": 5}}},
    "weights": {"weight_column": "trust", "class_weight": {"big": 3}},
    "balanced": {"class_weight": "balanced", "split": {"validation": 0.2, "test": 0.2}},
    "two outputs": {"target": ["area", "width"], "features": ["height", "colour"], "split": {"test": 0.2}},
    "squared error": {"training": {"loss": "squared_error"}, "network": {"output_activation": "softmax"}},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "lbfgs with batches": ({"training": {"optimizer": "lbfgs", "batch_size": 8}}, "training.batch_size"),
    "lbfgs with dropout": (
        {"training": {"optimizer": "lbfgs"}, "network": {**NETWORK, "dropout": 0.5}},
        "network.dropout",
    ),
    "cross-entropy of relu": (
        {"training": {"loss": "cross_entropy"}, "network": {"output_activation": "relu"}},
        "network.output_activation",
    ),
    "early stopping without validation": (
        {"training": {"early_stopping": {"patience": 3}}, "split": {"validation": 0.0}},
        "training.early_stopping",
    ),
    "two targets as classes": (
        {"target": ["kind", "colour"], "features": ["width"], "task": "classification"},
        "target",
    ),
    "a class that is not there": ({"class_weight": {"huge": 2}}, "class_weight"),
    "weights below zero": ({"weight_column": "debt"}, "weight_column"),
    "a start of another shape": (
        {
            "features": ["width", "height"],
            "network": {"hidden_layers": []},
            "initial_parameters": {"weights": [[[1.0]] * 3]},
        },
        "initial_parameters.weights[0]",
    ),
    "a job that is not there": ({"warm_start": "job_nothing"}, "warm_start"),
}


@pytest.fixture(scope="module")
def client(service: RunningService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a service that has the dataset `options`."""
    file = tmp_path_factory.mktemp("options") / "options.csv"
    header, *rows = ROWS.splitlines()
    file.write_text("\n".join([f"{header},debt", *(f"{row},{-n}" for n, row in enumerate(rows))]) + "\n")
    assert service.gradsum("dataset", "add", str(file), "--name", "options").returncode == 0
    with service.client() as client:
        yield client


def ended(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """The job that a body makes, once it is final."""
    *_, job = client.follow(client.submit_job(body)["id"])
    return job


def succeeded(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    job = ended(client, body)
    assert job["status"] == "succeeded", job["error"]
    return job


def is_echoed(given: Any, found: Any) -> bool:
    """Whether what was asked for stands in the resolved spec, where a name may have become an object."""
    if isinstance(given, dict):
        return all(is_echoed(value, found[name]) for name, value in given.items())
    return bool(given == (found["name"] if isinstance(found, dict) else found))


def weights_of(client: Client, job: dict[str, Any]) -> dict[str, Any]:
    return dict(np.load(io.BytesIO(b"".join(client.weights(job["id"]))), allow_pickle=False))


def test_every_option_trains_and_is_echoed_with_its_value(client: Client) -> None:
    for name, options in JOBS.items():
        network = {**NETWORK, **options.get("network", {})}
        training = {"epochs": 20, **options.get("training", {})}
        job = succeeded(client, {**SMALL, **options, "network": network, "training": training, "name": name})
        spec = job["spec"]
        assert "'auto'" not in repr({**spec, "preset": None})
        assert is_echoed(training, spec["training"]), name
        assert is_echoed(network, spec["network"]), name
        score = "r2" if spec["task"] == "regression" else "accuracy"
        scores = {f"{rows}_{figure}" for rows in ("validation", "test") for figure in ("loss", score)}
        assert scores <= set(job["result"]), name  # null where no rows are held out
        assert job["result"]["stopped_by"] in {"epochs", "early_stopping"}
        figures = client.metrics(job["id"])["data"]
        assert len(figures) == job["result"]["epochs"]
        assert all(figure["loss"] is not None for figure in figures)


def test_a_classification_tells_how_good_each_class_is(client: Client) -> None:
    job = succeeded(client, {**SMALL, "split": {"validation": 0.2, "test": 0.2}})
    for rows in ("validation", "test"):
        matrix, classes = job["result"][f"{rows}_confusion_matrix"], job["result"][f"{rows}_classes"]
        assert [found["class"] for found in classes] == ["big", "mid", "small"]
        assert [sum(row) for row in matrix] == [found["rows"] for found in classes]
        right = sum(matrix[place][place] for place in range(3)) / sum(map(sum, matrix))
        assert job["result"][f"{rows}_accuracy"] == pytest.approx(right)


def test_several_targets_are_scored_one_by_one(client: Client) -> None:
    job = succeeded(client, {**SMALL, **JOBS["two outputs"], "preset": "auto"})
    by_target = job["result"]["test_r2_by_target"]
    assert set(by_target) == {"area", "width"}
    assert job["result"]["test_r2"] == pytest.approx(sum(by_target.values()) / 2)


def test_early_stopping_keeps_the_best_weights_and_other_limits_equal_so_many_epochs(client: Client) -> None:
    training = {"epochs": 400, "learning_rate": 1.0, "optimizer": "adam", "early_stopping": {"patience": 5}}
    body = {**SMALL, "network": NETWORK, "training": training}
    stopped = succeeded(client, body)["result"]
    assert stopped["stopped_by"] == "early_stopping"
    assert stopped["epochs"] == stopped["best_epoch"] + 5
    again = succeeded(
        client, {**body, "training": {**training, "epochs": stopped["best_epoch"], "early_stopping": None}}
    )
    assert again["result"]["weights_sha256"] == stopped["weights_sha256"]

    plain = {"epochs": 100_000, "learning_rate": 0.01, "optimizer": "adam"}
    for limit, reason in (({"target_loss": 0.5}, "target_loss"), ({"max_runtime_seconds": 0.3}, "max_runtime")):
        limited = succeeded(client, {**body, "training": {**plain, **limit}})["result"]
        assert limited["stopped_by"] == reason
        same = succeeded(client, {**body, "training": {**plain, "epochs": limited["epochs"]}})["result"]
        assert same["weights_sha256"] == limited["weights_sha256"]


def test_a_warm_start_goes_on_from_a_job_or_a_model(client: Client) -> None:
    body = {**SMALL, "network": NETWORK, "training": {"epochs": 30, "optimizer": "gradient_descent"}}
    first = succeeded(client, {**body, "tracking": {"registered_model": "started"}})
    whole = succeeded(client, {**body, "training": {**body["training"], "epochs": 60}})
    for reference in (first["id"], "started@champion", "started/1"):
        second = succeeded(client, {**body, "warm_start": reference})
        assert second["spec"]["warm_start"] == first["id"]
        assert second["requested"]["warm_start"] == reference
        assert second["result"]["weights_sha256"] == whole["result"]["weights_sha256"]
    given = weights_of(client, first)
    initial = {
        "weights": [given["weights_0"].tolist(), given["weights_1"].tolist()],
        "biases": [given["biases_0"].tolist(), given["biases_1"].tolist()],
    }
    third = succeeded(client, {**body, "initial_parameters": initial})
    assert third["result"]["weights_sha256"] == whole["result"]["weights_sha256"]


def test_a_warm_start_that_does_not_fit_is_refused_with_the_difference(service: RunningService, client: Client) -> None:
    first = succeeded(client, {**SMALL, "network": NETWORK, "training": {"epochs": 1}})
    differences = {
        "hidden layers [6] in the model, [7] in the job": {"network": {**NETWORK, "hidden_layers": [7]}},
        "only the model has 'height'": {"features": ["width"], "network": NETWORK},
        "targets differ": {"target": "colour", "features": ["width", "height"], "network": NETWORK},
    }
    for words, change in differences.items():
        answer = httpx2.post(
            f"{service.url}/v1/jobs", json={**SMALL, **change, "warm_start": first["id"]}, trust_env=False
        )
        if answer.status_code == 201:  # what depends on the training rows is seen when they are there
            *_, job = client.follow(answer.json()["id"])
            assert job["status"] == "failed"
            assert words in job["error"]["message"]
        else:
            assert answer.status_code == 422
            assert words in answer.json()["detail"]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_makes_no_sense_is_refused_with_its_field(service: RunningService, client: Client, name: str) -> None:
    options, field = REFUSED[name]
    before = client.jobs(limit=1)["data"]
    answer = httpx2.post(f"{service.url}/v1/jobs", json={**SMALL, **options}, trust_env=False)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in {error["field"] for error in answer.json()["errors"]}
    assert client.jobs(limit=1)["data"] == before


def test_B26_divergence_names_the_epoch_and_a_way_out_and_leaves_the_last_good_weights(  # noqa: N802
    service: RunningService, client: Client
) -> None:
    network = {"hidden_layers": [6], "activation": "identity", "output_activation": "identity"}
    training = {"loss": "squared_error", "optimizer": "gradient_descent", "learning_rate": 1000.0, "epochs": 500}
    job = ended(client, {**SMALL, "network": network, "training": training})
    assert job["status"] == "failed"
    assert job["error"]["code"] == "diverged"
    for said in (
        f"epoch {job['error']['epoch']}.",
        "smaller training.learning_rate",
        "The last good weights are kept.",
    ):
        assert said in job["error"]["message"]
    assert all(np.isfinite(array).all() for array in weights_of(client, job).values())
    figures = client.metrics(job["id"])["data"]
    assert len(figures) == job["error"]["epoch"] - 1
    assert all(np.isfinite(list(figure.values())).all() for figure in figures)
    job = wait_for_record(client, job, Console(quiet=True), seconds=180)
    assert job["mlflow"]["status"] == "current", job["mlflow"]
    query = {"run_id": job["mlflow"]["run_id"]}
    run = httpx2.get(f"{service.mlflow_url}/api/2.0/mlflow/runs/get", params=query, trust_env=False).json()["run"]
    logged = {metric["key"]: metric["value"] for metric in run["data"]["metrics"]}
    assert {"loss", "gradient_norm"} <= set(logged)
    assert max(map(abs, logged.values())) < 1e308  # MLflow's word for infinity is 1.797e308
