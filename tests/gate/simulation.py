"""A year of nights under the real gate, with models whose true quality is known: what each test row costs is drawn."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.comparison import difference
from service.gate import Promotion, Verdict, confidence_after, decide, first_version, kept_in_a_row

Costs = NDArray[np.float64]
SPREAD = 0.5
"""How much two equally good models differ on one row: the deviation of the logarithm of its cost."""


class World(NamedTuple):
    """The test rows that all models of a year are scored on; each has its own difficulty."""

    difficulty: Costs

    def costs(self, model: int, worse: float) -> Costs:
        """Of one model, whose expected cost is (1 + worse) times that of a good one. The same for the same number."""
        noise = np.random.default_rng([model, 7]).normal(-(SPREAD**2) / 2, SPREAD, len(self.difficulty))
        return np.asarray(self.difficulty * np.exp(noise) * (1 + worse))

    def standard_error(self) -> float:
        """Of the mean difference between two models of this world, in units of their mean cost."""
        one = self.costs(-1 % 2**32, 0.0) - self.costs(-2 % 2**32, 0.0)
        return float(one.std() / np.sqrt(len(one)) / self.difficulty.mean())


def world(seed: int, rows: int) -> World:
    """Most rows are easy, few are hard, as with a log-loss."""
    return World(np.random.default_rng([seed, 1]).exponential(0.3, rows) + 0.02)


class Night(NamedTuple):
    """What was decided, and who served afterwards for how many nights."""

    worse: float
    verdict: Verdict
    serving: int
    age: int


def nights(
    seed: int, rows: int, qualities: list[float], promotion: Promotion | None = None, resamples: int = 999
) -> Iterator[Night]:
    """The model of each night is that much worse than a good one, relatively."""
    rule, here = promotion or Promotion(), world(seed, rows)
    history: list[dict[str, Any]] = []
    champion, anchor, age = 0, 0, 0
    costs = {0: here.costs(seed * 1000, qualities[0])}
    yield Night(qualities[0], first_version(0), 0, 0)
    for version, worse in enumerate(qualities[1:], start=1):
        own = here.costs(seed * 1000 + version, worse)
        costs[version] = own
        confidence = confidence_after(rule.confidence, kept_in_a_row(history, champion))
        evidence = _evidence(own, costs[champion], costs[anchor], here, confidence, version, resamples)
        verdict = decide(rule, evidence, version, champion, anchor)
        history.insert(0, verdict.as_json())
        age += 1
        if verdict.verdict == "promoted":
            champion, anchor, age = version, verdict.anchor or 0, 0
        yield Night(worse, verdict, champion, age)


def _evidence(
    own: Costs, champion: Costs, anchor: Costs, here: World, confidence: float, seed: int, resamples: int
) -> dict[str, Any]:
    def versus(others: Costs) -> list[float]:
        return list(difference(own, others, confidence, seed, resamples))

    champions = versus(champion)
    return {
        "rows": len(own),
        "confidence": confidence,
        "challenger": {"test_loss": float(own.mean())},
        "champion": {"test_loss": float(champion.mean())},
        "versus_champion": champions,
        "versus_anchor": champions if anchor is champion else versus(anchor),
        "versus_skill": versus(2 * here.difficulty),
    }


def stopped(errors: float, rows: int, years: Iterable[int]) -> float:
    """The share that is stopped of models that are worse by so many standard errors of the comparison."""
    total = stops = 0
    for year in years:
        worse = errors * world(year, rows).standard_error()
        planted = [worse if night % 3 == 2 else 0.0 for night in range(90)]  # every third night
        for night in nights(year, rows, planted):
            total += night.worse > 0
            stops += night.worse > 0 and night.verdict.verdict != "promoted"
    return stops / total
