"""Which epochs of a job MLflow shows: a rule of its spec alone, so that any fault leaves the same points."""


def points(after: int, until: int, epochs: int, max_points: int) -> list[int]:
    """The epochs e with after < e ≤ until and e = 1, e mod k = 0 for k = ⌈epochs / max_points⌉, or e = epochs."""
    every = -(-epochs // max_points)
    found = list(range((after // every + 1) * every, until + 1, every))
    if after < 1 <= until and every > 1:
        found.insert(0, 1)
    if after < epochs <= until and epochs % every and epochs > 1:
        found.append(epochs)
    return found


def closing_points(last: int, best: int | None, epochs: int, max_points: int) -> list[int]:
    """The last epoch that a job came to, and its best one, where the rule of `points` leaves them out."""
    candidates = sorted({epoch for epoch in (best, last) if epoch})
    return [epoch for epoch in candidates if not points(epoch - 1, epoch, epochs, max_points)]
