"""What rows cost under a model: the figures of the job itself, from raw columns, whatever the model's preprocessing."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.gate import Promotion
from service.linear import _moments, linear_outputs
from service.scoring import reference_of, reference_path, score
from tests.gate.nights import Trained, ingested, judged, trained
from workers.errors import DataError
from workers.matrix import open_matrix
from workers.model import load
from workers.scoring import TrainingRows, constant_outputs, costs, outputs, read_rows, scores

BODY: dict[str, Any] = {
    "target": "y",
    "split": {"test": 0.25},
    "network": {"hidden_layers": [6]},
    "training": {"epochs": 60},
    "preprocessing": {"missing_values": "mean"},
}


def table(rows: int = 400, seed: int = 3, *, regression: bool = False) -> str:
    random = np.random.default_rng(seed)
    a, b, noise = random.normal(0, 1, (3, rows))
    colours = random.choice(["red", "green", "blue"], rows)
    value = 2 * a - b + (colours == "red") + 0.3 * noise
    answers = [f"{each:.4f}" for each in value] if regression else np.where(value > 0, "yes", "no")
    cells = ["" if place % 17 == 0 else f"{each:.4f}" for place, each in enumerate(b)]
    weights = random.choice([1, 2], rows)
    lines = [",".join(map(str, row)) for row in zip(a.round(4), cells, colours, weights, answers, strict=True)]
    return "\n".join(["a,b,colour,w,y", *lines]) + "\n"


def model_of(directory: Path, text: str, **changes: Any) -> Trained:
    return trained(directory, ingested(directory, text), BODY | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_column": "w"},
        {"class_weight": {"yes": 3.0}, "weight_column": "w"},
        {"network": {"hidden_layers": [6], "output_activation": "sigmoid"}},
        {"training": {"epochs": 15, "loss": "squared_error"}},
    ],
)
def test_scores_on_raw_rows_are_those_that_the_job_reports(tmp_path: Path, changes: dict[str, Any]) -> None:
    check_scores(model_of(tmp_path, table(), **changes), tmp_path)


def test_so_are_those_of_a_regression(tmp_path: Path) -> None:
    check_scores(model_of(tmp_path, table(regression=True)), tmp_path)


def check_scores(made: Trained, tmp_path: Path) -> None:
    candidate = made.candidate
    model = load(candidate.model_directory)
    spec = candidate.spec
    _, test = read_rows(candidate.dataset_directory, candidate.request, model.classes, spec["class_weight"], tmp_path)
    how = spec["training"]["loss"], spec["network"]["output_activation"]
    found = scores(outputs(model, test), test, *how)
    assert found.keys() == made.result.keys()
    for name, value in made.result.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
        cost = costs(outputs(model, test), test, name, *how).mean()
        assert cost == pytest.approx(value if name == "test_loss" else 1 - value, rel=1e-4)


def test_the_model_itself_is_not_worse_than_itself(tmp_path: Path) -> None:
    made = model_of(tmp_path, table())
    assert judged(made, made).verdict == "promoted"


def test_a_linear_model_of_a_linear_world_is_as_good_as_the_world_allows(tmp_path: Path) -> None:
    made = model_of(tmp_path, table(2000, regression=True))
    matrix, candidate = open_matrix(made.matrix), made.candidate
    training, test = read_rows(candidate.dataset_directory, candidate.request, None, None, tmp_path)
    found = scores(linear_outputs(matrix, training.targets, training.weights), test, "squared_error", "identity")
    assert found["test_r2"] == pytest.approx(1 - 0.09 / 5.3, abs=0.02)


def test_a_linear_model_of_classes_is_the_best_softmax(tmp_path: Path) -> None:
    made = model_of(tmp_path, table(1000))
    matrix, candidate = open_matrix(made.matrix), made.candidate
    training, test = read_rows(candidate.dataset_directory, candidate.request, matrix.classes, None, tmp_path)
    found = scores(linear_outputs(matrix, training.targets, training.weights), test, "cross_entropy", "softmax")
    assert found["test_accuracy"] is not None
    assert found["test_accuracy"] > 0.9


def test_the_reference_outlives_the_data(tmp_path: Path) -> None:
    made = model_of(tmp_path, table())
    candidate = made.candidate
    reference = reference_of(candidate)
    candidate.dataset_directory.rename(tmp_path / "gone")
    assert reference_of(candidate) == reference
    reference_path(candidate.model_directory).unlink()
    with pytest.raises(DataError, match="deleted"):
        reference_of(candidate)


@pytest.mark.parametrize(
    ("text", "changes", "reason"),
    [
        (table().replace("yes", "maybe"), {}, "other classes"),
        (table().replace("colour", "paint"), {}, "other columns"),
        (table(), {"split": {"test": 0.25, "salt": "x"}}, "another split"),
        (table(), {"training": {"epochs": 5, "loss": "squared_error"}}, "another loss"),
    ],
)
def test_what_can_not_be_compared_says_why(tmp_path: Path, text: str, changes: dict[str, Any], reason: str) -> None:
    champion = model_of(tmp_path / "champion", table())
    verdict = judged(model_of(tmp_path / "new", text, **changes), champion)
    assert verdict.verdict == "incomparable"
    assert reason in verdict.reason


def test_a_metric_of_another_task_can_not_be_compared(tmp_path: Path) -> None:
    made = model_of(tmp_path, table())
    verdict = judged(made, made, Promotion(metric="test_r2"))
    assert (verdict.verdict, "has no test_r2" in verdict.reason) == ("incomparable", True)


@pytest.mark.parametrize("split", [{}, {"column": "key"}, {"by": "group", "column": "key"}])
def test_a_key_that_was_numbers_and_is_text_moves_rows_between_the_sides(tmp_path: Path, split: dict[str, Any]) -> None:
    def keyed(prefix: str) -> str:
        head, *rows = table().splitlines()
        return "\n".join([f"key,{head}", *(f"{prefix}{place},{row}" for place, row in enumerate(rows))]) + "\n"

    changes = {"split": {"test": 0.25, **split}, "features": ["a", "b", "colour"]}
    old, new = (model_of(tmp_path / f"of{prefix}", keyed(prefix), **changes) for prefix in ("", "k"))
    verdict = judged(new, old)
    assert verdict.verdict == "incomparable"
    assert "number and text" in verdict.reason


def test_by_time_newer_test_rows_can_be_compared_and_older_ones_can_not(tmp_path: Path) -> None:
    def dated(first: int) -> str:
        head, *rows = table().splitlines()
        return "\n".join([f"day,{head}", *(f"{first + place},{row}" for place, row in enumerate(rows))]) + "\n"

    split = {"split": {"by": "time", "column": "day", "test": 0.25}}
    old, new = (model_of(tmp_path / str(first), dated(first), **split) for first in (0, 30))
    assert judged(new, old).verdict != "incomparable"
    assert judged(old, new).verdict == "incomparable"


def test_evidence_is_the_same_each_time(tmp_path: Path) -> None:
    old, new = model_of(tmp_path / "old", table()), model_of(tmp_path / "new", table(500))

    def evidence() -> dict[str, Any]:
        return score(
            new.candidate, old.candidate, None, new.matrix, metric="test_loss", confidence=0.95, linear=True, seed=1
        )

    assert evidence() == evidence()


def test_training_rows_of_many_classes_or_inputs_are_gone_through_in_little_memory() -> None:
    rows, answers = 2**16, np.arange(2**16) % 500
    inputs = np.tile(np.arange(200, dtype=np.float32), (rows, 1))
    tracemalloc.start()
    try:
        shares = constant_outputs(TrainingRows([answers], np.ones(rows), 500, None), 1)
        means, _ = _moments(inputs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shares.sum() == pytest.approx(1)
    assert means.tolist() == list(range(200))
    assert peak < 32 * 2**20
