"""How schedules and their ledgers look on a terminal."""

from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from service.connection import Answer
from service.job_rendering import undelivered
from service.rendering import Row, moment, printable, show_pairs, status_text

PARTS = ("check", "promotion", "drift", "notify")
STYLES = {
    "fired": "green",
    "failed_to_submit": "red",
    "held": "yellow",
    "missed": "yellow",
    "skipped_overlap": "yellow",
}


def _next(schedule: Answer) -> object:
    if schedule["paused"]:
        return Text("paused", "yellow")
    return schedule["next_due_at"][0] if schedule["next_due_at"] else None


SCHEDULE_COLUMNS: dict[str, Callable[[Answer], object]] = {
    "id": lambda schedule: schedule["id"],
    "name": lambda schedule: schedule["name"],
    "when": lambda schedule: schedule["in_words"],
    "next": _next,
}
FIRING_COLUMNS: dict[str, Callable[[Answer], object]] = {
    "due (UTC)": lambda firing: moment(firing["due_at"]).removesuffix("Z"),
    "by": lambda firing: firing["triggered_by"],
    "outcome": lambda firing: Text(printable(firing["outcome"]), STYLES.get(firing["outcome"], "")),
    "job": lambda firing: firing["job_id"],
    "ended": lambda firing: None if firing["job_status"] is None else status_text(firing["job_status"]),
    "verdict": lambda firing: firing["verdict"],
    "reason": lambda firing: firing["reason"] or firing["verdict_reason"] or "",
}
BACKFILL_COLUMNS: dict[str, Callable[[Answer], object]] = {
    "due (UTC)": lambda entry: moment(entry["due_at"]).removesuffix("Z"),
    "so far": lambda entry: entry["outcome"],
    "reason": lambda entry: entry["reason"] or "",
}


def show_schedule(console: Console, schedule: Answer) -> None:
    """A schedule: what it says, its policies, its next due times."""
    rows: list[Row] = [("id", schedule["id"]), ("when", schedule["in_words"])]
    rows += [("cron", f"{schedule['cron']}  {schedule['timezone']}")] if schedule["cron"] else []
    rows += [("paused", Text("yes", "yellow"))] if schedule["paused"] else []
    rows += [(f"job.{name}", spelled(value)) for name, value in schedule["job"].items()]
    rows += [("overlap", schedule["overlap_policy"])]
    rows += [("catch up", f"{schedule['catch_up']}, within {schedule['catch_up_window_seconds']:,} s")]
    rows += [(part, spelled(schedule[part])) for part in PARTS if schedule[part]]
    rows += [("next" if place == 0 else "", due) for place, due in enumerate(schedule["next_due_at"])]
    rows += [("warning", warning) for warning in schedule["warnings"]]
    rows += undelivered(schedule["notifications"])
    show_pairs(console, f"Schedule {schedule['name']}", rows)


def spelled(value: object, *, inner: bool = False) -> str:
    """A JSON value in a line, as YAML has it: `min_rows: 900, rows_vs_last: [0.5, 2]`. What is null is left out."""
    if isinstance(value, dict):
        given = {name: each for name, each in value.items() if each is not None and each != {}}
        text = ", ".join(f"{name}: {spelled(each, inner=True)}" for name, each in given.items())
        return f"{{{text}}}" if inner else text
    if isinstance(value, list):
        text = ", ".join(spelled(each, inner=True) for each in value)
        return f"[{text}]" if inner else text
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
