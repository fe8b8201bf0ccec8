"""Schedules with a check, a promotion or drift, on the record, with the real child: what is held, judged, suggested."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from service.champions import CHECKING, Champions
from service.child import Lost, Message
from service.decisions import Decision
from service.firings import Occasion, fire
from service.logs import Log
from service.preparation import MOST_LOSSES
from service.schedule_edits import edit
from service.schedule_schemas import ScheduleRequest
from service.store import firings, jobs, models, notifications, schedules
from service.store.database import as_text
from service.store.datasets import Dataset
from service.store.firings import Firing
from service.store.jobs import Job
from service.store.schedules import Schedule
from tests.gate.faults import another_unit, half_a_file
from tests.gate.planted import data_of
from tests.gate.recorded import ABALONE, Nights

ROWS = data_of(ABALONE).head(600)
CLEAN = str(ROWS.to_csv(index=False))
MOVED = another_unit(ROWS, "rings")
HOOK = {"url": "https://hooks.example.org/x", "secret_env": "GRADSUM_NOTIFY_SECRET"}
HOOK_EVENTS = ["firing.held", "drift.found", "model.promoted", "model.kept", "model.waiting", "job.cancelled"]
CHECK = {"rows_vs_last": [0.5, 2]}
numbers = count()


class Scene:
    """Nights, the dispatcher's part in champions, and a clock of ours."""

    def __init__(self, nights: Nights) -> None:
        self.nights, self.database = nights, nights.database
        self.now = datetime(2026, 3, 1, tzinfo=UTC)
        self.champions = Champions(nights.database, nights.settings, Log("test"), nights.judging, lambda: self.now)

    def schedule(self, model: str | None = "nightly", **fields: Any) -> Schedule:
        """A schedule on the dataset abalone."""
        fields = {"cron": "@daily", "notify": {**HOOK, "events": HOOK_EVENTS}, **fields}
        job = {"dataset": "abalone", **ABALONE.body, "tracking": {"registered_model": model}}
        request = ScheduleRequest(name=f"champions-{next(numbers)}", job=job, **fields)
        with self.database.write() as connection:
            return schedules.add(
                connection, request.model_dump(), project="default", actor="a", next_due_at=None, seen_dataset=0
            )

    def fired(self, schedule: Schedule, dataset: Dataset, triggered_by: str = "cron") -> str:
        """The id of a job for the dataset, as a due time makes it."""
        self.now += timedelta(days=1)
        with self.database.write() as connection:
            occasion = Occasion(self.now, triggered_by, dataset.id)
            firing = firings.required(connection, fire(connection, self.nights.settings, schedule, occasion, []))
        assert firing.job_id, firing.reason
        return firing.job_id

    def job(self, job_id: str) -> Job:
        with self.database.read() as connection:
            return jobs.required(connection, job_id)

    def ask(self, job_id: str, dataset: Dataset) -> Decision:
        return self.champions.before_training(self.job(job_id), dataset, Decision("prepare"))

    def checked(self, job_id: str, dataset: Dataset) -> Firing:
        """The firing of the job, once its data was looked at."""
        decision = self.ask(job_id, dataset)

        def is_done() -> bool:
            nonlocal decision
            decision = self.ask(job_id, dataset)
            return decision.message != CHECKING

        if decision.message == CHECKING:
            self.nights.wait(is_done)
        firing = self.firing(job_id)
        assert decision.step == ("prepare" if firing.outcome == "fired" else "wait")
        return firing

    def firing(self, job_id: str) -> Firing:
        with self.database.read() as connection:
            found = firings.of_job(connection, job_id)
        assert found is not None
        return found

    def trained_for(self, schedule: Schedule, triggered_by: str = "cron", model: str = "nightly") -> Job:
        """A job of the schedule that has succeeded."""
        job = self.nights.job(CLEAN, model)
        self.now += timedelta(days=1)
        with self.database.write() as connection:
            firings.add(
                connection, schedule_id=schedule.id, due_at=as_text(self.now), triggered_by=triggered_by,
                outcome="fired", reason=None, job_id=job.id,
            )  # fmt: skip
        return job

    def stepped(self, is_done: Callable[[], bool]) -> None:
        """Let the champions be looked after until it is done."""

        def step() -> bool:
            self.champions.step()
            return is_done()

        self.nights.wait(step)

    def rows(self, schedule: Schedule) -> list[Firing]:
        with self.database.read() as connection:
            return firings.listed(connection, schedule.id, limit=100, after=None, outcome=None)[0]

    def webhooks(self, object_id: str) -> list[str]:
        with self.database.read() as connection:
            return [found.event for found in notifications.of_object(connection, object_id)]

    def seen(self, schedule: Schedule) -> tuple[int, int]:
        with self.database.read() as connection:
            found = schedules.required(connection, schedule.id)
        return found.seen_dataset, found.seen_champion

    def edit(self, schedule: Schedule, **changes: Any) -> Schedule:
        names = ScheduleRequest.model_fields
        definition = {name: getattr(schedule, name) for name in names} | changes
        with self.database.write() as connection:
            assert edit(connection, schedule, definition, self.now)
            return schedules.required(connection, schedule.id)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """Version 1 of the model serves."""
    nights = Nights(tmp_path_factory.mktemp("champions"))
    nights.job(CLEAN)
    yield nights
    nights.close()


@pytest.fixture
def scene(nights: Nights) -> Iterator[Scene]:
    with nights.database.write() as connection:
        models.promote(connection, "default", "nightly", 1, "for the next test")
    scene = Scene(nights)
    yield scene
    with nights.database.write() as connection:
        for schedule in schedules.listed(connection, "default", limit=100, after=None, name=None)[0]:
            schedules.delete(connection, schedule.id)


def test_data_that_passes_the_check_is_trained_on_and_looked_at_once(scene: Scene) -> None:
    dataset = scene.nights.dataset(CLEAN)
    job_id = scene.fired(scene.schedule(check=CHECK), dataset)
    assert scene.checked(job_id, dataset).outcome == "fired"
    assert scene.ask(job_id, dataset).step == "prepare"
    scene.champions.forget_all_but(set())
    assert scene.ask(job_id, dataset).message == CHECKING


def test_a_promotion_that_can_not_be_understood_does_not_stop_the_others(scene: Scene) -> None:
    broken = scene.schedule(promotion={})
    scene.trained_for(broken)
    scene.edit(broken, promotion={"odd": 1})
    job = scene.trained_for(scene.schedule(promotion={}))
    scene.stepped(lambda: scene.job(job.id).verdict is not None)


def test_data_that_does_not_pass_holds_the_firing_and_ends_the_job(scene: Scene) -> None:
    dataset = scene.nights.dataset(half_a_file(ROWS, "rings"))
    schedule = scene.schedule(check=CHECK)
    job_id = scene.fired(schedule, dataset)
    firing = scene.checked(job_id, dataset)
    assert (firing.outcome, firing.job_status) == ("held", "cancelled")
    assert "rows_vs_last wants between 0.5 and 2" in (firing.reason or "")
    with scene.database.read() as connection:
        assert jobs.history(connection, job_id)[-1]["reason"] == firing.reason
    assert scene.webhooks(schedule.id) == ["firing.held"]
    assert scene.webhooks(job_id) == ["job.cancelled"]


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ({"min_rows": 601}, "fewer than min_rows 601"),
        ({"max_null_fraction": 0.1}, "has no value in"),
        ({"min_rows": 600, "max_psi": 0.2, "same_columns": True}, None),
    ],
)
def test_without_a_champion_the_data_is_looked_at_by_itself(
    scene: Scene, check: dict[str, Any], says: str | None
) -> None:
    text = ROWS.assign(length=ROWS["length"].mask(ROWS.index % 3 == 0)).to_csv(index=False)
    dataset = scene.nights.dataset(str(text))
    schedule = scene.schedule("nobody-yet", check=check)
    filled = {**schedule.job, "preprocessing": {"missing_values": "mean"}}
    job_id = scene.fired(scene.edit(schedule, job=filled), dataset)
    firing = scene.checked(job_id, dataset)
    assert firing.outcome == ("held" if says else "fired")
    assert (says or "") in (firing.reason or "")


@pytest.mark.parametrize("check", [None, {"max_null_fraction": 0.1}])
def test_data_with_gaps_is_held_by_the_check_or_refused_without_one(scene: Scene, check: dict[str, Any] | None) -> None:
    text = ROWS.assign(length=ROWS["length"].mask(ROWS.index % 4 == 0)).to_csv(index=False)
    dataset = scene.nights.dataset(str(text))
    schedule = scene.schedule("nobody-yet", check=check)
    if check is not None:
        assert scene.checked(scene.fired(schedule, dataset), dataset).outcome == "held"
        return
    with scene.database.write() as connection:
        occasion = Occasion(scene.now + timedelta(days=1), "cron", dataset.id)
        firing = firings.required(connection, fire(connection, scene.nights.settings, schedule, occasion, []))
    assert firing.outcome == "failed_to_submit"
    assert "'length' has no value in" in (firing.reason or "")


def test_a_job_that_its_user_cancels_while_it_is_checked_is_not_held(scene: Scene) -> None:
    dataset = scene.nights.dataset(half_a_file(ROWS, "rings"))
    job_id = scene.fired(scene.schedule(check=CHECK), dataset)
    stale = scene.job(job_id)
    with scene.database.write() as connection:
        jobs.cancel_at_once(connection, stale, "not tonight")
    scene.nights.wait(lambda: scene.champions.before_training(stale, dataset, Decision("prepare")).message != CHECKING)
    assert scene.firing(job_id).outcome == "fired"


def test_a_backfill_is_neither_checked_nor_judged(scene: Scene) -> None:
    dataset = scene.nights.dataset(half_a_file(ROWS, "rings"))
    schedule = scene.schedule(check=CHECK, promotion={"unless_worse_by": 100})
    job_id = scene.fired(schedule, dataset, "backfill")
    assert scene.ask(job_id, dataset).step == "prepare"
    backfilled, later = scene.trained_for(schedule, "backfill"), scene.trained_for(schedule)
    scene.stepped(lambda: scene.job(later.id).verdict is not None)
    assert scene.job(backfilled.id).verdict is None


def test_a_model_is_judged_by_its_schedules_promotion_and_told_of(scene: Scene) -> None:
    schedule = scene.schedule(promotion={"unless_worse_by": 100})
    job = scene.trained_for(schedule)
    scene.stepped(lambda: scene.job(job.id).verdict is not None)
    firing = scene.firing(job.id)
    assert firing.verdict is not None
    assert (firing.verdict["verdict"], firing.verdict["champion"]) == ("promoted", 1), firing.verdict
    with scene.database.read() as connection:
        model = models.of_job(connection, job.id)
    assert model is not None
    assert (model.verdict, scene.nights.champion()) == (firing.verdict, model.version)


def test_without_a_promotion_the_champion_stays_and_a_later_promotion_does_not_judge_the_past(scene: Scene) -> None:
    schedule = scene.schedule()
    before = scene.trained_for(schedule)
    scene.champions.step()
    assert scene.job(before.id).verdict is None
    promotion = ScheduleRequest(name="x", job={}, promotion={"unless_worse_by": 100}).model_dump()["promotion"]
    schedule = scene.edit(schedule, promotion=promotion)
    after = scene.trained_for(schedule)
    scene.stepped(lambda: scene.job(after.id).verdict is not None)
    verdicts = [(scene.job(job.id).verdict or {})["code"] for job in (before, after)]
    assert verdicts == ["not_asked", "not_worse"]


def test_drift_is_suggested_once_for_a_version_and_a_champion(scene: Scene) -> None:
    name = f"live-{next(numbers)}"
    scene.nights.dataset(CLEAN, name)
    schedule = scene.schedule(cron=None, on="drift", drift={"dataset": name, "max_psi": 0.2})
    scene.stepped(lambda: scene.seen(schedule) != (0, 0))
    assert scene.rows(schedule) == []
    moved = scene.nights.dataset(MOVED, name)
    scene.stepped(lambda: scene.seen(schedule) == (moved.sequence, 1))
    scene.champions.step()
    [row] = scene.rows(schedule)
    assert (row.outcome, row.triggered_by, row.job_id) == ("held", "drift", None)
    assert "spread otherwise" in (row.reason or "")
    assert (row.reason or "").endswith(f"To retrain: gradsum schedule trigger {schedule.name}")
    assert sorted(scene.webhooks(schedule.id)) == ["drift.found", "firing.held"]
    scene.now += timedelta(hours=1)
    paused = scene.edit(schedule, paused=True)
    schedule = scene.edit(paused, paused=False)
    assert scene.seen(schedule) == (moved.sequence, 1), "to pause it is no reason to say it again"
    schedule = scene.edit(schedule, drift={**(schedule.drift or {}), "max_psi": 0.1})
    assert scene.seen(schedule) == (0, 0), "another limit is"
    scene.stepped(lambda: len(scene.rows(schedule)) > 1)


def test_drift_retrains_where_so_asked_but_not_before_it_has_cooled_down(scene: Scene) -> None:
    name = f"live-{next(numbers)}"
    scene.nights.dataset(CLEAN)
    drift = {"dataset": name, "max_psi": 0.2, "mode": "run"}
    schedule = scene.schedule(cron=None, on="drift", drift=drift, cool_down_seconds=3600, overlap_policy="queue")
    scene.now = datetime.now(UTC)  # firings are recorded by the clock on the wall
    first = scene.nights.dataset(MOVED, name)
    scene.stepped(lambda: bool(scene.rows(schedule)))
    [row] = scene.rows(schedule)
    assert (row.outcome, row.triggered_by, row.job_status) == ("fired", "drift", "queued"), row.reason
    assert "spread otherwise" in (row.reason or "")
    assert scene.seen(schedule)[0] == first.sequence
    second = scene.nights.dataset(MOVED, name)
    scene.champions.step()
    scene.nights.child.pump()
    assert scene.seen(schedule)[0] == first.sequence
    scene.now += timedelta(hours=2)
    scene.stepped(lambda: scene.seen(schedule)[0] == second.sequence)
    assert [row.outcome for row in scene.rows(schedule)] == ["fired", "fired"]


def test_a_leader_that_stalled_does_not_retrain_after_its_successor_did(scene: Scene) -> None:
    name = f"live-{next(numbers)}"
    scene.nights.dataset(CLEAN)
    drift = {"dataset": name, "max_psi": 0.2, "mode": "run"}
    schedule = scene.schedule(cron=None, on="drift", drift=drift, overlap_policy="queue")
    moved = scene.nights.dataset(MOVED, name)
    nights = scene.nights
    clock = count(1)
    successor = Champions(
        nights.database, nights.settings, Log("test"), nights.judging, lambda: scene.now + timedelta(hours=next(clock))
    )
    nights.wait(lambda: nights.child.ready is not None)
    scene.champions.step()
    successor.step()
    answered = scene.nights.dataset(CLEAN)
    nights.wait(lambda: scene.seen(schedule) == (moved.sequence, 1))
    drained: list[Message | Lost] = []
    assert nights.judging.measure("nightly", "default", answered, drained.append)
    nights.wait(lambda: bool(drained))  # the child answers in order
    assert [row.outcome for row in scene.rows(schedule)] == ["fired"]


def test_by_hand_a_model_waits(scene: Scene) -> None:
    job = scene.trained_for(scene.schedule(promotion={"mode": "manual", "unless_worse_by": 100}))
    scene.stepped(lambda: scene.job(job.id).verdict is not None)
    with scene.database.write() as connection:
        model = models.of_job(connection, job.id)
        assert model is not None
        assert (model.verdict or {})["verdict"] == "waiting"
        models.promote_by_hand(connection, model, "looks good", "alice")
    assert (scene.firing(job.id).verdict or {})["verdict"] == "promoted"
    assert scene.nights.champion() == model.version


def test_a_model_that_was_promoted_by_hand_before_it_was_judged_says_so(scene: Scene) -> None:
    job = scene.trained_for(scene.schedule(promotion={}))
    with scene.database.write() as connection:
        model = models.of_job(connection, job.id)
        assert model is not None
        models.promote_by_hand(connection, model, "in a hurry", "alice")
    scene.stepped(lambda: scene.job(job.id).verdict is not None)
    verdict = scene.job(job.id).verdict or {}
    assert (verdict["verdict"], verdict["code"], verdict["anchor"]) == ("promoted", "by_hand", model.version)
    assert scene.nights.champion() == model.version


def test_a_firing_starts_from_the_weights_of_the_champion_or_the_last_success(scene: Scene) -> None:
    schedule, dataset = scene.schedule(), scene.nights.dataset(CLEAN)
    success = scene.trained_for(schedule)
    with scene.database.read() as connection:
        champion = models.required(connection, "default", "nightly", 1).job_id
    for warm_start, expected in (("last_success", success.id), ("champion", champion)):
        schedule = scene.edit(schedule, job={**schedule.job, "warm_start": warm_start})
        assert scene.job(scene.fired(schedule, dataset)).spec["warm_start"] == expected


def test_data_that_takes_the_child_down_is_held_with_a_sentence(scene: Scene) -> None:
    dataset = scene.nights.dataset(CLEAN)
    job_id = scene.fired(scene.schedule(check=CHECK), dataset)
    child = scene.nights.child
    for _ in range(MOST_LOSSES):
        scene.nights.wait(lambda: child.ready is not None)
        assert scene.ask(job_id, dataset).message == CHECKING
        child.restart("the test wants it")
        child.pump()
    firing = scene.checked(job_id, dataset)
    assert firing.outcome == "held"
    assert (firing.reason or "").startswith("Comparing the data with the champion's ended its process 3 times (")
