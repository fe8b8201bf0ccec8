"""The workers of one job: the driver's own process and, beside it, ShardWorker actors."""

import math
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

import ray
from numpy.typing import NDArray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workers import numerics
from workers.batches import Batch, Step
from workers.errors import DataError
from workers.gradients import Combine, ShardGradients, Share, combine
from workers.numerics import FingerprintMismatchError, mismatch
from workers.patience import MatrixGoneError
from workers.problem import Order, Problem, check_shards
from workers.shards import Node, assign
from workers.storage import StorageUnavailableError
from workers.training import Sum
from workers.worker import ShardWorker

START_SECONDS = 60.0
STEP_SECONDS = 120.0
BYTES_HASHED_PER_SECOND = 5e7
"""At least, from a slow disk: what a worker may take until it is ready."""

ACTOR_OPTIONS = {"num_cpus": 0, "resources": {"gradsum": 1e-4}}
"""Places actors on nodes that train (they offer `gradsum`); how many run at once is the dispatcher's business."""


def on_node(node: str | None) -> dict[str, Any]:
    """The option that places an actor on a node, or where Ray likes if that is gone, or none is named."""
    return {} if node is None else {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=True)}


@dataclass
class Member:
    """A worker and what it has done; `replaced_at` is set once its shards went to the driver."""

    node: str
    pid: int
    shards: range
    epochs: int = 0
    replaced_at: str | None = None
    reason: str | None = None

    def view(self) -> dict[str, Any]:
        """As the job record shows it."""
        return {**vars(self), "shards": list(self.shards)}


@dataclass
class Remote:
    """A ShardWorker and its place in the job record."""

    actor: Any
    member: Member
    local: ShardGradients | None = None


class Team:
    """Computes the sum of the shard gradients, this process and the remote workers side by side."""

    def __init__(
        self,
        order: Order,
        problem: Problem,
        combine_parts: Combine = combine,
        slowest_bytes_per_second: float = math.inf,
    ) -> None:
        self._order, self._problem = order, problem
        self._combine = combine_parts
        self._slowest_bytes_per_second = slowest_bytes_per_second
        self._batches = problem.batches()
        self._accepts_other_numerics = order.accept_other_numerics
        self.other_numerics: list[dict[str, Any]] = []
        own, *others = assign(len(problem.ranges), order.plan["workers"])
        actors = [
            ray.remote(**ACTOR_OPTIONS, **on_node(node))(ShardWorker).remote(order, shards.start, shards.stop)
            for shards, node in zip_longest(others, order.nodes[: len(others)])
        ]
        self._local = ShardGradients(problem, own)
        self._driver = Member(platform.node(), os.getpid(), own)
        descriptions = [actor.describe.remote() for actor in actors]
        joining = zip(actors, others, descriptions, strict=True)
        try:
            check_shards(order, problem, own)
            self._remotes = [self._join(actor, shards, description) for actor, shards, description in joining]
        except BaseException:
            for actor in actors:
                ray.kill(actor)
            raise

    def sum_of_shard_gradients(self, parameters: NDArray[Any], step: Step) -> Sum:
        """The average loss over the rows of a step, and its gradient."""
        batch = self._batches.batch(step)
        answers = self._ask(parameters, step)
        parts = self._local.sums(parameters, step, batch)
        for remote, answer in zip(self._remotes, answers, strict=True):
            parts |= self._receive(remote, answer, (parameters, step, batch))
        loss, gradient = self._combine(parts, len(batch.leaves))
        return Sum(loss, gradient.copy(), batch.total_weight)  # the buffer is used again for the next step

    def count_epoch(self) -> None:
        """Let the record show that everybody who is here worked for one more epoch."""
        for member in (self._driver, *(remote.member for remote in self._remotes if remote.local is None)):
            member.epochs += 1

    def members(self) -> list[dict[str, Any]]:
        """Every worker that this attempt has had."""
        return [self._driver.view(), *(remote.member.view() for remote in self._remotes)]

    def dismiss(self) -> None:
        """End the remote workers."""
        for remote in self._remotes:
            ray.kill(remote.actor)

    def _join(self, actor: Any, shards: range, answer: Any) -> Remote:  # noqa: ANN401 - Ray's handle and reference
        n_bytes = self._problem.matrix.X.nbytes
        reading = n_bytes / BYTES_HASHED_PER_SECOND + n_bytes / self._slowest_bytes_per_second
        description = ray.get(answer, timeout=START_SECONDS + reading)
        if "storage_refused" in description:
            raise StorageUnavailableError(description["storage_refused"], refused=True)
        if "matrix_gone" in description:
            raise MatrixGoneError
        if description["data_changed"] is not None:
            raise DataError(description["data_changed"], code="data_changed")
        ours = numerics.fingerprint()
        if description["numerics"] != ours:
            if not self._accepts_other_numerics:
                who = f"worker {description['pid']} on {description['node']}"
                raise FingerprintMismatchError(mismatch(who, description["numerics"], ours))
            self.other_numerics.append(description["numerics"])
        return Remote(actor, Member(description["node"], description["pid"], shards))

    def _ask(self, parameters: NDArray[Any], step: Step) -> list[Any]:
        live = [remote for remote in self._remotes if remote.local is None]
        if not live:
            return [None] * len(self._remotes)
        argument = ray.put(parameters) if len(live) > 1 else parameters
        return [remote.actor.sums.remote(argument, step) if remote.local is None else None for remote in self._remotes]

    def _receive(self, remote: Remote, answer: Any, asked: tuple[NDArray[Any], Step, Batch]) -> dict[Node, Share]:  # noqa: ANN401 - Ray's reference
        if remote.local is None:
            try:
                sums: dict[Node, Share] = ray.get(answer, timeout=STEP_SECONDS)
            except (ray.exceptions.RayError, TimeoutError) as error:
                return self._take_over(remote, error).sums(*asked)
            return sums
        return remote.local.sums(*asked)

    def _take_over(self, remote: Remote, error: Exception) -> ShardGradients:
        """The driver computes a lost worker's shards from now on: other executor, same bits."""
        ray.kill(remote.actor)
        check_shards(self._order, self._problem, remote.member.shards)  # the driver has not read these rows yet
        remote.local = ShardGradients(self._problem, remote.member.shards)
        remote.member.replaced_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        remote.member.reason = type(error).__name__
        return remote.local
