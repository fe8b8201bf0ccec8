"""How good given parameters are on some rows of a matrix: the loss, and accuracy or R²."""

import math

import numpy as np

from workers.activations import Array
from workers.metrics import accuracy, class_report, r2, target_report
from workers.network import Workspace, outputs_and_error
from workers.problem import Problem
from workers.training import Figures


class Evaluation:
    """Scores parameters on the rows `first` to `last`, block by block, in order."""

    def __init__(self, problem: Problem, first: int, last: int, name: str) -> None:
        self._problem = problem
        self._name = name
        self._rows = np.asarray(problem.matrix.X[first:last])
        self._targets = problem.targets(first, last)
        self._classes = None if problem.matrix.classes is None else np.asarray(problem.matrix.y[first:last])
        self._weights = problem.row_weights(first, last)
        self._column_weights = problem.column_weights(first, last)
        self._total_weight = float(last - first if self._weights is None else np.add.reduce(self._weights))
        self._outputs = np.empty_like(self._targets)
        self._workspace = Workspace(problem.network, problem.dtype, problem.block_rows)

    def scores(self, parameters: Array) -> Figures:
        """`<name>_loss` and `<name>_accuracy` or `<name>_r2`; null for what is not finite, {} without rows."""
        if len(self._rows) == 0:
            return {}
        total = 0.0
        for first in range(0, len(self._rows), self._problem.block_rows):
            block = slice(first, first + self._problem.block_rows)
            weights = None if self._weights is None else self._weights[block]
            outputs, error = outputs_and_error(
                self._problem.network, parameters, self._rows[block], self._targets[block], weights, self._workspace
            )
            self._outputs[block] = outputs
            total += error
        loss = self._problem.loss_unit * total / self._total_weight if self._total_weight > 0 else math.nan
        return self._named({"loss": loss if math.isfinite(loss) else None, **self._score()})

    def report(self, parameters: Array) -> Figures:
        """The scores, and what else a result says of these rows: by class, or by target where there are several.

        Without rows, null for each score.
        """
        scores = self.scores(parameters)
        if not scores:
            return self._named({"loss": None, "r2" if self._classes is None else "accuracy": None})
        matrix, found = self._problem.matrix, {}
        if not np.isfinite(self._outputs).all():  # nothing but null could be said
            return scores
        if self._classes is not None and matrix.classes is not None:
            found = class_report(self._outputs, self._classes, matrix.classes, self._column_weights)
        elif len(matrix.targets) > 1:
            found = target_report(self._outputs, self._targets, matrix.targets, self._column_weights)
        return scores | self._named(found)

    def _score(self) -> Figures:
        if self._classes is not None:
            return {"accuracy": accuracy(self._outputs, self._classes, self._column_weights)}
        return {"r2": r2(self._outputs, self._targets, self._column_weights)}

    def _named(self, figures: Figures) -> Figures:
        return {f"{self._name}_{key}": value for key, value in figures.items()}
