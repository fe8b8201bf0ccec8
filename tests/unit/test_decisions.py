"""The next step of a job follows from its row and four facts."""

import dataclasses

import pytest

from service.decisions import Facts, decide, holds_place, others_at_once, wanted_workers
from service.store.jobs import Job

READY = Facts(dataset_status="ready", has_driver=False, slots=2, free_slots=2)
JOB = Job(
    sequence=1, id="job_1", project="default", actor="anonymous", group_id=None, name=None, created_at="", tags={},
    priority=0, dataset_id="ds_1", requested={"resources": {"workers": 2}}, spec={"max_attempts": 3}, resolved=True,
    matrix_key="k", plan={"workers": 2}, numerics=None, accept_other_numerics=False, block_rows=None, status="queued",
    status_reason=None, attempt=0, started_at=None, finished_at=None, progress=None, workers=[], warnings=[],
    result=None, error=None, verdict=None,
)  # fmt: skip


def step(job: Job = JOB, facts: Facts = READY, **changes: object) -> tuple[str, str | None]:
    decision = decide(dataclasses.replace(job, **changes), facts)  # type: ignore[arg-type]
    return decision.step, decision.code


def test_a_job_goes_through_data_plan_and_start() -> None:
    assert step(facts=READY._replace(dataset_status="preparing")) == ("wait", "waiting_for_data")
    assert step(resolved=False, plan=None) == ("resolve", None)
    assert step(plan=None) == ("prepare", "waiting_for_data")
    assert step() == ("start", None)


def test_a_job_of_a_dataset_that_can_t_be_used_fails() -> None:
    assert step(facts=READY._replace(dataset_status="failed")) == ("fail", "dataset_failed")


@pytest.mark.parametrize("facts", [READY._replace(slots=None, free_slots=0), READY._replace(free_slots=1)])
def test_driver_and_workers_start_all_or_none(facts: Facts) -> None:
    assert step(facts=facts) == ("wait", "waiting_for_workers")


def test_a_job_that_asks_for_more_than_the_cluster_has_waits_and_says_so() -> None:
    decision = decide(JOB, READY._replace(slots=1, free_slots=1))
    assert decision.message is not None
    assert decision.message.startswith("It needs 2 workers; the cluster has 1.")


def test_a_job_beyond_the_limit_of_concurrent_ones_waits_and_names_it() -> None:
    full = READY._replace(most_jobs=1, others=1)
    decision = decide(JOB, full)
    assert (decision.step, decision.code) == ("wait", "waiting_for_workers")
    assert decision.message is not None
    assert "At most 1 job may run at once (GRADSUM_LIMIT_CONCURRENT_JOBS)" in decision.message
    assert step(facts=full._replace(others=0)) == ("start", None)
    assert step(facts=full, status="running", attempt=1) == ("restart", None)


def test_a_job_that_has_begun_keeps_its_place_and_where_the_limit_was_lowered_they_take_turns() -> None:
    assert others_at_once(JOB, {"job_2", "job_3"}, {"job_3", "job_4"}) == 3
    begun = dataclasses.replace(JOB, status="starting")
    assert others_at_once(begun, {"job_1", "job_2", "job_3"}, {"job_3"}) == 1
    assert others_at_once(begun, {"job_1", "job_2"}, ()) == 0
    assert others_at_once(begun, {"job_1"}, {"job_1"}) == 0


def test_a_job_that_can_t_go_on_keeps_no_place() -> None:
    begun = dataclasses.replace(JOB, status="starting")
    needs = wanted_workers(begun, 100)
    assert holds_place(begun, needs, None)
    assert holds_place(begun, None, None)
    assert not holds_place(begun, needs - 1, None)
    assert not holds_place(begun, needs, "other bits")
    assert not holds_place(JOB, needs, None)


def test_automatic_workers_give_way_to_a_smaller_cluster() -> None:
    assert step(facts=READY._replace(slots=1, free_slots=1), requested={}) == ("start", None)


def test_a_job_whose_driver_is_gone_gets_another_attempt_until_there_are_no_more() -> None:
    assert step(status="running", attempt=1) == ("restart", None)
    assert step(status="starting", attempt=1) == ("start", None)
    assert step(status="starting", attempt=9) == ("start", None)
    assert step(facts=READY._replace(lost_drivers=3), status="starting", attempt=9) == ("fail", "driver_lost")


def test_a_job_whose_processes_would_compute_other_bits_waits_until_that_is_accepted() -> None:
    facts = READY._replace(refusal="AVX2 instead of AVX512", pausing=True)
    assert step(facts=facts, status="starting", attempt=2) == ("wait", "fingerprint_mismatch")
    assert step(facts=facts, status="starting", attempt=2, accept_other_numerics=True) == ("start", None)
    facts = facts._replace(pausing=False)
    assert step(facts=facts, status="starting", attempt=2) == ("start", None)
    full = facts._replace(free_slots=0)
    assert step(facts=full, status="starting", attempt=2) == ("wait", "fingerprint_mismatch")


def test_a_job_whose_storage_was_refused_waits_whatever_its_user_accepts() -> None:
    facts = READY._replace(refusal="The key is unknown.", refusal_code="waiting_for_storage", pausing=True)
    for accepts in (False, True):
        waits = step(facts=facts, status="starting", attempt=2, accept_other_numerics=accepts)
        assert waits == ("wait", "waiting_for_storage")
    assert step(facts=facts._replace(pausing=False), status="starting", attempt=2) == ("start", None)


def test_a_job_whose_matrix_is_gone_has_it_built_before_its_next_attempt() -> None:
    assert step(status="starting", attempt=1, plan=None) == ("prepare", "waiting_for_data")


def test_a_job_with_a_driver_is_left_alone_unless_it_is_cancelled() -> None:
    facts = READY._replace(has_driver=True)
    assert step(facts=facts, status="running") == ("wait", None)
    assert step(facts=facts, status="cancelling") == ("cancel", None)
