"""The champion's gate at work: asks the child for evidence about a retrained model, then records the verdict.

What is decided, and why, is `service.gate` and `service.data_check`. Whoever runs schedules calls `judge` for each job
that succeeded with a promotion, as often as it likes: a verdict is recorded once, with the change of the champion.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from service.child import Child, Lost, Message
from service.comparable import hashed_columns, starts_elsewhere
from service.gate import Promotion, Verdict, confidence_after, decide, first_version, kept_in_a_row, serves_already
from service.logs import Log
from service.paths import columns_directory
from service.preparation import MOST_LOSSES, WORK_SECONDS, matrix_request
from service.settings import Settings
from service.store import datasets, jobs, models, notifications
from service.store.database import Database, Transaction
from service.store.datasets import DatasetOutline
from service.store.jobs import Job
from service.store.models import Model
from workers.spec import JobSpec

OnMeasured = Callable[[Message | Lost], None]


class ChampionMovedError(Exception):
    """Another version serves by now: what was found does not hold any more."""


class Judging:
    """Judges each job's model once; keeps nothing that it could not lose."""

    def __init__(self, database: Database, settings: Settings, child: Child, log: Log) -> None:
        self._database = database
        self._settings = settings
        self._child = child
        self._log = log
        self._asked: set[str] = set()
        self._losses: Counter[str] = Counter()

    def judge(self, job: Job, promotion: Promotion) -> None:
        """Have the model of a job that succeeded compared with the champion, unless that is done or under way."""
        if job.id in self._asked or job.status != "succeeded" or job.verdict is not None:
            return
        with self._database.read() as connection:
            model = models.of_job(connection, job.id)
            if model is None:
                return
            champion = models.champion_version(connection, model.project, model.name)
            if champion is None:
                return
            message, anchor = self._question(connection, job, model, champion, promotion)
            unfair = None if champion == model.version else _unfair_start(connection, job, model, champion)
            if unfair is not None:
                message = {"do": "remember", "model": self._candidate(connection, model)}

        def decided(answer: Message) -> Verdict:
            if "error" in answer:
                reason = f"It could not be judged: {answer['error']['message']}"
                return Verdict("kept", "not_judged", reason, champion, anchor)
            if champion == model.version:
                return first_version(1) if champion == 1 else serves_already(champion)
            evidence = answer["ok"] if unfair is None else {"incomparable": unfair}
            return decide(promotion, evidence, model.version, champion, anchor)

        self._ask(job.id, message, lambda answer: self._record(job, model, champion, decided(answer)))

    def measure(self, name: str, project: str, dataset: DatasetOutline, on_measured: OnMeasured) -> bool:
        """Have a dataset compared with the one that the champion of `name` learned from; False where nobody serves.

        `on_measured` gets {"ok": what `service.data_check` reads}, {"error"}, or Lost where it has to be asked again.
        """
        with self._database.read() as connection:
            version = models.champion_version(connection, project, name)
            champion = None if version is None else models.get(connection, project, name, version)
            if champion is None:
                return False
            candidate = self._candidate(connection, champion)
        directory = columns_directory(self._settings.storage, dataset.content_key)
        message = {"do": "measure", "champion": candidate, "dataset_directory": str(directory)}
        self._child.ask(message, WORK_SECONDS, on_measured)
        return True

    def _question(
        self, connection: Transaction, job: Job, model: Model, champion: int, promotion: Promotion
    ) -> tuple[Message, int]:
        """What to ask the child, and the version that is the anchor."""
        if champion == model.version:
            return {"do": "remember", "model": self._candidate(connection, model)}, champion
        serving = models.required(connection, model.project, model.name, champion)
        anchor = (serving.verdict or {}).get("anchor") or champion
        held_to = None if anchor == champion else models.get(connection, model.project, model.name, anchor)
        before = [
            each for each in models.versions(connection, model.project, model.name) if each.version < model.version
        ]
        kept = kept_in_a_row([each.verdict for each in before], champion)
        message = {
            "do": "score",
            "challenger": self._candidate(connection, model),
            "champion": self._candidate(connection, serving),
            "anchor": None if held_to is None else self._candidate(connection, held_to),
            "matrix_directory": str(self._settings.storage / "matrices" / str(job.matrix_key)),
            "metric": promotion.metric,
            "confidence": confidence_after(promotion.confidence, kept),
            "linear": promotion.must_beat_linear,
            "seed": int.from_bytes(hashlib.sha256(job.id.encode()).digest()[:8], "big"),
        }
        return message, anchor

    def _candidate(self, connection: Transaction, model: Model) -> dict[str, Any]:
        job = jobs.required(connection, model.job_id)
        dataset = datasets.get(connection, job.dataset_id)
        if dataset is None:
            raise LookupError(job.dataset_id)
        return {
            "spec": job.spec,
            "model_directory": str(self._settings.storage / model.directory),
            "dataset_directory": str(columns_directory(self._settings.storage, dataset.content_key)),
            "request": matrix_request(JobSpec.model_validate(job.spec), dataset.options)._asdict(),
        }

    def _ask(self, job_id: str, message: Message, on_done: Callable[[Message], None]) -> None:
        self._asked.add(job_id)

        def on_answer(answer: Message | Lost) -> None:
            self._asked.discard(job_id)
            if not isinstance(answer, Lost):
                on_done(answer)
                return
            self._losses[job_id] += answer.in_hand
            if self._losses[job_id] >= MOST_LOSSES:
                on_done({"error": {"message": f"scoring it ended its process {MOST_LOSSES} times ({answer.reason})."}})

        self._child.ask(message, WORK_SECONDS, on_answer)

    def _record(self, job: Job, model: Model, champion: int, verdict: Verdict) -> None:
        """Verdict and champion in one transaction; nothing where either has changed meanwhile: it is judged again."""
        kept = verdict.as_json()
        try:
            with self._database.write() as connection:
                if not models.record_verdict(connection, model, kept):
                    return
                jobs.record_verdict(connection, job.id, kept)
                self._move_champion(connection, model, champion, verdict)
                self._notify(connection, job, model, verdict)
        except ChampionMovedError:
            return
        self._losses.pop(job.id, None)
        self._log.info("model_judged", job_id=job.id, version=model.version, verdict=verdict.verdict, code=verdict.code)

    @staticmethod
    def _notify(connection: Transaction, job: Job, model: Model, verdict: Verdict) -> None:
        data = {"job_id": job.id, "model": model.name, "version": model.version, **verdict.as_json()}
        notifications.add(
            connection,
            job.spec.get("notify"),
            project=job.project,
            object_id=job.id,
            event=f"model.{verdict.verdict}",
            data=data,
        )

    @staticmethod
    def _move_champion(connection: Transaction, model: Model, champion: int, verdict: Verdict) -> None:
        """Compare and set: also where nothing moves, the champion must be the one that was compared with."""
        version = model.version if verdict.verdict == "promoted" else champion
        if version == champion:
            unchanged = models.champion_version(connection, model.project, model.name) == champion
        else:
            unchanged = models.promote(
                connection, model.project, model.name, version, verdict.reason, expected=champion
            )
        if not unchanged:
            raise ChampionMovedError


def _unfair_start(connection: Transaction, job: Job, model: Model, champion: int) -> str | None:
    """Why either model may have seen its test rows before its own job began (`warm_start`), or None."""
    serving = jobs.required(connection, models.required(connection, model.project, model.name, champion).job_id)
    for each, whose in ((job, "it"), (serving, f"version {champion}")):
        reason = _unfair_source(connection, each)
        if reason is not None:
            return f"{whose} starts from {reason}"
    return None


def _unfair_source(connection: Transaction, job: Job) -> str | None:
    """The first job, among those that the weights of `job` come from, that had other training rows, and why.

    A job that was scored was looked at then, with all that it comes from.
    """
    split, sides = job.spec["split"], _sides(connection, job)
    source = job
    while source.spec["warm_start"] is not None and not (source.verdict or {}).get("scores"):
        named = source.spec["warm_start"]
        found = jobs.get(connection, named)
        if found is None:
            return f"job {named}, which was deleted, so that nobody knows what it was trained on"
        reason = starts_elsewhere(split, found.spec["split"])
        if reason is None and _sides(connection, found) != sides:
            reason = "had other columns, or others of numbers, and with them other training rows"
        if reason is not None:
            return f"job {named}, which {reason}"
        source = found
    return None


def _sides(connection: Transaction, job: Job) -> dict[str, bool]:
    dataset = datasets.get(connection, job.dataset_id)
    return hashed_columns(job.spec["split"], (dataset and dataset.columns) or [])


def promotion_from_json(saved: Mapping[str, Any]) -> Promotion:
    """A schedule's `promotion`, as the record has it."""
    return Promotion(**{**saved, "floors": saved.get("floors") or {}})
