"""How a job is spread: its shards, its workers and what an epoch should cost. Never changes the bits."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from workers.counting import counted
from workers.network import block_rows
from workers.shards import auto_shards
from workers.spec import JobSpec

CALL_SECONDS = 1.5e-3
"""One round of calls to remote workers, for a step, beside the bytes."""
BYTES_PER_SECOND = 1e9
"""Parameters and gradients between processes of one machine."""
BLOCK_SECONDS = 60e-6
"""What a block costs in Python beside its arithmetic."""
OPERATIONS_PER_SECOND = {"float32": 3e10, "float64": 1.5e10}
"""Multiplications and additions in matrix products on one core."""


class Plan(NamedTuple):
    """What the job record shows under `plan`."""

    workers: int
    shards: int
    block_rows: int
    reason: str
    estimated_epoch_seconds: float
    estimated_memory_bytes: int
    parameters: int


def layer_sizes(spec: JobSpec, n_inputs: int, n_outputs: int) -> tuple[int, ...]:
    """Inputs, hidden layers, outputs."""
    if not isinstance(spec.network.hidden_layers, list):
        raise TypeError("the spec is not resolved")
    return (n_inputs, *spec.network.hidden_layers, n_outputs)


def make_plan(
    spec: JobSpec,
    *,
    n_inputs: int,
    n_outputs: int,
    n_training: int,
    n_validation: int,
    slots: int,
    notes: Sequence[str] = (),
) -> Plan:
    """The plan of a job on a cluster that runs `slots` workers at once (at least 1)."""
    sizes = layer_sizes(spec, n_inputs, n_outputs)
    dtype = spec.training.dtype
    asked_shards = spec.resources.shards
    shards = min(auto_shards(n_training) if asked_shards == "auto" else asked_shards, n_training)
    rows_a_block = block_rows(sizes, np.dtype(dtype))
    parameters = sum((before + 1) * after for before, after in pairwise(sizes))
    weights = sum(before * after for before, after in pairwise(sizes))
    batch_rows = min(spec.training.batch_size, n_training) if isinstance(spec.training.batch_size, int) else n_training
    steps = -(-n_training // batch_rows)
    blocks = steps * max(batch_rows / rows_a_block, min(shards, batch_rows))
    compute = 6 * n_training * weights / OPERATIONS_PER_SECOND[dtype] + blocks * BLOCK_SECONDS

    def epoch_seconds(workers: int) -> float:
        share = -(-shards // workers) / shards
        call = 0.0 if workers == 1 else CALL_SECONDS + 2 * parameters * np.dtype(dtype).itemsize / BYTES_PER_SECOND
        return compute * share + steps * call

    asked = spec.resources.workers
    workers = min(range(1, min(max(slots, 1), shards) + 1), key=epoch_seconds) if asked == "auto" else asked
    reasons = list(notes)
    if workers > shards:
        reasons.append(f"{workers} workers were asked for; {counted(shards, 'shard')} can occupy at most {shards}.")
        workers = shards
    elif asked == "auto":
        reasons.append(f"{counted(workers, 'worker')}: {_why(workers, epoch_seconds)}")
    if workers > slots:
        at_once = counted(slots, "worker")
        reasons.append(f"The cluster runs {at_once} at once, so the job waits until there are {workers}.")
    memory = (n_training + n_validation) * (n_inputs + n_outputs) * np.dtype(dtype).itemsize + 8 * parameters * workers
    return Plan(workers, shards, rows_a_block, " ".join(reasons), round(epoch_seconds(workers), 6), memory, parameters)


def _why(workers: int, epoch_seconds: Callable[[int], float]) -> str:
    if workers == 1:
        return f"an epoch takes about {_milliseconds(epoch_seconds(1))}, less than calls to a second one would cost."
    return f"an epoch takes about {_milliseconds(epoch_seconds(workers))} instead of {_milliseconds(epoch_seconds(1))}."


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"
