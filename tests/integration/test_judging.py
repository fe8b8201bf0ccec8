"""The gate at work on the record, with the real child: a verdict and its champion are one change, made once."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from service.child import Lost, Message
from service.data_check import problems
from service.gate import Promotion, Verdict
from service.store import jobs, models, tables
from service.store.jobs import Job
from tests.gate.faults import shuffled_labels
from tests.gate.planted import data_of
from tests.gate.recorded import ABALONE, Nights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    """With a first version that serves."""
    made = Nights(tmp_path_factory.mktemp("judging"))
    first = made.verdict(made.job(clean()))
    assert (first["verdict"], first["code"], made.champion()) == ("promoted", "first", 1)
    yield made
    made.close()


@pytest.fixture
def night(made: Nights) -> Nights:
    """Version 1 serves."""
    with made.database.write() as connection:
        models.promote(connection, "default", "nightly", 1, "for the next test")
    return made


def clean() -> str:
    return str(data_of(ABALONE).to_csv(index=False))


def test_a_good_model_takes_the_place_of_the_champion_and_says_so_everywhere(night: Nights) -> None:
    job = night.job(clean(), training={"epochs": 40, "seed": 1})
    verdict = night.verdict(job, Promotion(unless_worse_by=1.0, must_beat_linear=True))
    assert (verdict["verdict"], verdict["champion"]) == ("promoted", 1), verdict
    assert verdict["scores"]["challenger"].keys() == verdict["scores"]["linear"].keys() == {"test_loss", "test_r2"}
    with night.database.read() as connection:
        model = models.of_job(connection, job.id)
    assert model is not None
    assert model.verdict == verdict
    assert night.champion() == model.version


def test_a_model_of_shuffled_labels_leaves_the_champion_where_it_is(night: Nights) -> None:
    verdict = night.verdict(night.job(shuffled_labels(data_of(ABALONE), "rings")))
    assert (verdict["verdict"], verdict["code"]) == ("kept", "lost_skill")
    assert night.champion() == 1


def test_a_model_of_another_split_is_incomparable(night: Nights) -> None:
    verdict = night.verdict(night.job(clean(), split={"test": 0.2, "salt": "other"}))
    assert verdict["verdict"] == "incomparable"
    assert "salt" in verdict["reason"]
    assert night.champion() == 1


def test_a_model_whose_weights_come_from_a_job_of_another_split_is_incomparable(night: Nights) -> None:
    other = night.job(clean(), "elsewhere", split={"test": 0.2, "salt": "other"})
    same = night.job(clean(), "elsewhere")
    for sources, expected in (([other], "incomparable"), ([same, other], "incomparable"), ([same], "promoted")):
        job, *_ = [
            started_from(night, later, earlier.id) for later, earlier in pairwise([night.job(clean()), *sources])
        ]
        verdict = night.verdict(job, Promotion(unless_worse_by=1.0))
        assert verdict["verdict"] == expected
        assert expected == "promoted" or f"starts from job {other.id}, which had another split" in verdict["reason"]
        assert expected == "promoted" or night.champion() == 1
        started_from(night, same, None)


def started_from(night: Nights, job: Job, source: str | None) -> Job:
    """The job, on record as one whose weights come from those of `source`."""
    with night.database.write() as connection:
        spec = {**job.spec, "warm_start": source}
        connection.execute(tables.jobs.update().where(tables.jobs.c.id == job.id).values(spec=spec))
        return jobs.required(connection, job.id)


def test_by_hand_it_waits_until_somebody_promotes_it(night: Nights) -> None:
    job = night.job(clean())
    assert night.verdict(job, Promotion(mode="manual", unless_worse_by=1.0))["verdict"] == "waiting"
    assert night.champion() == 1
    with night.database.write() as connection:
        model = models.of_job(connection, job.id)
        assert model is not None
        models.promote_by_hand(connection, model, "looks good", "someone")
    assert night.verdict(job)["verdict"] == "promoted"
    assert night.champion() == model.version


@pytest.mark.parametrize("verdict", ["kept", "incomparable"])
def test_what_was_not_promoted_and_then_is_by_hand_is_what_the_next_ones_are_held_to(
    night: Nights, verdict: str
) -> None:
    job = night.job(clean(), training={"epochs": 12, "seed": 1})
    behind = Verdict(verdict, "behind", "It is worse than version 1.", champion=1, anchor=1)  # type: ignore[arg-type]
    with night.database.write() as connection:
        model = models.of_job(connection, job.id)
        assert model is not None
        models.record_verdict(connection, model, behind.as_json())
        jobs.record_verdict(connection, job.id, behind.as_json())
        model = models.required(connection, "default", "nightly", model.version)
        models.promote_by_hand(connection, model, "the world has changed", "someone")
        kept = models.required(connection, "default", "nightly", model.version).verdict
        assert kept == jobs.required(connection, job.id).verdict
        assert kept == {**behind.as_json(), "anchor": model.version}
    equal = night.verdict(night.job(clean(), training={"epochs": 12, "seed": 1}))
    assert (equal["verdict"], equal["champion"], equal["anchor"]) == ("promoted", model.version, model.version), equal


def test_a_champion_that_moved_meanwhile_is_compared_anew(night: Nights) -> None:
    job = night.job(clean())
    with night.database.read() as connection:
        model = models.of_job(connection, job.id)
    assert model is not None
    night.wait(lambda: night.child.ready is not None)
    night.judging.judge(job, Promotion(unless_worse_by=1.0))
    with night.database.write() as connection:
        models.promote(connection, "default", "nightly", 2, "by hand, while it is scored")
    verdict = night.verdict(job, Promotion(unless_worse_by=1.0))
    assert (verdict["verdict"], verdict["champion"]) == ("promoted", 2)
    assert night.champion() == model.version


def test_a_child_that_dies_costs_time_and_no_verdict(night: Nights) -> None:
    job = night.job(clean())
    night.wait(lambda: night.child.ready is not None)
    night.judging.judge(job, Promotion(unless_worse_by=1.0))
    night.child.restart("the test wants it")
    assert night.verdict(job, Promotion(unless_worse_by=1.0))["verdict"] == "promoted"


def test_new_data_is_compared_with_what_is_kept_beside_the_champion(night: Nights) -> None:
    found: list[Message | Lost] = []
    dataset = night.dataset(clean().replace("length", "width"))
    assert not night.judging.measure("nobody", "default", dataset, found.append)
    night.wait(lambda: night.child.ready is not None)
    assert night.judging.measure("nightly", "default", dataset, found.append)
    night.wait(lambda: bool(found))
    [answer] = found
    assert not isinstance(answer, Lost)
    [finding] = problems({"same_columns": True}, answer["ok"])
    assert finding.message == "The columns are not those of the champion's data; gone: 'length'; new: 'width'."
