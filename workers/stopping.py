"""When training stops before its last epoch, and which epoch was the best: pure functions over what was seen."""

from typing import NamedTuple

from workers.activations import Array
from workers.spec import EarlyStopping


class Best(NamedTuple):
    """The lowest score of the epochs so far; `parameters` are kept where they become the result."""

    score: float = float("inf")
    epoch: int = 0
    parameters: Array | None = None
    stale: int = 0
    """Validations since the last one that improved the score by more than the asked minimum."""


def judged(best: Best, score: float | None, epoch: int, parameters: Array | None, min_improvement: float) -> Best:
    """`best` after an epoch that was judged by this score; None, where it is not finite, is no improvement."""
    score = float("inf") if score is None else score
    stale = 0 if score < best.score - min_improvement else best.stale + 1
    if score < best.score:
        return Best(score, epoch, parameters, stale)
    return best._replace(stale=stale)


def stop_reason(
    *,
    loss: float | None,
    target_loss: float | None,
    exhausted: bool,
    seconds: float,
    max_runtime_seconds: float | None,
) -> str | None:
    """Why training ends here whatever a validation says, as the contract names it; None where it goes on.

    `exhausted` says that the optimizer has nothing more to gain; `seconds` is the time that training has taken.
    """
    if target_loss is not None and loss is not None and loss <= target_loss:
        return "target_loss"
    if exhausted:
        return "early_stopping"
    if max_runtime_seconds is not None and seconds >= max_runtime_seconds:
        return "max_runtime"
    return None


def has_stalled(best: Best, early_stopping: EarlyStopping | None) -> bool:
    """Whether training ends because the last `patience` validations were no better than the best before them."""
    return early_stopping is not None and best.stale >= early_stopping.patience
