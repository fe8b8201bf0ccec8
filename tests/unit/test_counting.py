from workers.counting import counted


def test_one_thing_is_no_things() -> None:
    assert [counted(number, "missing value") for number in (0, 1, 2, 2000)] == [
        "0 missing values",
        "1 missing value",
        "2 missing values",
        "2,000 missing values",
    ]
