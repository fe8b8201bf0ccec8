"""A job as the service would train it, in this process: the same reading, resolving, planning and training."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from service.ingest import ingest_file
from service.preparation import matrix_request
from tests.local_training import LocalTeam, initial
from tests.quality.cases import Case
from workers.dataset import read_metadata
from workers.evaluation import Evaluation
from workers.matrix import Matrix, matrix_key
from workers.matrix_build import build
from workers.plan import make_plan
from workers.problem import Order, Problem, problem_of
from workers.resolve import DatasetFacts, Limits, resolve
from workers.spec import JobSpec, parse
from workers.training import Callbacks, train

LIMITS = Limits(parameters=100_000_000, epochs=1_000_000, shards=4096, workers=256)
TEST = 0.2


class Outcome(NamedTuple):
    """A trained model's score on the test rows (accuracy, or R² of a regression), and what it took."""

    score: float
    seconds: float
    epochs: int


def facts(case: Case, storage: Path) -> DatasetFacts:
    """The case as the service has read it, once."""
    ingest_file(case.file, {}, storage / case.name, {"columns": 10_000})
    metadata = read_metadata(storage / case.name)
    return DatasetFacts(case.name, case.name, metadata["rows"], metadata["columns"])


def resolved(case: Case, dataset: DatasetFacts, salt: str, options: Mapping[str, Any]) -> JobSpec:
    """The smallest request, and `options`; the salt draws the rows that are held out."""
    request = {"dataset": case.name, "target": case.target, "split": {"test": TEST, "salt": salt}, **options}
    return resolve(parse(request), dataset, LIMITS).spec


def problem(case: Case, salt: str, storage: Path, options: Mapping[str, Any] | None = None) -> Problem:
    """What such a job trains."""
    dataset = facts(case, storage)
    spec = resolved(case, dataset, salt, options or {})
    directory = storage / matrix_key(f"{case.name}-{salt}", matrix_request(spec, {}))
    built = build(storage / case.name, matrix_request(spec, {}), directory)
    plan = make_plan(
        spec,
        n_inputs=built["n_inputs"],
        n_outputs=len(built["classes"] or built["targets"]),
        n_training=built["training_rows"],
        n_validation=built["validation_rows"],
        slots=1,
    )
    return problem_of(Order(spec.model_dump(), plan._asdict(), str(directory), str(directory)))


def test_rows(matrix: Matrix) -> slice:
    """The places of the test rows."""
    return slice(matrix.training_rows + matrix.validation_rows, len(matrix.X))


def trained(of: Problem) -> Outcome:
    """What the model, trained by one worker, is worth."""
    first, last = of.matrix.training_rows, test_rows(of.matrix).start
    started = time.perf_counter()
    callbacks = Callbacks(
        LocalTeam(of, 1).sum_of_shard_gradients,
        Evaluation(of, first, last, "validation").scores,
        lambda _figures: None,
    )
    model = train(of, initial(of), callbacks)
    seconds = time.perf_counter() - started
    scores = Evaluation(of, last, len(of.matrix.X), "test").scores(model.parameters)
    score = scores["test_r2" if of.matrix.classes is None else "test_accuracy"]
    return Outcome(float(score), seconds, model.epochs)
