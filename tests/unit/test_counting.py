from workers.counting import any_of, counted, part_of


def test_one_thing_is_no_things() -> None:
    assert [counted(number, "missing value") for number in (0, 1, 2, 2000)] == [
        "0 missing values",
        "1 missing value",
        "2 missing values",
        "2,000 missing values",
    ]


def test_some_of_the_things_are_told_from_the_only_one() -> None:
    assert [part_of(*those, "row") for those in ((1, 2), (1500, 2000), (0, 1), (1, 1))] == [
        "1 of 2 rows",
        "1,500 of 2,000 rows",
        "0 of 1 row",
        "the only row",
    ]
    assert [any_of(total, "row") for total in (2000, 1)] == ["any of the 2,000 rows", "the only row"]
