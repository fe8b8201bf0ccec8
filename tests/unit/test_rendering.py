"""How lists look on terminals of any width."""

import io

import pytest
from rich.console import Console

from service.rendering import moment, show_list
from service.schedule_rendering import spelled

JOB_ID = "job_f40cec27a25b7ed933726471"
PROGRESS = "412/1000  loss 0.034  accuracy 0.961  930 epochs/s  0.6 s left"
COLUMNS = {
    "id": lambda job: job["id"],
    "name": lambda job: job["name"],
    "created": lambda job: moment(job["created_at"]),
    "progress": lambda job: job["progress"],
}


def shown(width: int, name: str | None = "digits", n: int = 1) -> list[str]:
    file = io.StringIO()
    job = {"id": JOB_ID, "name": name, "created_at": "2026-11-24T10:00:00Z", "progress": PROGRESS}
    page = {"data": [job] * n, "has_more": False}
    show_list(Console(file=file, width=width), page, COLUMNS, "nothing")
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 160])
@pytest.mark.parametrize("name", ["digits", "a-name-that-is-" * 8, None])
def test_ids_are_whole_whatever_the_width(width: int, name: str | None) -> None:
    assert sum(JOB_ID in line for line in shown(width, name, 2)) == 2


def test_other_columns_give_way_while_they_are_readable() -> None:
    lines = shown(80)
    assert lines[0].split() == ["id", "name", "created", "progress"]
    assert max(map(len, lines)) <= 80
    assert "2026-11-24" in lines[1]  # no word is broken that need not be


def test_what_has_no_room_for_a_table_is_a_line_for_each_value() -> None:
    assert [line.split(maxsplit=1) for line in shown(40)] == [
        ["id", JOB_ID],
        ["name", "digits"],
        ["created", "2026-11-24 10:00:00"],
        ["progress", PROGRESS],
        [],
    ]


def test_settings_read_like_their_file() -> None:
    check = {"min_rows": 900, "rows_vs_last": [0.5, 2.0], "max_psi": None, "floors": {"test_r2": 0.5}, "same": True}
    assert spelled(check) == "min_rows: 900, rows_vs_last: [0.5, 2], floors: {test_r2: 0.5}, same: true"
    assert spelled(["price", "rent"]) == "price, rent"
    assert spelled("digits") == "digits"
