"""A refused job is tried again, ever less often."""

from service.refusals import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Refusals


def test_a_refused_job_pauses_ever_longer_and_keeps_its_reason() -> None:
    now = [0.0]
    refusals = Refusals(lambda: now[0])
    assert (refusals.last("job_1"), refusals.is_pausing("job_1")) == (None, False)
    pauses = []
    for _ in range(10):
        refusals.add("job_1", "fingerprint_mismatch", "other kernels")
        began = now[0]
        while refusals.is_pausing("job_1"):
            now[0] += 1
        pauses.append(now[0] - began)
        last = refusals.last("job_1")
        assert last is not None
        assert (last.code, last.reason) == ("fingerprint_mismatch", "other kernels")
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[1], pauses[-1]) == (FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)


def test_what_is_known_of_jobs_that_are_gone_is_forgotten() -> None:
    refusals = Refusals(lambda: 0.0)
    refusals.add("job_1", "waiting_for_storage", "a")
    refusals.add("job_2", "waiting_for_storage", "b")
    refusals.forget_all_but({"job_2"})
    assert (refusals.last("job_1") is None, refusals.last("job_2") is None) == (True, False)
