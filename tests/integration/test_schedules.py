"""Schedules over HTTP, and what a scheduler with a clock of its own makes of them. No dispatcher runs."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import count
from typing import Any

import pytest

from service import logs
from service.decisions import Decision
from service.firings import Occasion, fire
from service.schedule_definitions import FIELDS
from service.schedule_edits import edit
from service.scheduler import Scheduler
from service.store import datasets, jobs, schedules
from service.store.database import WriteConflictError, as_text
from tests.integration.conftest import Api

FLOWERS = "width,height,kind\n" + "".join(f"{i % 7},{i % 5}.5,{'rose' if i % 2 else 'iris'}\n" for i in range(40))
JOB = {"dataset": "flowers", "target": "kind"}
NAMED = {**JOB, "tracking": {"registered_model": "flowers"}}
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
names = (f"schedule-{number}" for number in count())


@pytest.fixture(scope="module")
def flowers(api: Api) -> str:
    return api.ready_dataset("flowers", FLOWERS)


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time


class Scene:
    """A schedule, a scheduler that fires it, and the clock of both."""

    def __init__(self, api: Api, **fields: Any) -> None:
        self.api, self.clock = api, Clock()
        self.id = added(api, cron="0 * * * *", **fields)["id"]
        self.scheduler = Scheduler(api.database, api.settings, logs.logger("dispatcher"), self.clock)
        with api.database.write() as connection:
            schedule = schedules.required(connection, self.id)
            if schedule.next_due_at is not None:
                schedules.go_on(connection, schedule, next_due_at=as_text(START + HOUR))

    def at(self, hours: float) -> list[tuple[float, str]]:
        """Let the scheduler look at so many hours after the start: the ledger, by hours and outcomes."""
        self.clock.time = START + hours * HOUR
        self.scheduler.step()
        return self.ledger

    @property
    def rows(self) -> list[dict[str, Any]]:
        answer = self.api.http.get(f"/v1/schedules/{self.id}/firings", params={"limit": 1000}).json()
        return sorted(answer["data"], key=lambda row: row["due_at"])

    @property
    def ledger(self) -> list[tuple[float, str]]:
        return [((datetime.fromisoformat(row["due_at"]) - START) / HOUR, row["outcome"]) for row in self.rows]

    def end(self, job_id: str, status: str = "succeeded") -> None:
        """Bring a job to its end."""
        with self.api.database.write() as connection:
            if status == "cancelled":
                jobs.cancel_at_once(connection, jobs.required(connection, job_id), None)
                return
            jobs.move(connection, jobs.required(connection, job_id), "starting")
            jobs.move(connection, jobs.required(connection, job_id), status)

    def before_training(self, job_id: str) -> Decision:
        with self.api.database.read() as connection:
            job = jobs.required(connection, job_id)
            dataset = datasets.get(connection, job.dataset_id)
        assert dataset is not None
        return self.scheduler.before_training(job, dataset, Decision("prepare"))

    def fire_again(self, due_at: datetime) -> None:
        """Do what a second dispatcher would, for a due time that is in the ledger."""
        with self.api.database.write() as connection:
            schedule = schedules.required(connection, self.id)
            fire(connection, self.api.settings, schedule, Occasion(due_at), [])

    def read_from(self, place: int) -> str | None:
        """Where the data of a firing's job is to come from."""
        with self.api.database.read() as connection:
            dataset = datasets.get(connection, jobs.required(connection, self.rows[place]["job_id"]).dataset_id)
        return None if dataset is None else dataset.uri

    def job(self, place: int) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.http.get(f"/v1/jobs/{self.rows[place]['job_id']}").json()
        return answer


def added(api: Api, **fields: Any) -> dict[str, Any]:
    answer = api.http.post("/v1/schedules", json={"name": next(names), "job": JOB, **fields})
    assert answer.status_code == HTTPStatus.CREATED, answer.text
    schedule: dict[str, Any] = answer.json()
    return schedule


@pytest.fixture
def scene(api: Api, flowers: str) -> Iterator[Callable[..., Scene]]:
    assert flowers
    made: list[Scene] = []

    def make(**fields: Any) -> Scene:
        made.append(Scene(api, **fields))
        return made[-1]

    yield make
    for each in made:
        api.http.delete(f"/v1/schedules/{each.id}")


def test_a_schedule_says_when_it_is_due_by_its_own_clock(api: Api, flowers: str) -> None:
    assert flowers
    schedule = added(api, cron="0 3 * * 1", timezone="Europe/Oslo")
    assert schedule["in_words"] == "At 03:00 on Monday, Europe/Oslo time"
    assert len(schedule["next_due_at"]) == 5
    for due in map(datetime.fromisoformat, schedule["next_due_at"]):
        assert (due.hour, due.minute, due.weekday()) == (3, 0, 0)
        assert due.utcoffset() in {HOUR, 2 * HOUR}
    assert api.http.get(f"/v1/schedules/{schedule['name']}").json()["id"] == schedule["id"]
    listed = api.http.get("/v1/schedules", params={"name": schedule["name"]}).json()["data"]
    assert [found["id"] for found in listed] == [schedule["id"]]
    assert api.http.delete(f"/v1/schedules/{schedule['id']}").json()["deleted"]
    assert api.http.get(f"/v1/schedules/{schedule['id']}").status_code == HTTPStatus.NOT_FOUND


REFUSED = {
    "B44 minute": ({"cron": "61 * * * *"}, "cron", "'61' as minute (field 1 of 5)"),
    "B44 four fields": ({"cron": "0 3 * *"}, "cron", "has 4 fields; it needs 5"),
    "B44 step": ({"cron": "*/0 * * * *"}, "cron", "'*/0' as minute (field 1 of 5): a step is a number from 1 to 59"),
    "B44 reboot": ({"cron": "@reboot"}, "cron", "does not know '@reboot'; there are @yearly"),
    "B44 never": ({"cron": "0 0 31 2 *"}, "cron", "never fires: no month that it names has such a day"),
    "B44 every second": ({"cron": "* * * * * *"}, "cron", "There are no seconds"),
    "B44 digits": ({"cron": "\u0661 3 * * *"}, "cron", "as minute (field 1 of 5): it takes numbers from 0 to 59"),
    "B44 empty": ({"cron": " "}, "cron", "has 0 fields; it needs 5"),
    "B44 zone": ({"cron": "@daily", "timezone": "Mars/X"}, "timezone", "'Mars/X' is not a time zone of the IANA"),
    "B44 near zone": ({"cron": "@daily", "timezone": "europe/olso"}, "timezone", "did you mean 'Europe/Oslo'?"),
    "B45 too frequent": ({"cron": "*/30 * * * * *"}, "cron", "a schedule fires at most once a minute"),
    "B45 policy": ({"cron": "@daily", "overlap_policy": "alow"}, "overlap_policy", "'skip'"),
    "B45 near policy": ({"cron": "@daily", "overlap_policy": "cancel-running"}, "overlap_policy", "'cancel_running'"),
    "placeholder": (
        {"cron": "@daily", "job": {**JOB, "dataset": {"uri": "https://example.org/{date}.csv"}}},
        "job.dataset.uri",
        "'{date}' in it, which nothing fills in; there are {due_date} and {due_at}",
    ),
    "no cron": ({}, "cron", "is required"),
    "cron beside data": ({"cron": "@daily", "on": "new_data"}, "cron", "must be null"),
    "unknown field": ({"cron": "@daily", "time_zone": "UTC"}, "time_zone", "did you mean 'timezone'"),
    "in the job": ({"cron": "@daily", "job": {**JOB, "training": {"epochs": 0}}}, "job.training.epochs", "at least 1"),
    "no dataset": ({"cron": "@daily", "job": {**JOB, "dataset": "none"}}, "job.dataset", "no dataset 'none'"),
    "a version": ({"on": "new_data", "job": {**JOB, "dataset": "flowers@1"}}, "job.dataset", "without a version"),
    "no drift": ({"on": "drift"}, "drift", "is required"),
    "drift of a version": (
        {"on": "drift", "job": NAMED, "drift": {"dataset": "flowers@1"}},
        "drift.dataset",
        "without a version",
    ),
    "drift of nothing": ({"on": "drift", "job": NAMED, "drift": {"dataset": "none"}}, "drift.dataset", "no 'none'"),
    "no test rows": (
        {
            "cron": "@daily",
            "promotion": {},
            "job": {**JOB, "split": {"test": 0}, "tracking": {"registered_model": "flowers"}},
        },
        "job.split.test",
        "set split.test",
    ),
    "no model": ({"cron": "@daily", "promotion": {}}, "job.tracking.registered_model", "needs a model to promote"),
    "promotion by row": (
        {"cron": "@daily", "promotion": {}, "job": {**NAMED, "split": {"by": "row"}}},
        "job.split.by",
        "Split by hash, group or time",
    ),
    "promotion by strata": (
        {"cron": "@daily", "promotion": {}, "job": {**NAMED, "split": {"stratify": True}}},
        "job.split.stratify",
        "Split by hash, group or time",
    ),
    "a metric of another task": (
        {"cron": "@daily", "promotion": {"metric": "test_r2"}, "job": NAMED},
        "promotion.metric",
        "is a classification, so it has no test_r2",
    ),
    "a floor of another task": (
        {"cron": "@daily", "promotion": {"floors": {"test_r2": 0.5}}, "job": NAMED},
        "promotion.floors.test_r2",
        "has no test_r2",
    ),
    "metric": ({"cron": "@daily", "promotion": {"metric": "loss"}}, "promotion.metric", "'test_loss'"),
    "check": ({"cron": "@daily", "check": {"rows_vs_last": [2, 0.5]}}, "check.rows_vs_last", "smaller one first"),
    "whose champion": ({"cron": "@daily", "job": {**JOB, "warm_start": "champion"}}, "job.warm_start", "registered"),
    "a file that may come elsewhere": (
        {"cron": "@daily", "job": {**JOB, "dataset": {"uri": "file:///etc/{due_date}.csv"}}},
        "job.dataset.uri",
        "GRADSUM_IMPORT_ROOTS",
    ),
    "name": ({"cron": "@daily", "name": "sch_1"}, "name", "like an id"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_nonsense_is_refused_with_its_field_and_leaves_nothing(api: Api, flowers: str, row: str) -> None:
    assert flowers
    fields, field, says = REFUSED[row]
    before = api.left()
    answer = api.http.post("/v1/schedules", json={"name": "refused", "job": JOB, **fields})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text
    errors = answer.json()["errors"]
    assert field in [error["field"] for error in errors], errors
    assert says in " ".join(error["message"] for error in errors)
    assert api.left() == before


def test_a_repeated_request_makes_one_schedule_and_a_name_is_taken_once(api: Api, flowers: str) -> None:
    assert flowers
    body = {"name": "once", "cron": "@daily", "job": JOB}
    first, second = (api.http.post("/v1/schedules", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    taken = api.http.post("/v1/schedules", json=body)
    assert (taken.status_code, taken.json()["type"]) == (HTTPStatus.CONFLICT, "/problems/name_taken")
    triggers = [
        api.http.post("/v1/schedules/once/trigger", headers={"Idempotency-Key": "t"}).json()["id"] for _ in range(2)
    ]
    assert triggers[0] == triggers[1]


def test_each_due_time_makes_one_job(scene: Callable[..., Scene]) -> None:
    nightly = scene()
    assert nightly.at(0.5) == []
    assert nightly.at(1.001) == [(1, "fired")]
    assert nightly.at(1.5) == [(1, "fired")]
    job = nightly.job(0)
    assert job["spec"]["split"]["test"] == 0.1
    assert job["name"] == nightly.api.http.get(f"/v1/schedules/{nightly.id}").json()["name"]
    nightly.end(job["id"])
    nightly.at(2.001)
    assert [(row["outcome"], row["job_status"]) for row in nightly.rows] == [
        ("fired", "succeeded"),
        ("fired", "queued"),
    ]


def test_a_job_that_is_deleted_leaves_its_row_and_a_schedule_that_is_deleted_its_jobs(
    scene: Callable[..., Scene],
) -> None:
    nightly = scene()
    nightly.at(1)
    job = nightly.job(0)
    nightly.end(job["id"])
    assert nightly.api.http.delete(f"/v1/jobs/{job['id']}").status_code == HTTPStatus.OK
    assert [(row["outcome"], row["job_id"]) for row in nightly.rows] == [("fired", None)]
    span = {"from": "2026-03-01T13:00:00Z", "to": "2026-03-01T13:00:00Z"}
    assert nightly.api.http.post(f"/v1/schedules/{nightly.id}/backfill", json=span).json()["data"] == []
    nightly.at(2)
    job = nightly.job(1)
    nightly.api.http.delete(f"/v1/schedules/{nightly.id}")
    assert nightly.api.http.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued"


def test_the_ledger_says_why_a_job_failed(scene: Callable[..., Scene]) -> None:
    nightly = scene()
    nightly.at(1)
    with nightly.api.database.write() as connection:
        job = jobs.required(connection, nightly.rows[0]["job_id"])
        jobs.fail(connection, job, {"code": "ragged_row", "message": "Row 3 has 2 values, the header has 3."})
    [row] = nightly.rows
    told = (row["outcome"], row["job_status"], row["reason"])
    assert told == ("fired", "failed", "Row 3 has 2 values, the header has 3.")


def test_overlap_skips_queues_or_cancels(scene: Callable[..., Scene]) -> None:
    skips, queues, cancels = (scene(overlap_policy=policy) for policy in ("skip", "queue", "cancel_running"))
    for each in (skips, queues, cancels):
        for hour in (1, 2, 3):
            each.at(hour)
    assert [row for _, row in skips.ledger] == ["fired", "skipped_overlap", "skipped_overlap"]
    assert skips.rows[0]["job_id"] in skips.rows[1]["reason"]
    assert [row for _, row in queues.ledger] == ["fired", "fired", "skipped_overlap"]
    assert [row["job_status"] for row in cancels.rows] == ["cancelling", "cancelling", "queued"]


def test_a_queued_firing_waits_for_the_one_before_it(scene: Callable[..., Scene]) -> None:
    nightly = scene(overlap_policy="queue")
    nightly.at(1)
    nightly.at(2)
    first, second = (row["job_id"] for row in nightly.rows)
    assert nightly.before_training(first).step == "prepare"
    waits = nightly.before_training(second)
    assert (waits.step, waits.code) == ("wait", "waiting_for_earlier_job")
    nightly.end(first, "cancelled")
    assert nightly.before_training(second).step == "prepare"


def test_what_is_caught_up_trains_in_the_order_of_its_due_times(scene: Callable[..., Scene]) -> None:
    nightly = scene(catch_up="all")
    nightly.at(2)
    first, second = (row["job_id"] for row in nightly.rows)
    assert nightly.before_training(first).step == "prepare"
    waits = nightly.before_training(second)
    assert (waits.step, "catch_up: all" in waits.message) == ("wait", True)
    nightly.end(first, "cancelled")
    assert nightly.before_training(second).step == "prepare"


def test_what_was_missed_is_caught_up_within_the_window_and_listed(scene: Callable[..., Scene]) -> None:
    window = {"catch_up_window_seconds": 2 * 3600}
    latest, every, none = (scene(catch_up=policy, **window) for policy in ("latest", "all", "skip"))
    old = [(1, "missed"), (2, "missed")]
    assert latest.at(4.5) == [*old, (3, "coalesced"), (4, "fired")]
    assert every.at(4.5) == [*old, (3, "fired"), (4, "fired")]
    assert none.at(4.5) == [*old, (3, "missed"), (4, "missed")]
    assert all(row["reason"] for row in none.rows)


def test_a_clock_that_jumps_fires_at_most_once_and_never_again(scene: Callable[..., Scene]) -> None:
    nightly = scene()
    assert [hour for hour, outcome in nightly.at(24.5) if outcome == "fired"] == [24]
    ledger = nightly.ledger
    for back in (0, 1, 23.5, 24, 24.9):
        assert nightly.at(back) == ledger
    nightly.api.http.post(f"/v1/schedules/{nightly.id}/pause")
    nightly.api.http.post(f"/v1/schedules/{nightly.id}/resume")
    assert [row for row in nightly.at(24.9) if row[1] == "fired"] == [(24, "fired")]


def test_after_a_year_without_a_dispatcher_the_ledger_says_so_in_a_few_rows(scene: Callable[..., Scene]) -> None:
    nightly = scene()
    nightly.at(24 * 365 + 0.5)
    assert [outcome for _, outcome in nightly.ledger] == ["missed", "fired"]
    assert nightly.rows[0]["due_times"] == 24 * 365 - 1


def test_an_edit_never_fires_the_past(scene: Callable[..., Scene]) -> None:
    nightly = scene()
    nightly.at(1)
    answer = nightly.api.http.patch(f"/v1/schedules/{nightly.id}", json={"cron": "30 * * * *", "job": {"priority": 7}})
    assert answer.status_code == HTTPStatus.OK, answer.text
    assert answer.json()["job"] == {**JOB, "priority": 7}
    outcomes = [row["outcome"] for row in nightly.rows]
    assert outcomes.count("fired") == 1
    assert "missed" in outcomes  # the clock of the API is years ahead of the scheduler's
    assert len(nightly.at(2)) == len(outcomes)
    assert (
        nightly.api.http.patch(f"/v1/schedules/{nightly.id}", json={"cron": "x"}).json()["errors"][0]["field"] == "cron"
    )


def test_nothing_comes_due_while_it_is_paused_but_it_can_be_triggered(scene: Callable[..., Scene]) -> None:
    nightly = scene(paused=True)
    assert nightly.at(30) == []
    firing = nightly.api.http.post(f"/v1/schedules/{nightly.id}/trigger")
    assert firing.status_code == HTTPStatus.CREATED
    assert (firing.json()["outcome"], firing.json()["triggered_by"]) == ("fired", "user")
    assert nightly.api.http.post(f"/v1/schedules/{nightly.id}/trigger").json()["outcome"] == "skipped_overlap"


def test_a_job_that_is_refused_is_a_row_with_the_reason(scene: Callable[..., Scene]) -> None:
    passing = scene(job={**JOB, "dataset": scene_dataset(scene)})
    with passing.api.database.write() as connection:
        found = datasets.find(
            connection, "default", passing.api.http.get(f"/v1/schedules/{passing.id}").json()["job"]["dataset"]
        )
        assert found is not None
        datasets.delete(connection, found.id)
    assert passing.at(1) == [(1, "failed_to_submit")]
    assert "There is no dataset" in passing.rows[0]["reason"]
    path = f"/v1/schedules/{passing.id}"
    assert passing.api.http.post(f"{path}/pause").json()["paused"]
    assert passing.api.http.patch(path, json={"catch_up": "skip"}).status_code == HTTPStatus.OK
    refused = passing.api.http.patch(path, json={"job": {"priority": 7}})
    assert refused.json()["errors"][0]["field"] == "job.dataset"


def scene_dataset(scene: Callable[..., Scene]) -> str:
    name = next(names).replace("schedule", "dataset")
    scene(paused=True).api.ready_dataset(name, FLOWERS)
    return name


def test_unchanged_data_is_not_trained_again_where_so_asked(scene: Callable[..., Scene]) -> None:
    nightly = scene(on_unchanged_data="skip")
    nightly.at(1)
    nightly.end(nightly.rows[0]["job_id"])
    assert nightly.at(2) == [(1, "fired"), (2, "unchanged")]
    assert nightly.rows[0]["job_id"] in nightly.rows[1]["reason"]
    assert nightly.api.http.post(f"/v1/schedules/{nightly.id}/trigger").json()["outcome"] == "fired"


def test_data_that_turns_out_unchanged_once_it_is_read_ends_the_job(scene: Callable[..., Scene]) -> None:
    nightly = scene(on_unchanged_data="skip", overlap_policy="queue")
    nightly.at(1)
    nightly.at(2)
    first, second = (row["job_id"] for row in nightly.rows)
    nightly.end(first)
    assert nightly.before_training(second).step == "wait"
    assert [(row["outcome"], row["job_status"]) for row in nightly.rows][1] == ("unchanged", "cancelled")
    assert "on_unchanged_data" in nightly.job(1)["transitions"][-1]["reason"]


def test_warm_starts_are_resolved_when_it_fires(scene: Callable[..., Scene]) -> None:
    nightly = scene(job={**JOB, "warm_start": "last_success"}, overlap_policy="queue")
    nightly.at(1)
    job = nightly.job(0)
    assert job["spec"]["warm_start"] is None
    assert any("starts fresh" in warning for warning in job["warnings"])
    champion = scene(job={**JOB, "warm_start": "champion", "tracking": {"registered_model": "no-champion-yet"}})
    champion.at(1)
    assert any("no champion yet" in warning for warning in champion.job(0)["warnings"])


def test_the_name_of_a_model_is_kept_as_jobs_keep_it(api: Api, flowers: str) -> None:
    assert flowers
    job = {**JOB, "tracking": {"registered_model": " flowers "}}
    schedule = added(api, on="drift", drift={"dataset": "flowers"}, job=job)
    assert schedule["job"]["tracking"]["registered_model"] == "flowers"
    api.http.delete(f"/v1/schedules/{schedule['id']}")


TEMPLATE = {"uri": "https://example.org/{due_date}/flowers.csv?at={due_at}", "name": "fetched"}


def test_each_due_time_reads_its_own_uri_and_a_backfill_the_same(scene: Callable[..., Scene]) -> None:
    nightly = scene(job={**JOB, "dataset": TEMPLATE}, timezone="Pacific/Auckland", catch_up="skip")
    nightly.at(2.5)
    assert nightly.at(3) == [(1, "missed"), (2, "missed"), (3, "fired")]
    span = {"from": "2026-03-01T13:00:00Z", "to": "2026-03-01T13:00:00Z"}
    assert nightly.api.http.post(f"/v1/schedules/{nightly.id}/backfill", json=span).status_code == HTTPStatus.CREATED
    assert nightly.read_from(2) == "https://example.org/2026-03-02/flowers.csv?at=2026-03-01T15:00:00Z"
    assert nightly.read_from(0) == "https://example.org/2026-03-02/flowers.csv?at=2026-03-01T13:00:00Z"


def test_a_firing_that_comes_second_leaves_neither_job_nor_import(scene: Callable[..., Scene]) -> None:
    nightly = scene(job={**JOB, "dataset": TEMPLATE}, overlap_policy="queue")
    nightly.at(1)
    before = nightly.api.left()
    with pytest.raises(WriteConflictError):
        nightly.fire_again(START + HOUR)
    assert nightly.api.left() == before


def test_an_edit_and_a_dispatcher_at_once_leave_one_row_for_a_due_time(scene: Callable[..., Scene]) -> None:
    nightly = scene()
    with nightly.api.database.read() as connection:
        seen = schedules.required(connection, nightly.id)
    assert nightly.at(1) == [(1, "fired")]  # after the edit has read the schedule, and before it writes
    definition = {name: getattr(seen, name) for name in FIELDS} | {"cron": "30 * * * *"}
    with nightly.api.database.write() as connection:
        assert edit(connection, seen, definition, START + 1.1 * HOUR)
    assert nightly.ledger == [(1, "fired")]
    nightly.scheduler._fire_due(seen, START + 2 * HOUR)
    assert nightly.ledger == [(1, "fired")]
    with nightly.api.database.write() as connection:
        assert not edit(connection, seen, definition, START + 2 * HOUR)
    nightly.end(nightly.rows[0]["job_id"])
    assert nightly.at(2) == [(1, "fired"), (1.5, "fired")]


def test_a_schedule_that_can_not_be_understood_does_not_stop_the_others(scene: Callable[..., Scene]) -> None:
    broken, nightly = scene(), scene()
    with nightly.api.database.write() as connection:
        schedules.go_on(connection, schedules.required(connection, broken.id), cron="not one", next_due_at="0001-01-01")
    assert nightly.at(1) == [(1, "fired")]
    assert broken.ledger == []
    with nightly.api.database.write() as connection:
        schedules.go_on(connection, schedules.required(connection, broken.id), cron="0 * * * *")


def test_a_schedule_shows_its_webhooks(scene: Callable[..., Scene]) -> None:
    url, events = "https://hooks.example.org/x", ["firing.fired", "firing.skipped_overlap", "job.cancelled"]
    nightly = scene(notify={"url": url, "secret_env": "GRADSUM_NOTIFY_SECRET", "events": events})
    nightly.at(1)
    nightly.at(2)
    shown = nightly.api.http.get(f"/v1/schedules/{nightly.id}").json()["notifications"]
    assert [(found["event"], found["status"]) for found in shown] == [
        ("firing.skipped_overlap", "pending"),
        ("firing.fired", "pending"),
    ]
    nightly.end(nightly.rows[0]["job_id"], "cancelled")
    assert [found["event"] for found in nightly.job(0)["notifications"]] == ["job.cancelled"]


def test_new_data_fires_once_a_version_and_not_before_it_has_cooled_down(scene: Callable[..., Scene], api: Api) -> None:
    name = scene_dataset(scene)
    schedule = added(api, on="new_data", job={**JOB, "dataset": name}, cool_down_seconds=3600, overlap_policy="queue")
    clock = Clock()
    clock.time = datetime.now(UTC)
    scheduler = Scheduler(api.database, api.settings, logs.logger("dispatcher"), clock)

    def fired() -> list[str]:
        scheduler.step()
        rows = api.http.get(f"/v1/schedules/{schedule['id']}/firings").json()["data"]
        return [row["outcome"] for row in rows]

    assert fired() == []
    api.ready_dataset(name, FLOWERS + "1,2.5,rose\n")
    assert fired() == ["fired"]
    assert fired() == ["fired"]
    newest = api.ready_dataset(name, FLOWERS + "2,2.5,rose\n")
    assert fired() == ["fired"]
    clock.time += 2 * HOUR
    assert fired() == ["fired"] * 2
    row = api.http.get(f"/v1/schedules/{schedule['id']}/firings").json()["data"][0]
    assert api.http.get(f"/v1/jobs/{row['job_id']}").json()["requested"]["dataset"] == newest
    api.http.delete(f"/v1/schedules/{schedule['id']}")


def test_new_data_that_comes_while_a_job_runs_fires_when_it_has_ended(scene: Callable[..., Scene], api: Api) -> None:
    name = scene_dataset(scene)
    schedule = added(api, on="new_data", job={**JOB, "dataset": name}, cool_down_seconds=0)
    path = f"/v1/schedules/{schedule['id']}"
    scheduler = Scheduler(api.database, api.settings, logs.logger("dispatcher"))

    def rows() -> list[dict[str, Any]]:
        scheduler.step()
        found: list[dict[str, Any]] = api.http.get(f"{path}/firings").json()["data"]
        return found

    def end(job_id: str) -> None:
        with api.database.write() as connection:
            jobs.cancel_at_once(connection, jobs.required(connection, job_id), None)

    api.ready_dataset(name, FLOWERS + "1,2.5,rose\n")
    [first] = rows()
    api.ready_dataset(name, FLOWERS + "2,2.5,rose\n")
    assert [row["outcome"] for row in rows()] == ["fired"]
    end(first["job_id"])
    assert [row["outcome"] for row in rows()] == ["fired", "fired"]
    end(rows()[0]["job_id"])
    api.ready_dataset(name, FLOWERS + "3,2.5,rose\n")
    asked = api.http.post(f"{path}/trigger").json()
    end(asked["job_id"])
    assert len(rows()) == 3  # what was asked for has trained on the newest
    api.http.delete(path)


def test_a_backfill_makes_up_for_due_times_without_a_job(scene: Callable[..., Scene]) -> None:
    nightly = scene(catch_up="skip")
    nightly.at(2.5)
    span = {"from": "2026-03-01T13:00:00Z", "to": "2026-03-01T15:00:00Z"}
    path = f"/v1/schedules/{nightly.id}/backfill"
    planned = nightly.api.http.post(path, json=span, params={"dry_run": "true"})
    assert [row["outcome"] for row in planned.json()["data"]] == ["missed", "missed", None]
    made = nightly.api.http.post(path, json=span).json()["data"]
    assert [(row["outcome"], row["backfill"]) for row in made] == [("fired", True)] * 3
    assert "it was missed" in made[0]["reason"]
    assert nightly.api.http.post(path, json=span).json()["data"] == []
    assert [outcome for _, outcome in nightly.at(3)] == ["fired"] * 3
    assert nightly.at(4)[-1] == (4, "fired")  # though none of the backfill's jobs has ended
    for wrong, field in (({**span, "to": "2020-01-01"}, "to"), ({**span, "from": "yesterday!"}, "from"), ({}, "from")):
        answer = nightly.api.http.post(path, json=wrong)
        assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert answer.json()["errors"][0]["field"] == field
    assert nightly.api.http.post(path, json={**span, "to": "2026-11-01"}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY


@pytest.mark.parametrize("timezone", ["UTC", "Pacific/Auckland", "America/Lima"])
def test_a_backfill_at_the_ends_of_the_calendar_is_refused_or_empty(scene: Callable[..., Scene], timezone: str) -> None:
    nightly = scene(timezone=timezone)
    path = f"/v1/schedules/{nightly.id}/backfill"
    for span in ({"from": "0001-01-01", "to": "2026-03-01"}, {"from": "1969-12-30", "to": "9999-12-31"}):
        refused = nightly.api.http.post(path, json=span)
        assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert refused.json()["errors"][0]["field"] == "from"
    for text in ("yesterday", "", "20260301", "2026-W09-1"):
        refused = nightly.api.http.post(path, json={"from": text, "to": "2026-03-01"})
        assert "such as 2026-11-01 or 2026-11-01T03:00:00Z, not" in refused.json()["detail"]
    later = nightly.api.http.post(path, json={"from": "9999-12-30", "to": "9999-12-31"})
    assert (later.status_code, later.json()["data"]) == (HTTPStatus.CREATED, [])
    today = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    now = nightly.api.http.post(path, json={"from": today, "to": "9999-12-31"})
    assert now.status_code == HTTPStatus.CREATED


def test_a_webhook_without_its_secret_is_a_warning(api: Api, flowers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notify = {"url": "https://example.org/hook", "secret_env": "HOOK_SECRET"}
    for is_set in (False, True):
        if is_set:
            monkeypatch.setenv("HOOK_SECRET", "s")
        schedule = added(api, on="new_data", paused=True, job={**JOB, "notify": notify})
        jobs_answers = [
            api.http.post("/v1/jobs", params=parameters, json={**JOB, "dataset": flowers, "notify": notify}).json()
            for parameters in ({}, {"dry_run": "true"})
        ]
        for answer in (schedule, *jobs_answers):
            assert any("HOOK_SECRET is not set" in warning for warning in answer["warnings"]) is not is_set
