"""What the API shows of rows, whatever version wrote them."""

from service.views import late_problem


def test_an_error_that_an_earlier_version_stored_is_a_problem_too() -> None:
    old = {"code": "ragged_row", "message": "Row 3 has 1 value, the header has 2."}
    assert late_problem(old) == {
        **old, "type": "/problems/ragged_row", "title": "Ragged row", "status": 422, "detail": old["message"],
        "errors": [],
    }  # fmt: skip


def test_a_failure_of_the_service_is_not_called_one_of_the_data() -> None:
    statuses = [late_problem({"code": code, "message": ""})["status"] for code in ("storage_full", "internal")]
    assert statuses == [507, 500]
