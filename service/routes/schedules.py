"""Schedules: jobs that are made at due times or when data changes, and the ledger of what became of each."""

import os
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse

from service.errors import ConflictError, NotFoundError
from service.firings import Occasion, fire, jobs_beside
from service.notifications.rules import unset_secret
from service.routes.context import PROJECT, Actor, After, Context, InContext, Limit, Name
from service.routes.idempotency import Key, check_key, made_before, made_once, remember
from service.schedule_definitions import merged, read_definition
from service.schedule_edits import edit, next_due, seen_dataset
from service.schedule_schemas import (
    CHANGES_EXAMPLES,
    SCHEDULE_EXAMPLES,
    FiringDocument,
    FiringList,
    OneScheduleDocument,
    Outcome,
    ScheduleChanges,
    ScheduleDescription,
    ScheduleList,
)
from service.schedule_views import firing_view, schedule_view
from service.schemas import DeletedDocument, Described
from service.store import firings, notifications, schedules
from service.store.database import Transaction
from service.store.schedules import Schedule
from service.strict_route import StrictRoute
from service.views import View, deleted_view, notification_view, page_view
from workers.spec import Notify

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=StrictRoute)

WEBHOOKS_SHOWN = 20
"""Of those about a schedule's due times and its data; those about its jobs are shown by the jobs."""

ScheduleBody = Annotated[Any, Described(ScheduleDescription), Body(openapi_examples=SCHEDULE_EXAMPLES)]
PatchBody = Annotated[Any, Described(ScheduleChanges), Body(openapi_examples=CHANGES_EXAMPLES)]
OneSchedule: dict[int | str, dict[str, Any]] = {200: {"model": OneScheduleDocument}}


@router.post("", status_code=201, responses={201: {"model": OneScheduleDocument}})
def add_schedule(context: InContext, actor: Actor, body: ScheduleBody, idempotency_key: Key = None) -> JSONResponse:
    """Accept a schedule; its job is tried with the first due time."""
    check_key(idempotency_key)
    view = _view(context, _added(context, actor, idempotency_key, body).id)
    return JSONResponse(view, 201, {"Location": f"/v1/schedules/{view['id']}"})


@router.get("", responses={200: {"model": ScheduleList}})
def list_schedules(context: InContext, limit: Limit = 100, after: After = None, name: Name = None) -> JSONResponse:
    """The schedules, newest first."""
    now = datetime.now(UTC)
    with context.database.read() as connection:
        found, has_more = schedules.listed(connection, PROJECT, limit=limit, after=after, name=name)
    return JSONResponse(page_view([schedule_view(schedule, now) for schedule in found], has_more=has_more))


@router.get("/{schedule}", responses=OneSchedule)
def show_schedule(context: InContext, schedule: str) -> JSONResponse:
    """One schedule, by its id or name."""
    return JSONResponse(_view(context, schedule))


@router.patch("/{schedule}", responses=OneSchedule)
def edit_schedule(context: InContext, actor: Actor, schedule: str, body: PatchBody) -> JSONResponse:
    """Change the fields that are given, of `job` too; due times that have passed never fire because of an edit."""
    return JSONResponse(_edited(context, schedule, body, actor))


@router.post("/{schedule}/pause", responses=OneSchedule)
def pause_schedule(context: InContext, actor: Actor, schedule: str, idempotency_key: Key = None) -> JSONResponse:
    """Let nothing come due until it is resumed; jobs that it made go on."""
    check_key(idempotency_key)
    return JSONResponse(_edited(context, schedule, {"paused": True}, actor, idempotency_key))


@router.post("/{schedule}/resume", responses=OneSchedule)
def resume_schedule(context: InContext, actor: Actor, schedule: str, idempotency_key: Key = None) -> JSONResponse:
    """Go on with the next due time; those that passed meanwhile do not fire."""
    check_key(idempotency_key)
    return JSONResponse(_edited(context, schedule, {"paused": False}, actor, idempotency_key))


@router.delete("/{schedule}", responses={200: {"model": DeletedDocument}})
def delete_schedule(context: InContext, schedule: str) -> JSONResponse:
    """Forget a schedule with its ledger; the jobs that it made stay."""
    with context.database.write() as connection:
        found = required_schedule(connection, schedule)
        schedules.delete(connection, found.id)
    return JSONResponse(deleted_view("schedule", found.id))


@router.post("/{schedule}/trigger", status_code=201, responses={201: {"model": FiringDocument}})
def trigger_schedule(context: InContext, actor: Actor, schedule: str, idempotency_key: Key = None) -> JSONResponse:
    """Fire now, also where it is paused or the data is unchanged; the overlap policy holds."""
    check_key(idempotency_key)
    asked = {"trigger": schedule}
    with context.database.write() as connection:
        firing = made_before(connection, actor, idempotency_key, asked, firings.get)
        if firing is None:
            found = required_schedule(connection, schedule)
            beside = jobs_beside(connection, found)
            occasion = Occasion(datetime.now(UTC), "user", actor=actor)
            firing_id = fire(connection, context.settings, found, occasion, beside)
            _mark_seen(connection, found, firing_id)
            remember(connection, actor, idempotency_key, asked, firing_id)
            firing = firings.required(connection, firing_id)
        return JSONResponse(firing_view(firing), 201)


@router.get("/{schedule}/firings", responses={200: {"model": FiringList}})
def list_firings(
    context: InContext,
    schedule: str,
    limit: Limit = 100,
    after: After = None,
    outcome: Annotated[Outcome | None, Query(description="Only those that ended so")] = None,
) -> JSONResponse:
    """The ledger: what became of each due time, newest first."""
    with context.database.read() as connection:
        found = required_schedule(connection, schedule)
        rows, has_more = firings.listed(connection, found.id, limit=limit, after=after, outcome=outcome)
    return JSONResponse(page_view([firing_view(row) for row in rows], has_more=has_more))


def required_schedule(connection: Transaction, reference: str) -> Schedule:
    """The schedule with this id or name; NotFoundError where there is none."""
    is_id = reference.startswith("sch_")
    found = schedules.get(connection, reference) if is_id else schedules.find(connection, PROJECT, reference)
    if found is None or found.project != PROJECT:
        raise NotFoundError(f"There is no schedule '{reference}'.")
    return found


def _added(context: Context, actor: str, key: str | None, body: object) -> Schedule:
    """The schedule that this body makes, or that it made before under the same key."""
    now = datetime.now(UTC)
    with context.database.read() as connection:
        schedule = made_before(connection, actor, key, body, schedules.get)
        if schedule is not None:
            return schedule
        definition = read_definition(connection, context.settings, PROJECT, body, now)
    with context.database.write() as connection:  # it may have been made meanwhile
        return made_once(connection, actor, key, body, schedules.get, lambda: _add(connection, actor, definition, now))


def _add(connection: Transaction, actor: str, definition: dict[str, Any], now: datetime) -> Schedule:
    _check_name(connection, definition["name"], None)
    due, seen = next_due(definition, now), seen_dataset(connection, PROJECT, definition)
    return schedules.add(connection, definition, project=PROJECT, actor=actor, next_due_at=due, seen_dataset=seen)


def _edited(context: Context, reference: str, body: object, actor: str, key: str | None = None) -> View:
    """The schedule with the fields of `body` changed, unless they were before under the same key."""
    now = datetime.now(UTC)
    asked = {"edit": reference, "body": body}
    while True:  # somebody may edit it in between
        with context.database.read() as connection:
            before = made_before(connection, actor, key, asked, schedules.get)
            schedule = before or required_schedule(connection, reference)
            if before is not None:
                break
            changed = merged(schedule, body)
            definition = read_definition(connection, context.settings, PROJECT, changed, now, schedule)
        with context.database.write() as connection:
            _check_name(connection, definition["name"], schedule.id)
            if edit(connection, schedule, definition, now):
                remember(connection, actor, key, asked, schedule.id)
                break
    return _view(context, schedule.id)


def _mark_seen(connection: Transaction, schedule: Schedule, firing_id: str) -> None:
    """A job that somebody asked for trains on the newest version: it need not set the schedule off again."""
    if schedule.on == "new_data" and firings.required(connection, firing_id).outcome == "fired":
        newest = schedules.newest_version(connection, PROJECT, schedule.job["dataset"])
        schedules.go_on(connection, schedule, seen_dataset=newest)


def _check_name(connection: Transaction, name: str, own_id: str | None) -> None:
    other = schedules.find(connection, PROJECT, name)
    if other is not None and other.id != own_id:
        message = (
            f"There is a schedule '{name}' already. Choose another name, or change that one: gradsum schedule edit, "
            f"PATCH /v1/schedules/{{name}}."
        )
        raise ConflictError(message, code="name_taken", field="name")


def _view(context: Context, reference: str) -> View:
    with context.database.read() as connection:
        schedule = required_schedule(connection, reference)
        shown = [notification_view(found) for found in notifications.newest(connection, schedule.id, WEBHOOKS_SHOWN)]
    notify = schedule.notify or schedule.job.get("notify")
    warnings = unset_secret(notify and Notify(**notify), os.environ)
    return {**schedule_view(schedule, datetime.now(UTC)), "warnings": warnings, "notifications": shown}
