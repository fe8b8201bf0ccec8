"""The workers of one job: the driver's own process and, beside it, ShardWorker actors."""

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import ray
from numpy.typing import NDArray

from workers import numerics
from workers.errors import GradsumError
from workers.gradients import ShardGradients, Share
from workers.problem import Order, Problem
from workers.shards import Node, assign, sum_node
from workers.worker import ShardWorker

START_SECONDS = 60.0
STEP_SECONDS = 120.0

ACTOR_OPTIONS = {"num_cpus": 0, "resources": {"gradsum": 1e-4}}
"""Places actors on nodes that train (they offer `gradsum`); how many run at once is the dispatcher's business."""

Combine = Callable[[Mapping[Node, Share], int], Share]
"""Adds the sums of nodes up to the sum over all shards."""


class FingerprintMismatchError(GradsumError):
    """A worker would compute other bits than the driver."""

    code = "fingerprint_mismatch"


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


def combine(parts: Mapping[Node, Share], n_shards: int) -> Share:
    """The sum over all shards, along the tree: the order in which the parts arrived does not matter."""
    loss = sum_node({node: share[0] for node, share in parts.items()}, 0, n_shards)
    return loss, sum_node({node: share[1] for node, share in parts.items()}, 0, n_shards)


class Team:
    """Computes the sum of the shard gradients, this process and the remote workers side by side."""

    def __init__(self, order: Order, problem: Problem, combine_parts: Combine = combine) -> None:
        self._problem = problem
        self._combine = combine_parts
        self._n_shards = len(problem.ranges)
        own, *others = assign(self._n_shards, order.plan["workers"])
        actor_class = ray.remote(**ACTOR_OPTIONS)(ShardWorker)
        actors = [actor_class.remote(order, shards.start, shards.stop) for shards in others]
        self._local = ShardGradients(problem, own)
        self._driver = Member(platform.node(), os.getpid(), own)
        self._remotes = [self._join(actor, shards) for actor, shards in zip(actors, others, strict=True)]

    def sum_of_shard_gradients(self, parameters: NDArray[Any]) -> Share:
        """The average loss over all training rows and its gradient, for one epoch."""
        total = self.sum(parameters)
        for member in (self._driver, *(remote.member for remote in self._remotes if remote.local is None)):
            member.epochs += 1
        return total

    def sum(self, parameters: NDArray[Any]) -> Share:
        """The same for no epoch: not counted as anybody's work."""
        answers = self._ask(parameters)
        parts = self._local.sums(parameters)
        for remote, answer in zip(self._remotes, answers, strict=True):
            parts |= self._receive(remote, answer, parameters)
        return self._combine(parts, self._n_shards)

    def members(self) -> list[dict[str, Any]]:
        """Every worker that this attempt has had."""
        return [self._driver.view(), *(remote.member.view() for remote in self._remotes)]

    def dismiss(self) -> None:
        """End the remote workers."""
        for remote in self._remotes:
            ray.kill(remote.actor)

    def _join(self, actor: Any, shards: range) -> Remote:  # noqa: ANN401 - Ray's handle
        description = ray.get(actor.describe.remote(), timeout=START_SECONDS)
        ours = numerics.fingerprint()
        if description["numerics"] != ours:
            raise FingerprintMismatchError(
                f"Worker {description['pid']} on {description['node']} computes with {description['numerics']}, "
                f"the driver with {ours}. Give all nodes the same image and the same kind of processor."
            )
        return Remote(actor, Member(description["node"], description["pid"], shards))

    def _ask(self, parameters: NDArray[Any]) -> list[Any]:
        live = [remote for remote in self._remotes if remote.local is None]
        if not live:
            return [None] * len(self._remotes)
        argument = ray.put(parameters) if len(live) > 1 else parameters
        return [remote.actor.sums.remote(argument) if remote.local is None else None for remote in self._remotes]

    def _receive(self, remote: Remote, answer: Any, parameters: NDArray[Any]) -> dict[Node, Share]:  # noqa: ANN401 - Ray's reference
        if remote.local is None:
            try:
                sums: dict[Node, Share] = ray.get(answer, timeout=STEP_SECONDS)
            except (ray.exceptions.RayError, TimeoutError) as error:
                return self._take_over(remote, error).sums(parameters)
            return sums
        return remote.local.sums(parameters)

    def _take_over(self, remote: Remote, error: Exception) -> ShardGradients:
        """The driver computes a lost worker's shards from now on: other executor, same bits."""
        ray.kill(remote.actor)
        remote.local = ShardGradients(self._problem, remote.member.shards)
        remote.member.replaced_at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        remote.member.reason = type(error).__name__
        return remote.local
