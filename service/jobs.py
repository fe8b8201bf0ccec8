"""The life of a job as a table of states, without I/O."""

STATES = ("queued", "starting", "running", "pausing", "paused", "cancelling", "succeeded", "failed", "cancelled")
FINAL = frozenset({"succeeded", "failed", "cancelled"})

TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"starting", "pausing", "cancelling", "failed"}),
    "starting": frozenset({"running", "starting", "pausing", "cancelling", "succeeded", "failed"}),
    "running": frozenset({"starting", "pausing", "cancelling", "succeeded", "failed"}),
    "pausing": frozenset({"paused", "cancelling", "succeeded", "failed"}),
    "paused": frozenset({"queued", "cancelling"}),
    "cancelling": frozenset({"cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
"""From a state, the states that may follow. starting → starting and running → starting are new attempts."""


def allowed(status: str, following: str) -> bool:
    """Whether a job in `status` may go to `following`."""
    return following in TRANSITIONS[status]


def can_cancel(status: str) -> bool:
    """Whether a job in `status` can still be cancelled."""
    return allowed(status, "cancelling")
