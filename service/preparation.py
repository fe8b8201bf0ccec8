"""Data made ready for jobs: datasets read, specs resolved, training matrices built. The work itself is the child's."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from service.advancing import Advancing
from service.child import Child, Lost, Message, OnProgress, unwatched
from service.facts import Sources, data_limits_of, facts_of, limits_of
from service.failures import fail
from service.logs import Log
from service.paths import columns_directory, model_directory, start_path, upload_path
from service.settings import Settings
from service.store import datasets, jobs
from service.store.database import Database
from service.store.datasets import DatasetOutline
from service.store.jobs import Job
from workers.errors import DataError, GradsumError
from workers.files import remove
from workers.matrix import MatrixRequest, matrix_key
from workers.plan import make_plan
from workers.resolve import DatasetFacts, check_limits, resolve
from workers.spec import JobSpec, parse

WORK_SECONDS = 6 * 3600.0
"""What takes longer is given up: it would take as long the next time."""
MOST_LOSSES = 3
"""A file that takes the child down this often is to blame itself."""


class Preparation:
    """Asks the preparing child for what is missing, each thing once, and records how it went."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        child: Child,
        log: Log,
        advancing: Advancing,
        work_seconds: float = WORK_SECONDS,
    ) -> None:
        self._work_seconds = work_seconds
        self._database = database
        self._settings = settings
        self._child = child
        self._log = log
        self._advancing = advancing
        self._asked: set[str] = set()
        self._losses: Counter[str] = Counter()

    def ingest(self, dataset: DatasetOutline) -> None:
        """Have an uploaded file read into column files."""
        if dataset.id in self._asked:
            return
        storage = self._settings.storage
        upload = upload_path(storage, dataset.id)
        request = {
            "do": "ingest",
            "path": str(upload),
            "options": dataset.options,
            "destination": str(columns_directory(storage, dataset.content_key)),
            "limits": data_limits_of(self._settings),
        }

        def on_done(answer: Message) -> None:
            with self._database.write() as connection:
                if "error" in answer:
                    datasets.fail(connection, dataset.id, answer["error"])
                else:
                    read = answer["ok"]
                    datasets.finish(connection, dataset.id, read["rows"], read["rejected_rows"], read["columns"])
                wanted = datasets.shares_content(connection, dataset.content_key)
            drop(self._child, upload)
            if not wanted:  # it was deleted while it was read
                drop(self._child, columns_directory(storage, dataset.content_key))
            outcome = "dataset_failed" if "error" in answer else "dataset_ready"
            self._log.info(outcome, dataset_id=dataset.id, name=dataset.name, version=dataset.version)

        self._ask(dataset.id, request, on_done, self._advancing.begin(dataset))

    def resolve(self, job: Job, sources: Sources) -> None:
        """Put values for every `auto`, now that the datasets are known."""
        facts, validation = self._facts(sources)
        try:
            resolution = resolve(JobSpec.model_validate(job.spec), facts, limits_of(self._settings), validation)
        except GradsumError as error:
            fail(self._database, self._log, job, {"code": error.code, "message": error.message})
            return
        with self._database.write() as connection:
            jobs.change(
                connection,
                job,
                spec=resolution.spec.model_dump(),
                name=resolution.spec.name,
                resolved=True,
                warnings=[*job.warnings, *resolution.warnings],
            )

    def build(self, job: Job, sources: Sources, slots: int) -> None:
        """Have the training matrix built, then plan the job."""
        if job.id in self._asked:
            return
        spec = JobSpec.model_validate(job.spec)
        request = matrix_request(spec, sources.dataset.options)
        own = sources.dataset.content_key
        other = None if sources.validation is None else sources.validation.content_key
        key = matrix_key(own, request, other)
        facts, validation = self._facts(sources)
        asked = parse(job.requested)
        notes = resolve(asked, facts, limits_of(self._settings), validation).notes
        spec = spec.model_copy(update={"resources": asked.resources})  # the plan decides again: it has counted the rows

        def on_done(answer: Message) -> None:
            if "error" in answer:
                fail(self._database, self._log, job, _naming(answer["error"], sources))
            else:
                self._plan(job, spec, key, answer["ok"], slots, notes)

        storage = self._settings.storage
        try:
            start = self._start(job, spec)
        except DataError as error:
            fail(self._database, self._log, job, {"code": error.code, "message": error.message})
            return
        message = {
            "do": "build",
            "dataset_directory": str(columns_directory(storage, own)),
            "validation_directory": None if other is None else str(columns_directory(storage, other)),
            "request": request._asdict(),
            "destination": str(storage / "matrices" / key),
            "memory_bytes": self._settings.limit_ingest_memory_bytes,
            "start": start,
        }
        self._ask(job.id, message, on_done)

    def _facts(self, sources: Sources) -> tuple[DatasetFacts, DatasetFacts | None]:
        """What resolving a spec needs to know of its datasets."""
        with self._database.read() as connection:
            facts = [facts_of(datasets.whole(connection, found)) for found in sources if found is not None]
        return facts[0], facts[1] if len(facts) > 1 else None

    def _start(self, job: Job, spec: JobSpec) -> dict[str, Any] | None:
        """What to write for a job that does not start from drawn weights."""
        if spec.initial_parameters is None and spec.warm_start is None:
            return None
        storage, source = self._settings.storage, None
        if spec.warm_start is not None:
            with self._database.read() as connection:
                named = jobs.get(connection, spec.warm_start)
            if named is None or not named.has_weights:
                message = f"Job {spec.warm_start} was deleted, so there are no weights to start from."
                raise DataError(message, code="warm_start_gone", field="warm_start")
            source = str(model_directory(storage, named))
        return {"spec": job.spec, "source": source, "destination": str(start_path(storage, job.id))}

    def _plan(self, job: Job, spec: JobSpec, key: str, matrix: dict[str, Any], slots: int, notes: list[str]) -> None:
        n_inputs, n_outputs = matrix["n_inputs"], len(matrix["classes"] or matrix["targets"])
        try:
            check_limits(spec, limits_of(self._settings), n_inputs, n_outputs)
        except GradsumError as error:
            fail(self._database, self._log, job, {"code": error.code, "message": error.message})
            return
        plan = make_plan(
            spec,
            n_inputs=n_inputs,
            n_outputs=n_outputs,
            n_training=matrix["training_rows"],
            n_validation=matrix["validation_rows"],
            slots=slots,
            notes=notes,
        )
        planned = {**job.spec, "resources": {"workers": plan.workers, "shards": plan.shards}}
        with self._database.write() as connection:
            jobs.change(
                connection,
                job,
                spec=planned,
                plan=plan._asdict(),
                matrix_key=key,
                block_rows=plan.block_rows,
                warnings=list(dict.fromkeys([*job.warnings, *matrix["warnings"]])),
                status_reason=None,
            )

    def _ask(
        self, key: str, message: Message, on_done: Callable[[Message], None], on_progress: OnProgress = unwatched
    ) -> None:
        self._asked.add(key)

        def on_answer(answer: Message | Lost) -> None:
            self._asked.discard(key)
            self._advancing.over(key)
            if not isinstance(answer, Lost):
                self._losses.pop(key, None)
                on_done(answer)
                return
            self._losses[key] += answer.in_hand
            if answer.too_late:
                took = f"Preparing the data took longer than {self._work_seconds / 3600:g} hours, which is the limit."
                on_done(_refused("preparation_too_long", f"{took} Keep the rows and columns that matter."))
            elif self._losses[key] >= MOST_LOSSES:
                ended = f"Reading the data ended its process {MOST_LOSSES} times: {answer.reason}."
                on_done(
                    _refused("preparation_failed", f"{ended} A file does so that is damaged or takes too much memory.")
                )

        self._child.ask(message, self._work_seconds, on_answer, on_progress)


def drop(child: Child, path: Path) -> None:
    """Have a file or directory taken away: here at once, and from a bucket by the child."""
    remove(path)
    child.ask({"do": "drop", "path": str(path)}, WORK_SECONDS, lambda _answer: None)


def matrix_request(spec: JobSpec, options: Mapping[str, Any]) -> MatrixRequest:
    """What a resolved spec wants of its training matrix; `options` are those its dataset was read with."""
    if not isinstance(spec.features, list):
        raise TypeError("the spec is not resolved")
    return MatrixRequest(
        targets=spec.targets,
        task=spec.task,
        features=tuple(spec.features),
        split=spec.split.model_dump(),
        standardize=spec.preprocessing.standardize is True,
        dtype=spec.training.dtype,
        weight_column=spec.weight_column,
        missing_values=spec.preprocessing.missing_values,
        missing_markers=() if spec.preprocessing.missing_values == "error" else _missing_markers(options),
        max_categories=spec.preprocessing.max_categories,
        standardize_target=spec.preprocessing.standardize_target is True,
    )


def _refused(code: str, message: str) -> Message:
    return {"error": {"code": code, "message": message, "errors": []}}


def _naming(error: dict[str, Any], sources: Sources) -> dict[str, Any]:
    """The error of a build, with the name of the dataset whose files were changed: the child knows none."""
    fields = {found["field"] for found in error["errors"]}
    changed = sources.validation if "validation_dataset" in fields else sources.dataset
    if error["code"] != "data_changed" or changed is None:
        return error
    return {**error, "message": f"Dataset '{changed.name}@{changed.version}' was damaged. {error['message']}"}


def _missing_markers(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What stood for missing in the dataset's file: an empty text, unless it was said otherwise."""
    return tuple(options.get("missing_markers", [""]))
