"""How far a step goes in each epoch: schedules count epochs, from 1."""

import math

from workers.spec import CosineRate, Schedule, StepRate


def learning_rate(schedule: Schedule, rate: float, epoch: int, epochs: int) -> float:
    """The learning rate of `epoch`, of `epochs` in all, where `rate` is the job's.

    The warm-up climbs in equal steps: epoch e of w has rate · e/(w + 1). The schedule itself starts behind it.
    """
    warmup = schedule.warmup_epochs
    if epoch <= warmup:
        return rate * epoch / (warmup + 1)
    done = epoch - warmup - 1
    match schedule:
        case StepRate(every=every, factor=factor):
            return rate * factor ** (done // every)
        case CosineRate():
            return rate * 0.5 * (1 + math.cos(math.pi * done / (epochs - warmup)))
        case _:
            return rate
