"""Whether a new model may take the champion's place: the verdict on scores of both on the same test rows. Pure.

A model is *worse* where the whole confidence interval of its mean cost minus the champion's lies above
`unless_worse_by`. docs/CHAMPIONS.md has the rules in words.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import takewhile
from typing import Any, Literal

from workers.counting import counted

Outcome = Literal["promoted", "kept", "incomparable", "waiting"]

LARGEST_CONFIDENCE = 0.9998
"""What the resamples of the bootstrap can still tell."""
KEPT_SKILL = 2 / 3
"""How much of the champion's skill on its own test rows a new model must have on its own."""
CLEARLY = 4.0
"""Standard errors by which a model is clearly worse or better than the anchor: luck makes no anchor."""


@dataclass(frozen=True)
class Promotion:
    """A schedule's rule for its champion, as in the contract."""

    metric: str = "test_loss"
    unless_worse_by: float = 0.0
    confidence: float = 0.95
    must_beat_linear: bool = False
    floors: Mapping[str, float] = field(default_factory=dict)
    mode: str = "auto"


@dataclass(frozen=True)
class Verdict:
    """What came of it. `code` says which rule decided, `reason` is a sentence."""

    verdict: Outcome
    code: str
    reason: str
    champion: int | None = None
    """The version that served when it was judged."""
    anchor: int | None = None
    """The version that the next ones must not fall behind: see `_is_behind`."""
    scores: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is kept on the job and the model version."""
        return asdict(self)


def confidence_after(confidence: float, kept: int) -> float:
    """The confidence to ask for where the champion was kept `kept` times in a row.

    Each night looks at much the same test rows. A champion that was lucky on them would be called better again and
    again; so the chance of an error is multiplied from night to night.
    """
    return max(confidence, min(1 - (1 - confidence) ** (kept + 1), LARGEST_CONFIDENCE))


def kept_in_a_row(verdicts: Iterable[Mapping[str, Any] | None], champion: int) -> int:
    """How many verdicts, newest first, kept this champion because the new model was worse, since it serves.

    A night that ended for another reason, a missed floor say, has not tried the champion's luck, and does not end it.
    """
    judged = (verdict for verdict in verdicts if verdict is not None)
    since = takewhile(lambda verdict: verdict["champion"] == champion, judged)
    return sum(verdict["code"] in {"worse", "behind"} for verdict in since)


def first_version(version: int) -> Verdict:
    """The verdict on a model that serves because it is the first."""
    return Verdict("promoted", "first", "The first version of its name serves.", None, version)


def serves_already(version: int) -> Verdict:
    """The verdict on a model that somebody promoted before it could be judged."""
    return Verdict("promoted", "by_hand", "It was promoted by hand before it was judged.", None, version)


def not_asked(champion: int | None) -> Verdict:
    """The verdict on a model that was made before its schedule had a promotion."""
    return Verdict("kept", "not_asked", "It was made before its schedule had a promotion.", champion)


def decide(promotion: Promotion, evidence: Mapping[str, Any], version: int, champion: int, anchor: int) -> Verdict:
    """The verdict on `version` against the champion, by what `service.scoring` measured.

    Evidence: {"incomparable": reason} or {"rows", "challenger", "champion", "linear": scores, "versus_champion",
    "versus_anchor", "versus_skill": [mean, lower, upper, standard error] of the difference in cost, "versus_linear":
    its mean, "confidence", "skill", "champion_skill"}.
    """
    if evidence.get("incomparable"):
        reason = f"It can't be compared with version {champion}: {evidence['incomparable']}."
        return Verdict("incomparable", "incomparable", reason, champion, anchor)
    shown = ("rows", "challenger", "champion", "linear", "versus_champion", "confidence")
    scores = {name: evidence[name] for name in shown if evidence.get(name) is not None}
    stopped = _first_rule_broken(promotion, evidence, champion, anchor)
    if stopped is not None:
        code, reason = stopped
        return Verdict("kept", code, reason, champion, anchor, scores)
    mean, _, _, error = evidence["versus_anchor"]
    better = mean + CLEARLY * error < 0
    next_anchor = version if better else anchor
    reason = f"{_against(promotion, evidence, champion)}: not worse by more than {promotion.unless_worse_by:g}."
    if promotion.mode == "manual":
        return Verdict("waiting", "manual", f"{reason} It waits to be promoted by hand.", champion, next_anchor, scores)
    return Verdict("promoted", "not_worse", reason, champion, next_anchor, scores)


def _first_rule_broken(
    promotion: Promotion, evidence: Mapping[str, Any], champion: int, anchor: int
) -> tuple[str, str] | None:
    floor = next(_below_floors(promotion, evidence["challenger"]), None)
    if floor is not None:
        return "floor", floor
    if evidence["versus_skill"][1] > 0:
        return "lost_skill", _lost(evidence, champion)
    if promotion.must_beat_linear and evidence["versus_linear"] >= 0:
        return "linear", f"It does not beat a linear model: {_figures(evidence['challenger'], evidence['linear'])}."
    if evidence["versus_champion"][1] > promotion.unless_worse_by:
        return "worse", f"{_against(promotion, evidence, champion)}: worse."
    if _is_behind(promotion, evidence):
        return "behind", f"It is worse than version {anchor}: many small steps must not add up."
    return None


def _is_behind(promotion: Promotion, evidence: Mapping[str, Any]) -> bool:
    """A chain of models, each a little worse than the one before, stops where it is clearly worse than its anchor.

    The anchor is the last model that was clearly better than the anchor before it.
    """
    mean, _, _, error = evidence["versus_anchor"]
    return bool(mean - CLEARLY * error > promotion.unless_worse_by)


def _lost(evidence: Mapping[str, Any], champion: int) -> str:
    """Labels or columns that are partly wrong make every model bad on the new rows, the champion too."""
    mine, theirs = evidence["skill"], evidence["champion_skill"]
    return (
        f"It saves {mine:.0%} of the loss of one answer for all rows; version {champion} saved {theirs:.0%} on its own "
        f"test rows. Labels or columns may be wrong; if the world has changed, promote it by hand."
    )


def _below_floors(promotion: Promotion, scores: Mapping[str, float | None]) -> Iterator[str]:
    for name, floor in promotion.floors.items():
        value = scores.get(name)
        misses = value is None or (value > floor if name == "test_loss" else value < floor)
        if misses:
            shown = "undefined" if value is None else f"{value:.4g}"
            side = "at most" if name == "test_loss" else "at least"
            yield f"Its {name} is {shown}; the floor wants {side} {floor:g}."


def _against(promotion: Promotion, evidence: Mapping[str, Any], champion: int) -> str:
    name = promotion.metric
    mine, theirs = evidence["challenger"].get(name), evidence["champion"].get(name)
    mean, lower, upper, _ = evidence["versus_champion"]
    same = counted(evidence["rows"], "test row")
    figures = f"{name} {_shown(mine)}, version {champion} has {_shown(theirs)} on the same {same}"
    return f"{figures} (costs {mean:+.3g}, between {lower:+.3g} and {upper:+.3g} at {evidence['confidence']:.4g})"


def _figures(scores: Mapping[str, float | None], others: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {_shown(value)} to {_shown(others.get(name))}" for name, value in scores.items())


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
