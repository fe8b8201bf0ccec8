"""What to do next for a job, as pure functions of its row and of a few facts."""

from collections.abc import Collection
from typing import Literal, NamedTuple

from service.store.jobs import Job
from workers.counting import counted

Step = Literal["wait", "cancel", "fail", "resolve", "prepare", "start", "restart"]

FINGERPRINTS = "fingerprint_mismatch"
BEING_READ = "The dataset is being read."


class Facts(NamedTuple):
    """What the dispatcher knows beside the job's row."""

    dataset_status: str  # preparing | ready | failed
    has_driver: bool  # a driver works, or is being asked to
    slots: int | None  # workers the cluster runs at once; None while there is no cluster
    free_slots: int
    lost_drivers: int = 0  # attempts that ended because their driver was lost
    refusal: str | None = None  # why the last attempt was refused: other bits, or a storage that can't be used
    refusal_code: str = FINGERPRINTS
    pausing: bool = False  # it is too early to try again after a refusal
    how_far: str = BEING_READ  # what is to be said of a dataset that is still being prepared
    most_jobs: int = 100  # at once: GRADSUM_LIMIT_CONCURRENT_JOBS
    others: int = 0  # jobs that count towards it, this one aside

    @property
    def is_full(self) -> bool:
        """Whether the job has to wait until another one has ended."""
        return self.others >= self.most_jobs


class Decision(NamedTuple):
    """A step, and what the job's `status_reason` should say meanwhile."""

    step: Step
    code: str | None = None
    message: str | None = None

    @property
    def status_reason(self) -> dict[str, str | None] | None:
        """As the job record keeps it."""
        return None if self.code is None else {"code": self.code, "message": self.message}


def decide(job: Job, facts: Facts) -> Decision:
    """The next step for a job that is not final."""
    if job.status == "cancelling":
        return Decision("cancel")
    if facts.has_driver:
        return Decision("wait")
    match job.status:
        case "running":
            return Decision("restart")
        case "starting":
            return _next_attempt(job, facts)
        case "queued":
            return _ready_data(job, facts) or _place(job, facts)
    return Decision("wait")


def waits_for_numerics(job: Job) -> bool:
    """Whether the job waits because the processes at hand would compute other bits, which its user may accept."""
    reason = (job.status_reason or {}).get("code")
    return job.status == "starting" and reason == FINGERPRINTS and not job.accept_other_numerics


def holds_place(job: Job, slots: int | None, refusal: object | None) -> bool:
    """Whether a job counts towards the limit of concurrent ones though its driver is gone.

    It has begun and can go on: one that is refused, or is too large for what the cluster has now, may wait for days.
    """
    fits = slots is None or wanted_workers(job, slots) <= slots
    return job.status in {"starting", "running"} and refusal is None and fits


def others_at_once(job: Job, begun: Collection[str], with_driver: Collection[str]) -> int:
    """How many other jobs count towards the limit of concurrent ones.

    For a job that has not begun, those that have, be it that their next attempt is still to start: it does not take
    their place. Among those that have begun, the ones with a driver: where the limit was lowered, they take turns.
    """
    counting = set(with_driver) if job.status == "starting" else {*begun, *with_driver}
    return len(counting - {job.id})


def _next_attempt(job: Job, facts: Facts) -> Decision:
    if facts.lost_drivers >= job.spec["max_attempts"]:
        times = counted(facts.lost_drivers, "time")
        return Decision("fail", "driver_lost", f"Its driver was lost {times} (max_attempts).")
    if job.plan is None:  # its training matrix is gone
        return Decision("prepare", "waiting_for_data", "The training matrix is being built again.")
    placed = _place(job, facts)
    accepted = facts.refusal_code == FINGERPRINTS and job.accept_other_numerics
    if facts.refusal is None or accepted or (placed.step == "start" and not facts.pausing):
        return placed
    return Decision("wait", facts.refusal_code, facts.refusal)


def _ready_data(job: Job, facts: Facts) -> Decision | None:
    if facts.dataset_status == "failed":
        return Decision("fail", "dataset_failed", "Its dataset can't be used.")
    if facts.dataset_status == "preparing":
        return Decision("wait", "waiting_for_data", facts.how_far)
    if not job.resolved:
        return Decision("resolve")
    if job.plan is None:
        return Decision("prepare", "waiting_for_data", "The training matrix is being built.")
    return None


def _place(job: Job, facts: Facts) -> Decision:
    """Driver and workers, all or none."""
    needed = wanted_workers(job, facts.slots)
    if facts.slots is None:
        return Decision("wait", "waiting_for_workers", "The Ray cluster is not up yet.")
    if needed > facts.slots:
        message = f"It needs {counted(needed, 'worker')}; the cluster has {facts.slots}. Ask for fewer, or add nodes."
        return Decision("wait", "waiting_for_workers", message)
    if facts.is_full:
        limit = f"At most {counted(facts.most_jobs, 'job')} may run at once (GRADSUM_LIMIT_CONCURRENT_JOBS)."
        message = f"{limit} It starts when another one has ended."
        return Decision("wait", "waiting_for_workers", message)
    if needed > facts.free_slots:
        free = f"{facts.free_slots} of {facts.slots}"
        return Decision("wait", "waiting_for_workers", f"It needs {counted(needed, 'worker')}; {free} are free.")
    return Decision("start")


def wanted_workers(job: Job, slots: int | None) -> int:
    """The workers of the job's plan; `auto` ones give way to a smaller cluster."""
    planned = int(job.plan["workers"]) if job.plan else 1
    if job.requested.get("resources", {}).get("workers", "auto") == "auto" and slots:
        return min(planned, slots)
    return planned
