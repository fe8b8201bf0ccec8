"""The Ray actor that runs one attempt of a job: it owns the weights and the epoch loop. No SQL, no HTTP, no MLflow.

Idle drivers are pooled, with everything imported; `start` gives one a job, `progress` is all that is asked of it,
`release` makes it idle again.
"""

import logging
import math
import os
import platform
import tempfile
import threading
from pathlib import Path
from typing import Any

import ray

from workers import numerics
from workers.errors import GradsumError
from workers.evaluation import Evaluation
from workers.files import publish_directory
from workers.model import save
from workers.preprocessing import from_json
from workers.problem import Order, Problem, problem_of
from workers.team import Combine, Team, combine
from workers.training import Figures, Parameters, diverged, train

LARGEST_ANSWER = 20_000
"""Epochs in one answer to `progress`; the rest comes with the next."""


class Cancelled(BaseException):
    """The attempt was asked to stop."""


class Attempt:
    """One attempt of a job, trained in a thread of its own."""

    def __init__(self, job_id: str, number: int, order: Order, combine_parts: Combine) -> None:
        self.job_id = job_id
        self.number = number
        self._order = order
        self._combine = combine_parts
        self._epochs: list[Figures] = []  # those that the record may not have yet
        self._best = (math.inf, 0)  # the lowest score, and its epoch
        self._score = "loss"
        self._team: Team | None = None
        self._cancelled = False
        self._outcome: dict[str, Any] = {"state": "starting"}
        self._thread = threading.Thread(target=self._run, name=f"{job_id}/{number}", daemon=True)
        self._thread.start()

    def progress(self, since_epoch: int) -> dict[str, Any]:
        """The figures of the epochs behind `since_epoch`, the workers, and the outcome once there is one.

        Whoever asks has recorded everything up to `since_epoch`: those figures are forgotten here.
        """
        outcome = self._outcome  # before the epochs: an end is told only with or after the last of them
        if self._epochs:
            del self._epochs[: max(since_epoch + 1 - int(self._epochs[0]["epoch"] or 0), 0)]
        epochs = self._epochs[:LARGEST_ANSWER]
        if len(self._epochs) > LARGEST_ANSWER:
            outcome = {"state": "running"}
        workers = self._team.members() if self._team is not None else []
        return {"job": self.job_id, "attempt": self.number, "workers": workers, "epochs": epochs, **outcome}

    def cancel(self) -> None:
        """Stop after the current epoch and wait for it."""
        self._cancelled = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._outcome = {"state": "succeeded", "result": self._train()}
        except Cancelled:
            self._outcome = {"state": "cancelled"}
        except ray.exceptions.RayError as error:
            self._outcome = {
                "state": "gone",
                "reason": f"a worker was lost or could not be started ({type(error).__name__})",
            }
        except GradsumError as error:
            self._outcome = {"state": "failed", "error": {"code": error.code, "message": error.message}}
        except Exception as error:
            logging.getLogger(__name__).exception("attempt failed")
            message = f"The driver failed: {type(error).__name__}: {error}"
            self._outcome = {"state": "failed", "error": {"code": "driver_failed", "message": message}}

    def _train(self) -> dict[str, Any]:
        problem = problem_of(self._order)
        team = self._team = Team(self._order, problem, self._combine)
        try:
            first, last = problem.matrix.training_rows, problem.matrix.training_rows + problem.matrix.validation_rows
            validation = Evaluation(problem, first, last, "validation")
            self._score = "validation_loss" if last > first else "loss"
            self._outcome = {"state": "running"}
            parameters = train(problem, team.sum_of_shard_gradients, validation.scores, self._on_epoch)
            return self._result(problem, team, parameters, validation)
        finally:
            team.dismiss()

    def _on_epoch(self, figures: Figures) -> None:
        self._epochs.append(figures)
        score = figures.get(self._score)
        if score is not None:
            self._best = min(self._best, (score, figures["epoch"]))
        if self._cancelled:
            raise Cancelled

    def _result(self, problem: Problem, team: Team, parameters: Parameters, validation: Evaluation) -> dict[str, Any]:
        """Write the model's files and return what the job record keeps."""
        loss, _ = team.sum(parameters)
        if not math.isfinite(loss):
            raise diverged("loss", problem.epochs, problem.learning_rate)
        matrix = problem.matrix
        test = Evaluation(problem, matrix.training_rows + matrix.validation_rows, len(matrix.X), "test")
        sha256 = publish_model(Path(self._order.output_directory) / "model", problem, parameters)
        return {
            "epochs": problem.epochs,
            "best_epoch": self._best[1],
            "loss": loss,
            **validation.scores(parameters),
            **test.scores(parameters),
            "weights_sha256": sha256,
            "numerics": numerics.fingerprint(),
            "stopped_by": "epochs",
        }


class Driver:
    """Runs as an actor (`ray.remote(Driver)`), one job at a time; its name is what `ps` shows."""

    combine: Combine = staticmethod(combine)

    def __init__(self) -> None:
        numerics.use_one_thread()
        self._attempt: Attempt | None = None

    def describe(self) -> dict[str, Any]:
        """Where this driver runs."""
        return {"node": platform.node(), "pid": os.getpid()}

    def start(self, job_id: str, attempt: int, order: Order) -> bool:
        """Begin an attempt; False where this driver has one already."""
        if self._attempt is not None:
            return False
        self._attempt = Attempt(job_id, attempt, Order(*order), self.combine)
        return True

    def progress(self, since_epoch: int) -> dict[str, Any]:
        """What has happened since `since_epoch`."""
        return {"state": "idle"} if self._attempt is None else self._attempt.progress(since_epoch)

    def release(self) -> None:
        """Stop what runs, forget it and be idle."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None


def publish_model(directory: Path, problem: Problem, parameters: Parameters) -> str:
    """Write the trained model to `directory`, whole or not at all; its `weights_sha256`."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    matrix = problem.matrix
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".model-", ignore_cleanup_errors=True) as temporary:
        preprocessing = from_json(matrix.preprocessing)
        sha256 = save(Path(temporary), problem.network, parameters, preprocessing, matrix.targets, matrix.classes)
        publish_directory(Path(temporary), directory)
    return sha256
