"""The rules of the gate: who is promoted, who is kept out, and who can't be compared."""

from typing import Any

import pytest

from service.comparable import difference_that_matters, hashed_columns, losses_differ, rule_problems
from service.gate import Promotion, confidence_after, decide, kept_in_a_row

SPLIT: dict[str, Any] = {"by": "hash", "column": None, "salt": "", "validation": 0.1, "test": 0.1, "stratify": False}
SPEC: dict[str, Any] = {
    "split": SPLIT,
    "target": "y",
    "task": "classification",
    "weight_column": None,
    "features": ["a", "b"],
    "class_weight": None,
    "training": {"loss": "cross_entropy"},
    "network": {"output_activation": "softmax"},
}
EVIDENCE: dict[str, Any] = {
    "rows": 200,
    "confidence": 0.95,
    "challenger": {"test_loss": 0.30, "test_accuracy": 0.92},
    "champion": {"test_loss": 0.29, "test_accuracy": 0.93},
    "versus_champion": [0.01, -0.01, 0.03, 0.01],
    "versus_anchor": [0.01, -0.01, 0.03, 0.01],
    "skill": 0.8,
    "champion_skill": 0.9,
    "versus_skill": [-1.0, -1.1, -0.9, 0.05],
    "linear": {"test_loss": 0.35},
    "versus_linear": -0.05,
}


def verdict(promotion: Promotion | None = None, **evidence: Any) -> tuple[str, str]:
    found = decide(promotion or Promotion(), EVIDENCE | evidence, version=3, champion=2, anchor=1)
    assert found.reason.endswith("."), found.reason
    return found.verdict, found.code


def test_a_model_that_is_not_worse_is_promoted() -> None:
    assert verdict() == ("promoted", "not_worse")


def test_a_model_that_is_worse_for_sure_is_not() -> None:
    assert verdict(versus_champion=[0.05, 0.01, 0.09, 0.02]) == ("kept", "worse")


def test_it_may_be_as_much_worse_as_the_schedule_says() -> None:
    worse = {"versus_champion": [0.05, 0.01, 0.09, 0.02]}
    assert verdict(Promotion(unless_worse_by=0.02), **worse) == ("promoted", "not_worse")


@pytest.mark.parametrize(
    ("floors", "code"),
    [({"test_accuracy": 0.9}, "not_worse"), ({"test_accuracy": 0.95}, "floor"), ({"test_loss": 0.2}, "floor"),
     ({"test_r2": 0.5}, "floor")],
)  # fmt: skip
def test_a_floor_that_is_missed_stops_it(floors: dict[str, float], code: str) -> None:
    assert verdict(Promotion(floors=floors))[1] == code


def test_a_model_that_surely_lost_a_third_of_the_skill_that_the_champion_had_is_stopped() -> None:
    assert verdict(versus_skill=[0.2, 0.1, 0.3, 0.05]) == ("kept", "lost_skill")
    assert verdict(versus_skill=[0.1, -0.1, 0.3, 0.1]) == ("promoted", "not_worse")


def test_it_must_beat_a_linear_model_only_where_asked() -> None:
    beaten = {"versus_linear": 0.02}
    assert verdict(**beaten) == ("promoted", "not_worse")
    assert verdict(Promotion(must_beat_linear=True), **beaten) == ("kept", "linear")
    assert verdict(Promotion(must_beat_linear=True)) == ("promoted", "not_worse")


def test_small_steps_down_do_not_add_up() -> None:
    assert verdict(versus_anchor=[0.05, 0.03, 0.07, 0.01]) == ("kept", "behind")


def test_the_anchor_moves_to_a_model_that_is_clearly_better_and_to_no_other() -> None:
    for anchor, difference in ((1, [-0.03, -0.05, -0.01, 0.01]), (3, [-0.05, -0.07, -0.03, 0.01])):
        found = decide(Promotion(), EVIDENCE | {"versus_anchor": difference}, version=3, champion=2, anchor=1)
        assert found.anchor == anchor


def test_by_hand_a_model_that_passes_waits_and_one_that_fails_is_kept_out() -> None:
    by_hand = Promotion(mode="manual")
    assert verdict(by_hand) == ("waiting", "manual")
    assert verdict(by_hand, versus_champion=[0.05, 0.01, 0.09, 0.02]) == ("kept", "worse")


def test_what_can_not_be_compared_is_not_promoted() -> None:
    found = decide(Promotion(), {"incomparable": "other classes"}, version=3, champion=2, anchor=1)
    assert found.verdict == "incomparable"
    assert found.reason == "It can't be compared with version 2: other classes."


def test_a_champion_that_was_kept_must_win_by_more_each_night() -> None:
    confidences = [confidence_after(0.95, kept) for kept in range(4)]
    assert confidences == pytest.approx([0.95, 0.9975, 0.9998, 0.9998])
    assert confidence_after(0.99999, 0) == 0.99999


def test_only_nights_that_were_lost_to_the_champion_count_as_kept() -> None:
    worse, behind, floor = ({"code": code, "champion": 2} for code in ("worse", "behind", "floor"))
    promoted, older = {"code": "not_worse", "champion": 1}, {"code": "worse", "champion": 1}
    assert kept_in_a_row([worse, behind, floor, None, worse], 2) == 3
    assert kept_in_a_row([worse, promoted, older], 2) == 1
    assert kept_in_a_row([promoted, older], 2) == 0
    assert kept_in_a_row([worse], 3) == 0
    assert kept_in_a_row([], 1) == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, None),
        ({"split": SPLIT | {"salt": "x"}}, "split (salt"),
        ({"split": SPLIT | {"test": 0.2}}, "split (test"),
        ({"split": SPLIT | {"by": "group", "column": "g"}}, "split (by"),
        ({"target": "z"}, "target"),
        ({"features": ["a"]}, "columns (b)"),
    ],
)
def test_another_split_column_or_target_can_not_be_compared(change: dict[str, Any], word: str | None) -> None:
    reason = difference_that_matters(SPEC, SPEC | change, hashed=True, tested_from=None)
    assert (reason is None) if word is None else (reason is not None and word in reason)


@pytest.mark.parametrize("split", [SPLIT | {"by": "row"}, SPLIT | {"stratify": True}])
def test_rows_that_change_sides_when_data_is_added_can_not_be_compared(split: dict[str, Any]) -> None:
    same = SPEC | {"split": split}
    assert difference_that_matters(same, same, hashed=True, tested_from=None) is not None


@pytest.mark.parametrize("split", [SPLIT, SPLIT | {"column": "id"}, SPLIT | {"by": "group", "column": "id"}])
def test_columns_that_a_hash_reads_must_be_the_same_and_of_the_same_kind(split: dict[str, Any]) -> None:
    spec = SPEC | {"split": split}
    assert difference_that_matters(spec, spec, hashed=True, tested_from=None) is None
    assert difference_that_matters(spec, spec, hashed=False, tested_from=None) is not None


def test_a_split_by_the_whole_row_hashes_all_columns_and_one_by_a_column_that_one() -> None:
    columns = [{"name": "id", "type": "number"}, {"name": "word", "type": "category"}]
    as_text = [{"name": "id", "type": "text"}, {"name": "word", "type": "text"}]
    assert hashed_columns(SPLIT, columns) == {"id": True, "word": False}
    for by in ("hash", "group"):
        assert hashed_columns(SPLIT | {"by": by, "column": "id"}, columns) == {"id": True}
        assert hashed_columns(SPLIT | {"by": by, "column": "id"}, as_text) == {"id": False}
    assert hashed_columns(SPLIT | {"by": "time", "column": "id"}, columns) == {}


def test_with_a_split_by_time_the_test_rows_must_be_as_new_as_the_champions() -> None:
    timed = SPEC | {"split": SPLIT | {"by": "time", "column": "day"}}
    assert difference_that_matters(timed, timed, hashed=True, tested_from=True) is None
    assert difference_that_matters(timed, timed, hashed=True, tested_from=False) is not None


def test_losses_of_two_kinds_are_not_compared_but_accuracies_are() -> None:
    other = SPEC | {"training": {"loss": "squared_error"}}
    assert losses_differ(SPEC, other, "test_loss") is not None
    assert losses_differ(SPEC, other, "test_accuracy") is None


@pytest.mark.parametrize(
    ("promotion", "task", "split", "model", "fields"),
    [
        ({}, "classification", SPLIT, "m", []),
        ({}, None, SPLIT, None, ["job.tracking.registered_model"]),
        ({}, None, SPLIT | {"test": 0.0}, "m", ["job.split.test"]),
        ({}, None, SPLIT | {"by": "row"}, "m", ["job.split.by"]),
        ({}, None, SPLIT | {"stratify": True}, "m", ["job.split.stratify"]),
        ({"metric": "test_r2"}, "classification", SPLIT, "m", ["promotion.metric"]),
        ({"metric": "test_r2"}, None, SPLIT, "m", []),
        ({"metric": "loss"}, None, SPLIT, "m", ["promotion.metric"]),
        ({"floors": {"test_accuracy": 0.9, "speed": 1}}, "regression", SPLIT, "m",
         ["promotion.floors.test_accuracy", "promotion.floors.speed"]),
    ],
)  # fmt: skip
def test_a_promotion_that_can_not_work_is_refused_by_field(
    promotion: dict[str, Any], task: str | None, split: dict[str, Any], model: str | None, fields: list[str]
) -> None:
    assert [error.field for error in rule_problems(promotion, task, split, model)] == fields
