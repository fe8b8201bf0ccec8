"""How a job is spread: more workers only where a step is worth its calls."""

from typing import Any

import pytest

from workers.plan import Plan, make_plan
from workers.spec import JobSpec


def plan(n_training: int = 60_000, slots: int = 8, resources: dict[str, Any] | None = None, **training: Any) -> Plan:
    spec = JobSpec.model_validate(
        {
            "dataset": "d",
            "target": "y",
            "network": {"hidden_layers": [100]},
            "training": {"batch_size": None, **training},
            "resources": resources or {},
        }
    )
    return make_plan(spec, n_inputs=784, n_outputs=10, n_training=n_training, n_validation=0, slots=slots)


def test_many_rows_are_worth_many_workers_and_few_rows_only_one() -> None:
    assert plan().workers == 8
    assert plan(50).workers == 1
    assert "less than calls to a second one would cost" in plan(50).reason


def test_each_step_of_an_epoch_of_batches_pays_for_its_calls() -> None:
    assert plan(batch_size=32).workers == 1
    assert plan(batch_size=30_000).workers > 1
    assert plan(batch_size=10**6)._asdict() == plan()._asdict()
    two = {"workers": 2}
    epochs = [plan(resources=two, batch_size=size).estimated_epoch_seconds for size in (None, 6000, 600, 60)]
    assert epochs == sorted(epochs)


@pytest.mark.parametrize("slots", [1, 3, 100])
def test_automatic_workers_are_no_more_than_slots_and_shards(slots: int) -> None:
    found = plan(slots=slots)
    assert 1 <= found.workers <= min(slots, found.shards)


def test_more_workers_than_shards_become_as_many_as_shards_and_the_plan_says_so() -> None:
    found = plan(resources={"workers": 9, "shards": 4})
    assert (found.workers, found.shards) == (4, 4)
    assert "9 workers were asked for; 4 shards can occupy at most 4." in found.reason


def test_shards_and_block_rows_do_not_depend_on_workers_slots_or_batches() -> None:
    plans = [plan(), plan(slots=1), plan(resources={"workers": 3}), plan(batch_size=10)]
    assert {(found.shards, found.block_rows, found.parameters) for found in plans} == {
        (16, plans[0].block_rows, 79_510)
    }
