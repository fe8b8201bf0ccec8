"""Numbers with what they count, as messages have them."""


def counted(number: int, thing: str) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def part_of(number: int, total: int, thing: str) -> str:
    """`3 of 2,000 rows`, `the only row`."""
    return f"the only {thing}" if number == total == 1 else f"{number:,} of {counted(total, thing)}"


def any_of(total: int, thing: str) -> str:
    """`any of the 2,000 rows`, `the only row`."""
    return f"the only {thing}" if total == 1 else f"any of the {counted(total, thing)}"
