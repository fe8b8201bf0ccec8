"""`gradsum job …`: submit, list, show, watch, cancel, resume, rm, weights."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from service.commands.session import CommandError, ServiceCommand, Session, session, show_json

app = typer.Typer(no_args_is_help=True, help="Train: submit jobs, watch them, take their weights.")

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id (job_…)")]


@app.command(cls=ServiceCommand)
def submit(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The job as YAML or JSON; - reads standard input")],
    follow: Annotated[bool, typer.Option("--follow", help="Show the progress until the job has ended")] = False,  # noqa: FBT002
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what the job would be")] = False,  # noqa: FBT002
) -> None:
    """Submit a job. Only `dataset` and `target` are required in the file.

    For example:

      gradsum job submit deploy/examples/digits/job.yaml --follow

      echo '{dataset: digits, target: digit}' | gradsum job submit - --dry-run
    """
    from service.commands.job_files import read_body  # noqa: PLC0415 - quick --help
    from service.job_rendering import show_plan  # noqa: PLC0415
    from service.rendering import printable  # noqa: PLC0415

    if follow and dry_run:
        raise typer.BadParameter("there is nothing to follow in a --dry-run", param_hint="--follow")
    asked = session(context)
    body = read_body(file)
    with asked.client() as client:
        if dry_run:
            asked.show(client.plan_job(body), lambda plan: show_plan(asked.console(), plan))
            return
        job = client.submit_job(body)
    for warning in job["warnings"]:
        typer.echo(f"Warning: {printable(warning)}", err=True)
    if follow:
        typer.echo(f"{job['id']} submitted", err=True)
        _follow(asked, str(job["id"]))
        return
    asked.show(job, lambda _job: typer.echo(f"{job['id']} {job['status']}. Watch it: gradsum job watch {job['id']}"))


@app.command("list", cls=ServiceCommand)
def list_jobs(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Only jobs of this status")] = None,
    name: Annotated[str | None, typer.Option(help="Only jobs of this name")] = None,
    limit: Annotated[int, typer.Option(help="At most so many")] = 20,
    after: Annotated[str | None, typer.Option(help="Go on after this id")] = None,
) -> None:
    """List jobs, newest first.

    Example: gradsum job list --status running
    """
    from service.rendering import moment, show_list, status_text  # noqa: PLC0415 - quick --help
    from service.watching import summary  # noqa: PLC0415

    columns = {
        "id": lambda job: job["id"],
        "name": lambda job: job["name"],
        "status": lambda job: status_text(job["status"]),
        "created": lambda job: moment(job["created_at"]),
        "progress": summary,
    }
    asked = session(context)
    with asked.client() as client:
        page = client.jobs(status=status, name=name, limit=limit, after=after)
    asked.show(
        page, lambda found: show_list(asked.console(), found, columns, "No jobs. Submit one: gradsum job submit FILE")
    )


@app.command(cls=ServiceCommand)
def show(context: typer.Context, job_id: JobId) -> None:
    """Show where a job stands and what came out of it."""
    from service.job_rendering import show_job  # noqa: PLC0415 - quick --help

    asked = session(context)
    with asked.client() as client:
        job = client.job(job_id)
    asked.show(job, lambda found: show_job(asked.console(), found))


@app.command(cls=ServiceCommand)
def watch(context: typer.Context, job_id: JobId) -> None:
    """Show a job's progress until it has ended; exit 0 only if it succeeded. Ctrl-C leaves the job running."""
    _follow(session(context), job_id)


@app.command(cls=ServiceCommand)
def cancel(context: typer.Context, job_id: JobId) -> None:
    """End a job that has not ended."""
    asked = session(context)
    with asked.client() as client:
        job = client.cancel_job(job_id)
    asked.show(job, lambda found: typer.echo(f"{found['id']} {found['status']}"))


@app.command(cls=ServiceCommand)
def resume(
    context: typer.Context,
    job_id: JobId,
    *,
    accept_other_numerics: Annotated[
        bool, typer.Option("--accept-other-numerics", help="Go on although the bits of the result may differ")
    ] = False,
) -> None:
    """Let a job go on that waits because the cluster would compute other bits than it began with."""
    asked = session(context)
    with asked.client() as client:
        job = client.resume_job(job_id, accept_other_numerics=accept_other_numerics)
    asked.show(job, lambda found: typer.echo(f"{found['id']} {found['status']}"))


@app.command(cls=ServiceCommand)
def rm(context: typer.Context, job_id: JobId) -> None:
    """Delete a job that has ended, with its figures and files, unless a model or another job needs it."""
    asked = session(context)
    with asked.client() as client:
        answer = client.delete_job(job_id)
    asked.show(answer, lambda found: typer.echo(f"{found['id']} deleted"))


@app.command(cls=ServiceCommand)
def weights(
    context: typer.Context,
    job_id: JobId,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to (default: ID.npz here)")
    ] = None,
) -> None:
    """Save a job's trained weights as .npz, with the arrays weights_0, biases_0, weights_1 and so on.

    Example: gradsum job weights job_… -o digits.npz
    """
    asked = session(context)
    target = output or Path(f"{job_id.replace('/', '_')}.npz")
    with asked.client() as client:
        n_bytes = _save(client.weights(job_id), target)
    if asked.json:
        show_json({"file": str(target), "bytes": n_bytes})
    else:
        typer.echo(f"{target} ({n_bytes:,} bytes)")


def _save(chunks: Iterator[bytes], target: Path) -> int:
    """Bytes written to `target`, which is whole or as it was."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        try:
            with part.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                n_bytes = file.tell()
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(
            f"{target} can't be written: {error.strerror or error}. Choose another file with -o."
        ) from None
    return n_bytes


def _follow(asked: Session, job_id: str) -> None:
    """Show the job until it is final; exits with 1 unless it succeeded, with 130 on Ctrl-C."""
    try:
        from service.job_rendering import show_result  # noqa: PLC0415 - quick --help
        from service.watching import wait_for_record, watch  # noqa: PLC0415

        progress = asked.console(stderr=True)
        with asked.client() as client:
            job = watch(client, job_id, progress)
            if job["status"] == "succeeded":
                job = wait_for_record(client, job, progress)
    except KeyboardInterrupt:
        typer.echo(f"\nLeft the job to itself. Watch it again: gradsum job watch {job_id}", err=True)
        raise typer.Exit(130) from None
    asked.show(job, lambda found: show_result(asked.console(), found))
    raise typer.Exit(0 if job["status"] == "succeeded" else 1)
