"""Rows that test are seen by nothing but the final figures; the split's column is no feature by itself."""

from pathlib import Path
from typing import Any

from service.ingest import ingest_file
from tests.local_training import sha256_of, train_locally
from workers.matrix import MatrixRequest
from workers.matrix_build import build
from workers.problem import Order, problem_of
from workers.resolve import DatasetFacts, Limits, Resolution, resolve
from workers.spec import parse

LIMITS = Limits(parameters=10_000, epochs=1_000, shards=64, workers=8)
ROWS = "".join(f"g{n % 20},{n % 11},{n * n % 17},{n % 3}\n" for n in range(120))


def resolved(directory: Path, rows: str, **request: Any) -> Resolution:
    directory.mkdir()
    (directory / "upload").write_text(f"group,a,b,y\n{rows}")
    columns = ingest_file(directory / "upload", {}, directory / "dataset", {"columns": 10})["columns"]
    body = {"dataset": "d", "target": "y", "training": {"epochs": 5}, **request}
    return resolve(parse(body), DatasetFacts("ds_1", "d", 120, columns), LIMITS)


def weights_sha256(directory: Path, rows: str, split: dict[str, Any], seed: int = 0) -> tuple[str, list[int]]:
    """The hash of what is trained, and how many rows stand in each part."""
    training = {"epochs": 5, "seed": seed, "early_stopping": {"patience": 2}}
    spec = resolved(directory, rows, split=split, training=training).spec
    request = MatrixRequest(
        spec.targets, spec.task, tuple(spec.features), spec.split.model_dump(), standardize=True, dtype="float32"
    )
    build(directory / "dataset", request, directory / "matrix")
    problem = problem_of(Order(spec.model_dump(), {"shards": 8}, str(directory / "matrix"), ""))
    first = problem.matrix.training_rows + problem.matrix.validation_rows
    without_test = problem._replace(matrix=problem.matrix._replace(X=problem.matrix.X[:first]))
    parts = [problem.matrix.training_rows, problem.matrix.validation_rows, problem.matrix.test_rows]
    return sha256_of(problem, train_locally(without_test, 2)[0]), parts


def test_other_values_in_test_rows_give_the_same_weights(tmp_path: Path) -> None:
    split = {"by": "row", "validation": 0.2, "test": 0.25}
    lines = ROWS.splitlines(keepends=True)
    other = "".join(lines[:90] + [f"g0,{5 * n},{-n},{n % 3}\n" for n in range(30)])
    found, parts = weights_sha256(tmp_path / "one", ROWS, split)
    assert parts == [66, 24, 30]
    assert weights_sha256(tmp_path / "other", other, split) == (found, parts)
    changed = ROWS.replace("g3,3,9,0", "g3,4,9,0", 1)
    assert weights_sha256(tmp_path / "changed", changed, split)[0] != found


def test_the_seed_moves_no_row(tmp_path: Path) -> None:
    split = {"by": "group", "column": "group", "validation": 0.2, "test": 0.2}
    (first, parts), (second, same_parts) = (weights_sha256(tmp_path / str(s), ROWS, split, seed=s) for s in (0, 1))
    assert first != second
    assert parts == same_parts


def test_the_column_of_groups_or_times_is_a_feature_only_where_it_is_named(tmp_path: Path) -> None:
    for by in ("group", "time"):
        split = {"by": by, "column": "group"}
        found = resolved(tmp_path / by, ROWS, split=split)
        assert found.spec.features == ["a", "b"]
        assert f"Column 'group' splits the rows by {by}, so it is not a feature." in found.notes
        named = resolved(tmp_path / f"{by}-named", ROWS, split=split, features=["a", "group"])
        assert named.spec.features == ["a", "group"]
        assert any("is a feature" in warning for warning in named.warnings)
    assert "group" in resolved(tmp_path / "hash", ROWS, split={"column": "group"}).spec.features
