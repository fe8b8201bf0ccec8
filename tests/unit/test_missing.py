"""Missing values that a dataset's description tells of are refused with their field, their number and the way out."""

from typing import Any

import pytest

from workers.errors import SpecError
from workers.missing import check_features, check_targets, check_validation
from workers.spec import JobSpec, parse

COLUMNS: dict[str, dict[str, Any]] = {
    "whole": {"name": "whole", "type": "number", "nulls": 0, "min": 1.0},
    "gaps": {"name": "gaps", "type": "number", "nulls": 3, "min": 0.0},
    "more": {"name": "more", "type": "number", "nulls": 1, "min": 0.0},
    "empty": {"name": "empty", "type": "number", "nulls": 9, "min": None},
    "kind": {"name": "kind", "type": "category", "nulls": 0, "min": None},
    "debt": {"name": "debt", "type": "number", "nulls": 0, "min": -2.0},
}
FILL = "Set preprocessing.missing_values to mean or most_frequent, clean the file, or leave the column out."
CLEAN = "Fill the column, or remove these rows in the file."


def spec(target: str = "whole", method: str = "error", **fields: Any) -> JobSpec:
    body = {"dataset": "d", "target": target, "preprocessing": {"missing_values": method}, "features": ["whole"]}
    return parse({**body, **fields})


def refused(check: Any, wanted: JobSpec) -> tuple[str, str, str]:
    with pytest.raises(SpecError) as caught:
        check(wanted, COLUMNS, 9)
    return caught.value.code, caught.value.errors[0].field, caught.value.message


def test_a_target_has_a_value_in_each_row() -> None:
    check_targets(spec(), COLUMNS, 9)
    says = f"Column 'gaps' has no value in 3 of 9 rows. {CLEAN}"
    assert refused(check_targets, spec("gaps", "mean")) == ("missing_values", "target", says)


def test_features_have_a_value_in_each_row_unless_they_are_filled() -> None:
    check_features(spec(features=["gaps", "more"], method="mean"), COLUMNS, 9)
    says = f"Column 'gaps' has no value in 3 of 9 rows. {FILL}"
    assert refused(check_features, spec(features=["whole", "gaps"])) == ("missing_values", "features", says)
    says = f"Column 'gaps' has no value in 3 of 9 rows, and 1 more such column is among the features. {FILL}"
    assert refused(check_features, spec(features=["gaps", "more"])) == ("missing_values", "features", says)


@pytest.mark.parametrize("method", ["mean", "most_frequent"])
def test_what_has_no_value_at_all_can_t_be_filled(method: str) -> None:
    code, field, message = refused(check_features, spec(features=["gaps", "empty"], method=method))
    assert (code, field) == ("all_missing", "features")
    assert message.startswith("Column 'empty' has no value in any of the 9 rows, so there is nothing to fill it with.")
    assert "`ignore`" in message


def test_a_validation_dataset_needs_the_same_values() -> None:
    check_validation(
        spec(features=["gaps", "empty"], method="mean", weight_column="more"), COLUMNS | {"more": COLUMNS["whole"]}, 9
    )
    for wanted, code, says in (
        (
            spec("gaps"),
            "missing_values",
            f"In the validation dataset: Column 'gaps' has no value in 3 of 9 rows. {CLEAN}",
        ),
        (spec(features=["gaps"]), "missing_values", FILL),
        (spec(weight_column="gaps"), "invalid_weights", "'gaps' must hold a number of at least 0 in each row"),
        (spec(weight_column="debt"), "invalid_weights", "'debt' must hold"),
        (spec(weight_column="kind"), "invalid_weights", "'kind' must hold a number"),
    ):
        found, field, message = refused(check_validation, wanted)
        assert (found, field, says in message) == (code, "validation_dataset", True), message
