"""Real Ray actors: any number of workers ends in the same bits, because the order of additions is the tree's."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from service.ingest import ingest_file
from workers import numerics, team
from workers.batches import NO_TRAINING
from workers.driver import Driver
from workers.gradients import ShardGradients, Share, combine
from workers.matrix import MatrixRequest
from workers.matrix_build import build
from workers.problem import Order, Problem, problem_of
from workers.resolve import DatasetFacts, Limits, resolve
from workers.shards import Node
from workers.spec import parse
from workers.storage import StorageUnavailableError
from workers.worker import ShardWorker

DIGITS = Path(__file__).parents[2] / "deploy" / "examples" / "digits" / "digits.csv"
SHARDS = 8
LIMITS = Limits(10**9, 10**7, 4096, 1024)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(
        address="local",
        num_cpus=3,
        resources={"gradsum": 1000},
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        object_store_memory=256 * 2**20,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetFacts]:
    directory = tmp_path_factory.mktemp("storage") / "digits"
    read = ingest_file(DIGITS, {}, directory, {"columns": 1000})
    return directory, DatasetFacts("ds_1", "digits", read["rows"], read["columns"])


def order_for(
    dataset: tuple[Path, DatasetFacts], output: Path, workers: int, dropout: float = 0.0, **training: Any
) -> Order:
    """An order to train digits as the source does, with `workers` workers."""
    body = {
        "dataset": "digits",
        "target": "digit",
        "preset": "textbook",
        "preprocessing": {"standardize": True},
        "network": {"dropout": dropout},
        "training": {"epochs": 20, "learning_rate": 3.0, **training},
    }
    spec = resolve(parse(body), dataset[1], LIMITS).spec
    split = spec.split.model_dump(include={"validation", "test", "by", "column", "salt"})
    request = MatrixRequest(
        ("digit",), "classification", tuple(spec.features), split, standardize=True, dtype=spec.training.dtype
    )
    matrix = dataset[0].parent / f"matrix-{spec.training.dtype}"
    build(dataset[0], request, matrix)
    return Order(spec.model_dump(), {"shards": SHARDS, "workers": workers}, str(matrix), str(output))


def run(driver_class: type[Driver], order: Order, while_running: Any = None) -> dict[str, Any]:
    """What a Driver actor of this class reports at the end of the order."""
    driver = ray.remote(num_cpus=0)(driver_class).remote()
    assert ray.get(driver.start.remote("job_1", 1, order))
    try:
        for _ in range(600):
            report: dict[str, Any] = ray.get(driver.progress.remote(0))
            if report["state"] not in {"starting", "running"}:
                return report
            if while_running is not None and report["state"] == "running":
                while_running(report)
            time.sleep(0.05)
        raise TimeoutError(report)
    finally:
        ray.kill(driver)


def in_order_of_arrival(parts: Mapping[Node, Share], _n_shards: int) -> Share:
    """The wrong way: what has come is added to what was there."""
    return reduce(lambda left, right: (left[0] + right[0], left[1] + right[1]), parts.values())


class ArrivalOrderDriver(Driver):
    """The build that the design forbids: it forgets the tree."""

    combine = staticmethod(in_order_of_arrival)


@pytest.mark.usefixtures("cluster")
def test_no_worker_takes_a_step_with_rows_that_were_changed(dataset: tuple[Path, DatasetFacts], tmp_path: Path) -> None:
    order = order_for(dataset, tmp_path / "model", 2)
    matrix = Path(shutil.copytree(order.matrix_directory, tmp_path / "matrix"))
    data = bytearray((matrix / "X.npy").read_bytes())
    data[len(data) // 2] ^= 1
    (matrix / "X.npy").write_bytes(data)
    report = run(Driver, order._replace(matrix_directory=str(matrix)))
    assert (report["state"], report["error"]["code"], report["epochs"]) == ("failed", "data_changed", [])
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("cluster")
def test_one_two_and_three_workers_end_in_the_same_bits(dataset: tuple[Path, DatasetFacts], tmp_path: Path) -> None:
    reports = [run(Driver, order_for(dataset, tmp_path / str(workers), workers)) for workers in (1, 2, 3)]
    assert len({report["result"]["weights_sha256"] for report in reports}) == 1
    for workers, report in enumerate(reports, start=1):
        members = report["workers"]
        assert len({member["pid"] for member in members}) == workers
        assert sorted(shard for member in members for shard in member["shards"]) == list(range(SHARDS))
        assert all(member["epochs"] == 20 and member["shards"] for member in members)
    without_time = [
        [{name: value for name, value in row.items() if name != "seconds"} for row in report["epochs"]]
        for report in reports
    ]
    assert without_time[0] == without_time[1] == without_time[2]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 3, "batch_size": 300, "dropout": 0.3, "optimizer": "adam", "learning_rate": 0.01},
        {"optimizer": "lbfgs", "learning_rate": 1.0, "early_stopping": {"patience": 3}},
    ],
    ids=["batches, dropout and adam", "lbfgs and early stopping"],
)
def test_one_two_and_three_workers_end_in_the_same_bits_with_other_options(
    dataset: tuple[Path, DatasetFacts], tmp_path: Path, options: dict[str, Any]
) -> None:
    reports = [run(Driver, order_for(dataset, tmp_path / str(workers), workers, **options)) for workers in (1, 2, 3)]
    assert len({report["result"]["weights_sha256"] for report in reports}) == 1, reports


@pytest.mark.usefixtures("cluster")
def test_adding_in_order_of_arrival_would_give_other_bits(dataset: tuple[Path, DatasetFacts], tmp_path: Path) -> None:
    hashes = {
        run(ArrivalOrderDriver, order_for(dataset, tmp_path / str(workers), workers))["result"]["weights_sha256"]
        for workers in (1, 2, 3)
    }
    assert len(hashes) > 1


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_s_shards_go_to_the_driver_with_the_same_bits(
    dataset: tuple[Path, DatasetFacts], tmp_path: Path
) -> None:
    killed: list[int] = []

    def kill_once(report: dict[str, Any]) -> None:
        if not killed and report["epochs"]:
            killed.append(report["workers"][1]["pid"])
            os.kill(killed[0], signal.SIGKILL)

    undisturbed = run(Driver, order_for(dataset, tmp_path / "a", 1, epochs=300))
    disturbed = run(Driver, order_for(dataset, tmp_path / "b", 2, epochs=300), kill_once)
    assert killed
    assert disturbed["result"]["weights_sha256"] == undisturbed["result"]["weights_sha256"]
    assert disturbed["workers"][1]["replaced_at"] is not None


@pytest.mark.usefixtures("cluster")
def test_other_numerics_than_those_of_earlier_attempts_are_refused_unless_accepted(
    dataset: tuple[Path, DatasetFacts], tmp_path: Path
) -> None:
    earlier = {**numerics.fingerprint(), "blas": "openblas 0.0 VAX"}
    order = order_for(dataset, tmp_path, 1)._replace(numerics=earlier)
    refused = run(Driver, order)
    assert refused["state"] == "refused"
    assert "openblas 0.0 VAX" in refused["reason"]
    accepted = run(Driver, order._replace(accept_other_numerics=True))
    assert accepted["state"] == "succeeded"
    assert accepted["result"]["numerics"]["accepted_others"] == [earlier]
    assert "accepted_others" not in run(Driver, order._replace(numerics=numerics.fingerprint()))["result"]["numerics"]


@pytest.mark.usefixtures("cluster")
def test_a_worker_with_another_kernel_is_refused_unless_accepted(
    dataset: tuple[Path, DatasetFacts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real worker whose BLAS takes another kernel than this process, which drives."""
    monkeypatch.setitem(team.ACTOR_OPTIONS, "runtime_env", {"env_vars": {"OPENBLAS_CORETYPE": "Nehalem"}})
    order = order_for(dataset, tmp_path, 2)
    with pytest.raises(team.FingerprintMismatchError, match="Nehalem"):
        team.Team(order, problem_of(order))
    accepting = team.Team(order._replace(accept_other_numerics=True), problem_of(order))
    assert "Nehalem" in accepting.other_numerics[0]["blas"]
    accepting.dismiss()


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_can_t_have_the_matrix_says_why(dataset: tuple[Path, DatasetFacts], tmp_path: Path) -> None:
    order = order_for(dataset, tmp_path, 2)
    with pytest.raises(StorageUnavailableError, match="GRADSUM_STORAGE_URL") as error:
        team.Team(order._replace(storage="s3://elsewhere"), problem_of(order))
    assert error.value.refused
    gone = order._replace(matrix_directory=str(tmp_path / "gone"))
    actor = ray.remote(**team.ACTOR_OPTIONS)(ShardWorker).remote(gone, 0, 1)
    assert ray.get(actor.describe.remote()) == {"matrix_gone": True}
    ray.kill(actor)


@pytest.mark.parametrize("rows", [1439, 1500, 1612])
def test_shards_of_unequal_size_sum_to_one_unsharded_pass(dataset: tuple[Path, DatasetFacts], rows: int) -> None:
    problem = problem_of(order_for(dataset, Path("unused"), 1, dtype="float64"))
    problem = problem._replace(matrix=problem.matrix._replace(training_rows=rows))
    bounds = [0, 1, 8, 300, 301, 900, 1200, 1400, rows]
    parameters = np.random.default_rng(rows).normal(size=64 * 30 + 30 + 30 * 10 + 10)
    loss, gradient = total(problem._replace(ranges=list(pairwise(bounds))), parameters)
    whole_loss, whole = total(problem._replace(ranges=[(0, rows)]), parameters)
    assert abs(loss - whole_loss) <= 1e-12 * abs(whole_loss)
    assert np.linalg.norm(gradient - whole) <= 1e-12 * np.linalg.norm(whole)


def total(problem: Problem, parameters: np.ndarray[Any, Any]) -> Share:
    n_shards = len(problem.ranges)
    batch = problem.batches().batch(NO_TRAINING)
    loss, gradient = combine(ShardGradients(problem, range(n_shards)).sums(parameters, NO_TRAINING, batch), n_shards)
    return loss, gradient.copy()


@pytest.mark.usefixtures("cluster")
def test_a_loss_that_is_not_finite_ends_the_attempt_with_the_epoch_and_a_hint(
    dataset: tuple[Path, DatasetFacts], tmp_path: Path
) -> None:
    order = order_for(dataset, tmp_path, 1, learning_rate=1e6)
    order = order._replace(spec={**order.spec, "network": {**order.spec["network"], "output_activation": "identity"}})
    report = run(Driver, order)
    assert report["state"] == "failed"
    assert report["error"]["code"] == "diverged"
    assert "learning_rate" in report["error"]["message"]


@pytest.mark.usefixtures("cluster")
def test_numbers_are_predicted_from_categories_and_numbers(tmp_path: Path) -> None:
    file = tmp_path / "houses.csv"
    rows = [f"{('Oslo', 'Bergen', 'Paris')[n % 3]},{n},{2.5 * n + 40 * (n % 3)}" for n in range(200)]
    file.write_text("city,size,price\n" + "\n".join(rows) + "\n")
    read = ingest_file(file, {}, tmp_path / "houses", {"columns": 10})
    facts = DatasetFacts("ds_2", "houses", read["rows"], read["columns"])
    body = {"dataset": "houses", "target": "price", "split": {"validation": 0.2, "test": 0.1}}
    spec = resolve(parse(body), facts, LIMITS).spec
    split = spec.split.model_dump(include={"validation", "test", "by", "column", "salt"})
    request = MatrixRequest(("price",), "regression", ("city", "size"), split, standardize=True, dtype="float32")
    build(tmp_path / "houses", request, tmp_path / "matrix")
    order = Order(spec.model_dump(), {"shards": SHARDS, "workers": 2}, str(tmp_path / "matrix"), str(tmp_path / "job"))
    result = run(Driver, order)["result"]
    assert result["validation_r2"] > 0.5
    assert result["test_r2"] > 0.5
    without_test = body | {"split": {"validation": 0.0}}
    spec = resolve(parse(without_test), facts, LIMITS).spec
    build(tmp_path / "houses", request._replace(split={**split, "validation": 0.0, "test": 0.0}), tmp_path / "all")
    order = order._replace(spec=spec.model_dump(), matrix_directory=str(tmp_path / "all"))
    report = run(Driver, order)
    assert report["state"] == "succeeded", report
    assert report["result"]["validation_r2"] is None


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("epochs", [2, 50])
def test_weights_that_overflow_end_the_attempt_before_they_are_recorded(tmp_path: Path, epochs: int) -> None:
    file = tmp_path / "steep.csv"
    file.write_text("x,y\n" + "".join(f"{n}e15,{n}.5e15\n" for n in range(1, 100)))
    read = ingest_file(file, {}, tmp_path / "steep", {"columns": 10})
    body = {
        "dataset": "steep",
        "target": "y",
        "preset": "textbook",
        "network": {"activation": "identity", "output_activation": "identity"},
        "training": {"epochs": epochs, "learning_rate": 1000.0},
    }
    spec = resolve(parse(body), DatasetFacts("ds_3", "steep", read["rows"], read["columns"]), LIMITS).spec
    split = spec.split.model_dump(include={"validation", "test", "by", "column", "salt"})
    build(
        tmp_path / "steep",
        MatrixRequest(("y",), "regression", ("x",), split, standardize=False, dtype="float32"),
        tmp_path / "m",
    )
    report = run(
        Driver, Order(spec.model_dump(), {"shards": 8, "workers": 1}, str(tmp_path / "m"), str(tmp_path / "o"))
    )
    assert report["state"] == "failed"
    assert report["error"]["code"] == "diverged"
    assert "Infinity" not in json.dumps(report)
    assert "NaN" not in json.dumps(report)
