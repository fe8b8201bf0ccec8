"""`gradsum schedule …`: add, list, show, edit, pause, resume, trigger, rm, firings, backfill."""

from typing import Annotated, Any

import typer

from service.commands.session import ServiceCommand, session

app = typer.Typer(no_args_is_help=True, help="Schedules: jobs at due times or on new data, and what became of each.")

Reference = Annotated[str, typer.Argument(metavar="ID|NAME", help="The schedule's name or id (sch_…)")]


@app.command(cls=ServiceCommand)
def add(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The schedule as YAML or JSON; - reads standard input")],
) -> None:
    """Add a schedule.

    For example:

      echo '{name: nightly, cron: "0 3 * * *", job: {dataset: digits, target: digit}}' | gradsum schedule add -
    """
    from service.commands.job_files import SCHEDULE, read_body  # noqa: PLC0415 - quick --help
    from service.schedule_rendering import show_schedule  # noqa: PLC0415

    asked = session(context)
    body = read_body(file, SCHEDULE)
    with asked.client() as client:
        schedule = client.add_schedule(body)
    asked.show(schedule, lambda found: show_schedule(asked.console(), found))


@app.command("list", cls=ServiceCommand)
def list_schedules(
    context: typer.Context,
    limit: Annotated[int, typer.Option(help="At most so many")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this id")] = None,
) -> None:
    """List schedules, newest first."""
    from service.rendering import show_list  # noqa: PLC0415 - quick --help
    from service.schedule_rendering import SCHEDULE_COLUMNS  # noqa: PLC0415

    asked = session(context)
    with asked.client() as client:
        page = client.schedules(limit=limit, after=after)
    if_empty = "No schedules. Add one: gradsum schedule add FILE"
    asked.show(page, lambda found: show_list(asked.console(), found, SCHEDULE_COLUMNS, if_empty))


@app.command(cls=ServiceCommand)
def show(context: typer.Context, schedule: Reference) -> None:
    """Show a schedule, and when it is due next."""
    from service.schedule_rendering import show_schedule  # noqa: PLC0415 - quick --help

    asked = session(context)
    with asked.client() as client:
        found = client.schedule(schedule)
    asked.show(found, lambda found: show_schedule(asked.console(), found))


@app.command(cls=ServiceCommand)
def edit(
    context: typer.Context,
    schedule: Reference,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="Fields as YAML or JSON; - reads standard input")],
) -> None:
    """Change the fields that are given, of `job` too. Due times that have passed never fire because of an edit.

    For example:

      echo 'overlap_policy: queue' | gradsum schedule edit digits-nightly -
    """
    from service.commands.job_files import CHANGES, read_body  # noqa: PLC0415 - quick --help
    from service.schedule_rendering import show_schedule  # noqa: PLC0415

    asked = session(context)
    changes = read_body(file, CHANGES)
    with asked.client() as client:
        found = client.edit_schedule(schedule, changes)
    asked.show(found, lambda found: show_schedule(asked.console(), found))


@app.command(cls=ServiceCommand)
def pause(context: typer.Context, schedule: Reference) -> None:
    """Let nothing come due until the schedule is resumed; jobs that it made go on."""
    asked = session(context)
    with asked.client() as client:
        found = client.pause_schedule(schedule)
    asked.show(found, lambda found: typer.echo(f"{found['name']} is paused."))


@app.command(cls=ServiceCommand)
def resume(context: typer.Context, schedule: Reference) -> None:
    """Go on with the next due time; those that passed meanwhile do not fire."""
    asked = session(context)
    with asked.client() as client:
        found = client.resume_schedule(schedule)
    asked.show(found, lambda found: typer.echo(f"{found['name']} goes on.{_next(found)}"))


@app.command(cls=ServiceCommand)
def trigger(context: typer.Context, schedule: Reference) -> None:
    """Fire now, be the data new or not. Exits with 1 where no job was made."""
    asked = session(context)
    with asked.client() as client:
        firing = client.trigger_schedule(schedule)
    job_id = firing["job_id"]
    said = f"{job_id}. Watch it: gradsum job watch {job_id}" if job_id else f"No job: {firing['reason']}"
    asked.show(firing, lambda _firing: typer.echo(said, err=not job_id))
    if not job_id:
        raise typer.Exit(1)


@app.command(cls=ServiceCommand)
def rm(context: typer.Context, schedule: Reference) -> None:
    """Delete a schedule and its ledger. The jobs that it made stay."""
    asked = session(context)
    with asked.client() as client:
        answer = client.delete_schedule(schedule)
    asked.show(answer, lambda found: typer.echo(f"{found['id']} deleted"))


@app.command(cls=ServiceCommand)
def firings(
    context: typer.Context,
    schedule: Reference,
    outcome: Annotated[str | None, typer.Option(help="Only those that ended so, for example missed")] = None,
    limit: Annotated[int, typer.Option(help="At most so many")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this id")] = None,
) -> None:
    """Show what became of each due time, newest first."""
    from service.rendering import show_list  # noqa: PLC0415 - quick --help
    from service.schedule_rendering import FIRING_COLUMNS  # noqa: PLC0415

    asked = session(context)
    with asked.client() as client:
        page = client.firings(schedule, outcome=outcome, limit=limit, after=after)
    if_empty = "Nothing has come due yet."
    asked.show(page, lambda found: show_list(asked.console(), found, FIRING_COLUMNS, if_empty))


@app.command(cls=ServiceCommand)
def backfill(
    context: typer.Context,
    schedule: Reference,
    first: Annotated[str, typer.Option("--from", metavar="WHEN", help="A day or moment, such as 2026-11-01")],
    last: Annotated[str, typer.Option("--to", metavar="WHEN", help="Another; both are included")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which due times it would be")] = False,
) -> None:
    """Make the jobs of due times that have passed and have none. Their models are never promoted.

    Example: gradsum schedule backfill digits-nightly --from 2026-11-01 --to 2026-11-14 --dry-run
    """
    from service.rendering import show_list  # noqa: PLC0415 - quick --help
    from service.schedule_rendering import BACKFILL_COLUMNS, FIRING_COLUMNS  # noqa: PLC0415

    asked = session(context)
    with asked.client() as client:
        page = client.backfill(schedule, first, last, dry_run=dry_run)
    columns = BACKFILL_COLUMNS if dry_run else FIRING_COLUMNS
    if_empty = "No due time of that span has passed without a job."
    asked.show(page, lambda found: show_list(asked.console(), found, columns, if_empty))


def _next(schedule: dict[str, Any]) -> str:
    return f" Next: {schedule['next_due_at'][0]}" if schedule["next_due_at"] else ""
