"""What is run in which order: a sweep for the best variant of each system, then rounds in which all take turns."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.cases import Case
from tests.benchmarks.gradsum import Gradsum, Run
from tests.benchmarks.progress import Progress
from tests.benchmarks.subject import Subject, Variant
from tests.benchmarks.words import in_words, milliseconds

FINALISTS, FINALISTS_WITH_ONE_THREAD = 3, 2
SHORT_SECONDS = 0.02
"""Of epochs as short as this every variant can be tried."""
PASSES = 2
"""How often each finalist has its turn: what disturbs the machine for a moment must not choose."""
SWEEP_SECONDS = 0.2
"""What a finalist gets at least in each turn, if an epoch does not take longer anyway."""
MOST_EPOCHS = 200


@dataclass
class Timing:
    """One system on one case."""

    system: str
    version: str
    note: str
    variant: Variant
    rounds: list[float] = field(default_factory=list)
    """The median seconds of an epoch, of each round."""
    details: dict[str, Any] = field(default_factory=dict)
    """What else is known of it."""


def sweep(subject: Subject, progress: Progress) -> Variant:
    """The variant with the shortest epoch.

    First an epoch of each that uses all cores (of each at all, if epochs are short); then more of the best few and of
    the same with one thread.
    """
    variants: Sequence[Variant] = subject.facts["variants"]
    most = max(variant["threads"] for variant in variants)
    found: list[tuple[float, Variant]] = []
    for place, variant in enumerate(variants):
        if variant["threads"] == most or min(found, key=_seconds)[0] < SHORT_SECONDS:
            progress.say(f"{subject.name}: variant {place + 1} of {len(variants)}")
            found.append((min(subject.seconds(variant, 1)), variant))
    best = [variant for _, variant in sorted(found, key=_seconds)[:FINALISTS]]
    narrow = [{**variant, "threads": 1} for variant in best[:FINALISTS_WITH_ONE_THREAD] if most > 1]
    finalists = best + [variant for variant in narrow if variant not in best]
    turns = [(_turn_seconds(subject, variant, progress), variant) for _ in range(PASSES) for variant in finalists]
    return min(turns, key=_seconds)[1]


def _turn_seconds(subject: Subject, variant: Variant, progress: Progress) -> float:
    progress.say(f"{subject.name}: the best few of its variants")
    once = subject.seconds(variant, 1)[0]
    if once > SWEEP_SECONDS:
        return once
    return statistics.median(subject.seconds(variant, min(int(SWEEP_SECONDS / once) + 1, MOST_EPOCHS)))


def _seconds(pair: tuple[float, Variant]) -> float:
    return pair[0]


def rounds(
    case: Case, gradsum: Gradsum, subjects: Sequence[Subject], n_rounds: int, progress: Progress
) -> list[Timing]:
    """The timings of all systems: in each round every one of them has its turn, each time another one first."""
    ours = Timing("gradsum", "", "", {})
    timings = [ours]
    turns: list[Callable[[], float]] = [lambda: _job(case, gradsum, ours)]
    for place, subject in enumerate(subjects, start=1):
        best = sweep(subject, progress)
        progress.swept(place / len(subjects), f"{subject.name}: {in_words(best)}")
        timings.append(Timing(subject.name, subject.facts["version"], subject.facts.get("note", ""), best))
        turns.append(_turn(case, gradsum, subject, timings[-1]))
    for number in range(n_rounds):
        for place in range(len(turns)):
            turn = (place + number) % len(turns)
            progress.say(f"round {number + 1} of {n_rounds}: {timings[turn].system}")
            timings[turn].rounds.append(turns[turn]())
        progress.round_done(number + 1, ", ".join(f"{t.system} {milliseconds(t.rounds[-1])} ms" for t in timings))
    return timings


def _turn(case: Case, gradsum: Gradsum, subject: Subject, timing: Timing) -> Callable[[], float]:
    def turn() -> float:
        before = gradsum.cpu_seconds()
        seconds = subject.seconds(timing.variant, case.round_epochs)
        idle = (gradsum.cpu_seconds() - before) / max(sum(seconds), 1e-9)
        timing.details.setdefault("service_share_of_a_core", []).append(round(max(idle, 0.0), 3))
        return statistics.median(seconds)

    return turn


def _job(case: Case, gradsum: Gradsum, timing: Timing) -> float:
    run = gradsum.run(case)
    numerics, plan = run.job["result"]["numerics"], run.job["plan"]
    timing.version = f"numpy {numerics['numpy']}, {numerics['blas']}, {numerics['cpu']}"
    timing.variant = {key: plan[key] for key in ("workers", "shards", "block_rows")}
    timing.note = _span(run)
    timing.details |= {"plan": plan, "job": run.job["id"], "numerics": numerics}
    return statistics.median(run.seconds)


def _span(run: Run) -> str:
    span = run.span_seconds
    return "" if span is None else f"job of {run.job['spec']['training']['epochs']} epochs in {span:.1f} s"
