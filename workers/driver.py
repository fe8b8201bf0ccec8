"""The Ray actor that runs one attempt of a job: it owns the weights and the epoch loop. No SQL, no HTTP, no MLflow.

Idle drivers are pooled, with everything imported; `start` gives one a job, `progress` is all that is asked of it,
`release` makes it idle again.
"""

import contextlib
import logging
import os
import platform
import tempfile
import threading
from pathlib import Path
from typing import Any

import ray

from workers import numerics
from workers.activations import Array
from workers.errors import Diverged, GradsumError
from workers.evaluation import Evaluation
from workers.files import publish_directory
from workers.gradients import Combine, combine
from workers.initialization import drawn_parameters, saved_parameters
from workers.integrity import Seen, check_heads, check_unchanged, look
from workers.model import save
from workers.numerics import FingerprintMismatchError, mismatch
from workers.patience import MatrixGoneError, check_same, hold_matrix, patiently
from workers.preprocessing import from_json
from workers.problem import Order, Problem, check_held_out, problem_of
from workers.storage import AWAY, MATRIX_GONE, REFUSED, Storage, StorageUnavailableError, storage_of
from workers.team import Team
from workers.training import Callbacks, Figures, Trained, train

LARGEST_ANSWER = 20_000
"""Epochs in one answer to `progress`; the rest comes with the next."""


class Cancelled(BaseException):
    """The attempt was asked to stop."""


class Attempt:
    """One attempt of a job, trained in a thread of its own."""

    def __init__(self, job_id: str, number: int, order: Order, combine_parts: Combine, storage: Storage) -> None:
        self.job_id = job_id
        self.number = number
        self._order = order
        self._storage = storage
        self._waits: str | None = None
        self._combine = combine_parts
        self._numerics = numerics.fingerprint()
        self._epochs: list[Figures] = []  # those that the record may not have yet
        self._team: Team | None = None
        self._cancelled = False
        self._seen: Seen = {}
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
        known = {"job": self.job_id, "attempt": self.number, "numerics": self._numerics}
        return {**known, "workers": workers, "epochs": epochs, "waits_for_storage": self._waits, **outcome}

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
        except MatrixGoneError:
            self._outcome = {"state": "gone", "reason": MATRIX_GONE}
        except StorageUnavailableError as error:
            refused = {"state": "refused", "code": REFUSED, "reason": str(error)}
            self._outcome = refused if error.refused else {"state": "gone", "reason": AWAY}
        except FingerprintMismatchError as error:
            self._outcome = {"state": "refused", "code": error.code, "reason": error.message}
        except GradsumError as error:
            if error.code == "data_changed" and self._storage.distrust(Path(self._order.matrix_directory)):
                self._outcome = {"state": "gone", "reason": "its copy of the training matrix was damaged"}
                return
            found: dict[str, Any] = {"code": error.code, "message": error.message}
            if isinstance(error, Diverged):
                found |= {"epoch": error.epoch, "left_weights": error.parameters is not None}
            self._outcome = {"state": "failed", "error": found}
        except Exception as error:
            logging.getLogger(__name__).exception("attempt failed")
            message = f"The driver failed: {type(error).__name__}: {error}"
            self._outcome = {"state": "failed", "error": {"code": "driver_failed", "message": message}}

    def _train(self) -> dict[str, Any]:
        with contextlib.ExitStack() as held:
            patiently(lambda: self._bring(held), self._wait)
            return self._train_on(Path(self._order.matrix_directory))

    def _bring(self, held: contextlib.ExitStack) -> None:
        """Have the files of the order here, the matrix for as long as `held` is open."""
        check_same(self._storage, self._order.storage)
        if self._order.initial_parameters is not None:
            self._storage.bring(Path(self._order.initial_parameters))
        hold_matrix(self._storage, held, self._order)

    def _wait(self, reason: str | None) -> None:
        """Let the record say what is waited for."""
        self._waits = reason
        if self._cancelled:
            raise Cancelled

    def _train_on(self, directory: Path) -> dict[str, Any]:
        self._seen = look(directory)
        check_heads(directory)
        problem = problem_of(self._order)
        others = self._other_numerics()
        team = self._team = Team(self._order, problem, self._combine, self._storage.slowest_bytes_per_second)
        try:
            check_held_out(self._order, problem)
            check_unchanged(self._seen)
            first, last = problem.matrix.training_rows, problem.matrix.training_rows + problem.matrix.validation_rows
            validation = Evaluation(problem, first, last, "validation")
            self._outcome = {"state": "running"}
            callbacks = Callbacks(team.sum_of_shard_gradients, validation.scores, self._on_epoch)
            trained = train(problem, self._initial_parameters(problem), callbacks)
            others += team.other_numerics
            return self._result(problem, trained, validation) | {"numerics": numerics.with_others(others)}
        except Diverged as error:
            check_unchanged(self._seen)
            if error.parameters is not None:
                self._publish(problem, error.parameters)
            raise
        finally:
            team.dismiss()

    def _other_numerics(self) -> list[dict[str, Any]]:
        """The fingerprint of earlier attempts, if it is another one and the job accepts that."""
        order, ours = self._order, numerics.fingerprint()
        if order.numerics is None or order.numerics == ours:
            return []
        if not order.accept_other_numerics:
            raise FingerprintMismatchError(mismatch("the driver", ours, order.numerics))
        return [order.numerics]

    def _initial_parameters(self, problem: Problem) -> Array:
        if self._order.initial_parameters is not None:
            return saved_parameters(problem.network, Path(self._order.initial_parameters), problem.dtype)
        return drawn_parameters(problem.network, problem.seed, problem.initialization, problem.dtype)

    def _on_epoch(self, figures: Figures) -> None:
        check_unchanged(self._seen)
        if self._team is not None:
            self._team.count_epoch()
        self._epochs.append(figures)
        if self._cancelled:
            raise Cancelled

    def _result(self, problem: Problem, trained: Trained, validation: Evaluation) -> dict[str, Any]:
        """Write the model's files and return what the job record keeps."""
        matrix = problem.matrix
        test = Evaluation(problem, matrix.training_rows + matrix.validation_rows, len(matrix.X), "test")
        scores = {**validation.report(trained.parameters), **test.report(trained.parameters)}
        check_unchanged(self._seen)
        return {
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "loss": trained.loss,
            **scores,
            "weights_sha256": self._publish(problem, trained.parameters),
            "stopped_by": trained.stopped_by,
        }

    def _publish(self, problem: Problem, parameters: Array) -> str:
        """Write the model, whole or not at all; its `weights_sha256`."""
        directory = Path(self._order.output_directory) / "model"
        sha256 = publish_model(directory, problem, parameters)
        patiently(lambda: self._storage.keep(directory), self._wait)
        return sha256


class Driver:
    """Runs as an actor (`ray.remote(Driver)`), one job at a time; its name is what `ps` shows."""

    combine: Combine = staticmethod(combine)

    def __init__(self) -> None:
        numerics.use_one_thread()
        self._storage = storage_of(os.environ)
        self._attempt: Attempt | None = None

    def describe(self) -> dict[str, Any]:
        """Where this driver runs, and what its bits depend on."""
        node_id = ray.get_runtime_context().get_node_id()
        return {"node": platform.node(), "node_id": node_id, "pid": os.getpid(), "numerics": numerics.fingerprint()}

    def start(self, job_id: str, attempt: int, order: Order) -> bool:
        """Begin an attempt; False where this driver has one already."""
        if self._attempt is not None:
            return False
        self._attempt = Attempt(job_id, attempt, Order(*order), self.combine, self._storage)
        return True

    def progress(self, since_epoch: int) -> dict[str, Any]:
        """What has happened since `since_epoch`."""
        return {"state": "idle"} if self._attempt is None else self._attempt.progress(since_epoch)

    def release(self) -> None:
        """Stop what runs, forget it and be idle."""
        if self._attempt is not None:
            self._attempt.cancel()
            self._attempt = None


def publish_model(directory: Path, problem: Problem, parameters: Array) -> str:
    """Write the trained model to `directory`, whole or not at all; its `weights_sha256`."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    matrix = problem.matrix
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".model-", ignore_cleanup_errors=True) as temporary:
        preprocessing = from_json(matrix.preprocessing)
        parameters = problem.in_own_unit(parameters)
        sha256 = save(Path(temporary), problem.network, parameters, preprocessing, matrix.targets, matrix.classes)
        publish_directory(Path(temporary), directory)
    return sha256
