"""Nights of a schedule with real data and real training, in this process: ingest, check, train, judge."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from service.data_check import Finding, problems
from service.gate import Promotion, Verdict, decide
from service.ingest import ingest_file
from service.preparation import matrix_request
from service.scoring import Candidate, measure_data, score
from tests.local_training import train_locally
from workers.driver import publish_model
from workers.evaluation import Evaluation
from workers.matrix_build import build
from workers.plan import make_plan
from workers.problem import Order, problem_of
from workers.resolve import DatasetFacts, Limits, resolve
from workers.spec import parse

LIMITS = Limits(parameters=1_000_000, epochs=10_000, shards=64, workers=8)
CHECK = {"min_rows": 50, "rows_vs_last": [0.5, 2], "max_null_fraction": 0.1, "max_psi": 0.2, "same_columns": True}


class Trained(NamedTuple):
    """A model as a night left it."""

    candidate: Candidate
    matrix: Path
    result: dict[str, Any]  # what the job reports of its test rows


def ingested(directory: Path, text: str, options: dict[str, Any] | None = None) -> Path:
    """The dataset of a CSV file; DataError where it is refused."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "upload").write_text(text, encoding="utf-8")
    ingest_file(directory / "upload", options or {}, directory / "dataset", {"columns": 1000})
    return directory / "dataset"


def trained(directory: Path, dataset: Path, body: dict[str, Any]) -> Trained:
    """What a job with this body makes of a dataset; GradsumError where it is refused or fails."""
    described = json.loads((dataset / "columns.json").read_bytes())
    facts = DatasetFacts("ds_1", "d", described["rows"], described["columns"])
    spec = resolve(parse({"dataset": "d", **body}), facts, LIMITS).spec
    request = matrix_request(spec, {})
    matrix = build(dataset, request, directory / "matrix")
    n_outputs = len(matrix["classes"] or matrix["targets"])
    plan = make_plan(
        spec,
        n_inputs=matrix["n_inputs"],
        n_outputs=n_outputs,
        n_training=matrix["training_rows"],
        n_validation=matrix["validation_rows"],
        slots=1,
        notes=[],
    )
    problem = problem_of(Order(spec.model_dump(), plan._asdict(), str(directory / "matrix"), str(directory / "job")))
    found, _ = train_locally(problem, 1)
    publish_model(directory / "job" / "model", problem, found.parameters)
    candidate = Candidate(spec.model_dump(), directory / "job" / "model", dataset, request)
    first_test = matrix["training_rows"] + matrix["validation_rows"]
    test = Evaluation(problem, first_test, first_test + matrix["test_rows"], "test")
    return Trained(candidate, directory / "matrix", test.scores(found.parameters))


def checked(champion: Trained, dataset: Path, check: dict[str, Any] | None = None) -> list[Finding]:
    """What the check before training finds."""
    return problems(check or CHECK, measure_data(champion.candidate, dataset))


def judged(
    challenger: Trained, champion: Trained, promotion: Promotion | None = None, anchor: Trained | None = None
) -> Verdict:
    """The gate's verdict on version 2 against version 1."""
    rule = promotion or Promotion()
    evidence = score(
        challenger.candidate,
        champion.candidate,
        None if anchor is None else anchor.candidate,
        challenger.matrix,
        metric=rule.metric,
        confidence=rule.confidence,
        linear=rule.must_beat_linear,
        seed=7,
    )
    return decide(rule, json.loads(json.dumps(evidence)), version=2, champion=1, anchor=1)
