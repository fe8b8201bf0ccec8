"""What the prepare child does for the check and the gate: reference statistics, and scores on the same test rows."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from service.column_statistics import read_whole, statistics_of
from service.comparable import difference_that_matters, has_no_metric, hashed_columns, losses_differ
from service.comparison import compare_data, difference
from service.gate import KEPT_SKILL
from service.linear import linear_outputs
from workers.errors import DataError, GradsumError
from workers.files import scratch_directory, write_atomically
from workers.matrix import MatrixRequest, open_matrix, request_from_json
from workers.matrix_rows import read_split
from workers.model import Model, load
from workers.scoring import Rows, TrainingRows, constant_outputs, costs, outputs, read_rows, scores
from workers.split import TEST
from workers.stored import spans, texts_at

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Candidate:
    """A model version as the child finds it: its job's resolved spec, its files, and the data it learned from."""

    spec: dict[str, Any]
    model_directory: Path
    dataset_directory: Path
    request: MatrixRequest

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> "Candidate":
        """As `service.judging` sends it."""
        directories = {name: Path(saved[name]) for name in ("model_directory", "dataset_directory")}
        return cls(spec=saved["spec"], request=request_from_json(saved["request"]), **directories)


def reference_path(model_directory: Path) -> Path:
    """Where the statistics of a model's data lie: beside the model, so that they outlive the dataset."""
    return model_directory.with_name("reference.json")


def reference_of(candidate: Candidate) -> dict[str, Any]:
    """{"statistics", "tested_from", "skill"} of a model and the data it learned from; made once, then read.

    DataError `incomparable` where it was never made and the data is gone.
    """
    path = reference_path(candidate.model_directory)
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_bytes())
        return kept
    if not (candidate.dataset_directory / "columns.json").exists():
        raise DataError("the data that the champion learned from was deleted", code="incomparable")
    made = {
        "statistics": statistics_of(read_whole(candidate.dataset_directory), candidate.dataset_directory.parent),
        "tested_from": _tested_from(candidate.dataset_directory, candidate.request),
        "skill": _own_skill(candidate),
    }
    write_atomically(path, json.dumps(made, ensure_ascii=False, allow_nan=False).encode())
    return made


def measure_data(champion: Candidate, dataset_directory: Path) -> dict[str, Any]:
    """How new data differs from the champion's, for `service.data_check`."""
    used = [*champion.request.targets, *champion.request.features]
    columns = read_whole(dataset_directory)
    return compare_data(reference_of(champion)["statistics"], columns, used, dataset_directory.parent)


def score(
    challenger: Candidate,
    champion: Candidate,
    anchor: Candidate | None,
    matrix_directory: Path,
    *,
    metric: str,
    confidence: float,
    linear: bool,
    seed: int,
) -> dict[str, Any]:
    """The evidence that `service.gate.decide` wants: scores of all on the test rows of the challenger's job."""
    with scratch_directory(challenger.dataset_directory.parent) as scratch:
        return _score(challenger, champion, anchor, matrix_directory, metric, confidence, seed, scratch, linear=linear)


def _score(
    challenger: Candidate,
    champion: Candidate,
    anchor: Candidate | None,
    matrix_directory: Path,
    metric: str,
    confidence: float,
    seed: int,
    scratch: Path,
    *,
    linear: bool,
) -> dict[str, Any]:
    try:
        _refuse_incomparable(challenger, champion, metric)
        model, other = load(challenger.model_directory), load(champion.model_directory)
        if model.classes != other.classes:
            raise DataError("other classes", code="incomparable")
        training, test = read_rows(
            challenger.dataset_directory, challenger.request, model.classes, challenger.spec["class_weight"], scratch
        )
        theirs = outputs(other, test)
        anchored = None if anchor is None else _anchor_outputs(challenger, anchor, metric, test)
    except GradsumError as error:
        return {"incomparable": error.message.rstrip(".")}
    how = _How(challenger.spec, metric, test, confidence, seed)
    mine = outputs(model, test)
    own = how.costs(mine)
    champion_costs = how.costs(theirs)
    skill = reference_of(champion)["skill"]
    by_loss = _How(challenger.spec, "test_loss", test, confidence, seed)
    losses, constants = by_loss.costs(mine), by_loss.costs(constant_outputs(training, len(own)))
    found = {
        "rows": len(own),
        "confidence": confidence,
        "challenger": how.scores(mine),
        "champion": how.scores(theirs),
        "versus_champion": how.difference(own, champion_costs),
        "versus_anchor": how.difference(own, champion_costs if anchored is None else how.costs(anchored)),
        "skill": _skill(losses, constants),
        "champion_skill": skill,
        "versus_skill": by_loss.difference(losses, (1 - KEPT_SKILL * skill) * constants),
    }
    return found | (_versus_linear(matrix_directory, training, how, own) if linear else {})


class _How:
    """How rows are scored: by one metric and one loss, on the same rows, with the same draws."""

    def __init__(self, spec: Mapping[str, Any], metric: str, test: Rows, confidence: float, seed: int) -> None:
        self._loss, self._output = spec["training"]["loss"], spec["network"]["output_activation"]
        self.metric, self._test = metric, test
        self._confidence, self._seed = confidence, seed

    def costs(self, answers: Array) -> Array:
        return costs(answers, self._test, self.metric, self._loss, self._output)

    def scores(self, answers: Array) -> dict[str, float | None]:
        return scores(answers, self._test, self._loss, self._output)

    def difference(self, own: Array, others: Array) -> list[float]:
        return list(difference(own, others, self._confidence, self._seed))


def _versus_linear(matrix_directory: Path, training: TrainingRows, how: _How, own: Array) -> dict[str, Any]:
    matrix = open_matrix(matrix_directory)
    weights = training.loss_weights if how.metric == "test_loss" else training.weights
    answers = linear_outputs(matrix, training.targets, weights)
    return {"linear": how.scores(answers), "versus_linear": float(np.mean(own - how.costs(answers)))}


def _refuse_incomparable(challenger: Candidate, champion: Candidate, metric: str) -> None:
    task = challenger.spec["task"]
    if has_no_metric(task, metric):  # of a file at a URI nobody knew the task when the schedule was added
        raise DataError(f"the job is a {task}, so it has no {metric}", code="incomparable")
    mine, theirs = reference_of(challenger), reference_of(champion)
    after, before = (hashed_columns(challenger.spec["split"], each["statistics"]["columns"]) for each in (mine, theirs))
    reason = difference_that_matters(
        challenger.spec, champion.spec, hashed=before == after, tested_from=_is_no_older(mine, theirs)
    ) or losses_differ(challenger.spec, champion.spec, metric)
    if reason is not None:
        raise DataError(reason, code="incomparable")


def _anchor_outputs(challenger: Candidate, anchor: Candidate, metric: str, test: Rows) -> Array | None:
    """None where the anchor can't be compared any more: the champion takes its place."""
    try:
        _refuse_incomparable(challenger, anchor, metric)
        model: Model = load(anchor.model_directory)
        answers = outputs(model, test)
    except (GradsumError, OSError):
        return None
    return answers if answers.shape == test.targets.shape else None


def _is_no_older(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool | None:
    """Whether my test rows begin no earlier than theirs; None where the split does not go by time."""
    if mine["tested_from"] is None or theirs["tested_from"] is None:
        return None
    if type(mine["tested_from"]) is not type(theirs["tested_from"]):
        return False
    return bool(mine["tested_from"] >= theirs["tested_from"])


def _skill(losses: Array, constants: Array) -> float:
    """The share of the loss of one answer for all rows that a model saves; 0 where it saves nothing."""
    return max(0.0, 1 - float(losses.mean() / constants.mean())) if constants.mean() > 0 else 0.0


def _own_skill(candidate: Candidate) -> float:
    """On the model's own test rows; 0 where it has none."""
    if not candidate.request.split["test"]:
        return 0.0
    model, directory = load(candidate.model_directory), candidate.dataset_directory
    with scratch_directory(directory.parent) as scratch:
        training, test = read_rows(directory, candidate.request, model.classes, candidate.spec["class_weight"], scratch)
        constants = constant_outputs(training, len(test.weights))
    how = _How(candidate.spec, "test_loss", test, confidence=0.95, seed=0)
    return _skill(how.costs(outputs(model, test)), how.costs(constants))


def _tested_from(directory: Path, request: MatrixRequest) -> float | str | None:
    """With a split by time, the time at which the test rows begin."""
    if request.split["by"] != "time" or not request.split["test"]:
        return None
    with scratch_directory(directory.parent) as scratch:
        columns, split = read_split(directory, request, scratch)
        column = columns[request.split["column"]]
        tests = (column.values[rows][split.parts[rows] == TEST] for rows in spans(len(split.parts)))
        if column.categories is None:
            return min(float(block.min()) for block in tests if len(block))
        texts = column.categories
        return min(text for block in tests for text in texts_at(texts, np.unique(block)))
