"""PyTorch as one would write it: nn.Sequential, the squared error, SGD; blocks of rows add to one gradient."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tests.benchmarks.cases import Case, load, targets_of
from tests.benchmarks.subject import Variant, answer, timed
from tests.benchmarks.threads import n_cores

BLOCKS = (512, 1024, 2048, 4096, 8192, 16384)
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU, "identity": nn.Identity}


def network(case: Case) -> nn.Sequential:
    """The layers of the case."""
    names = [case.activation] * (len(case.sizes) - 2) + [case.output_activation]
    pairs = zip(itertools.pairwise(case.sizes), names, strict=True)
    return nn.Sequential(
        *(part for (n_in, n_out), name in pairs for part in (nn.Linear(n_in, n_out), ACTIVATIONS[name]()))
    )


def variants(case: Case) -> list[Variant]:
    """All rows in one go (block: null) and every block, with one thread for each core and with one."""
    blocks = [None, *(block for block in BLOCKS if block < case.rows)]
    return [
        {"threads": threads, "block": block} for threads in sorted({n_cores(), 1}, reverse=True) for block in blocks
    ]


def prepare(case: Case, variant: Variant) -> Callable[[int], list[float]]:
    """Epochs: loss, gradient and update."""
    torch.set_num_threads(variant["threads"])
    torch.manual_seed(0)
    X, y = load(case)
    size = variant["block"] or len(X)
    blocks = list(zip(torch.from_numpy(X).split(size), torch.from_numpy(targets_of(case, y)).split(size), strict=True))
    model = network(case)
    optimizer = torch.optim.SGD(model.parameters(), lr=case.learning_rate)

    def epoch() -> float:
        optimizer.zero_grad()
        total = torch.zeros(())
        for rows, targets in blocks:
            loss = nn.functional.mse_loss(model(rows), targets, reduction="sum") * (0.5 / len(X))
            loss.backward()
            total += loss.detach()
        optimizer.step()
        return total.item()

    return lambda epochs: timed(epoch, epochs)


def facts(case: Case) -> dict[str, Any]:
    """The version, what multiplies matrices in it, and the variants."""
    blas = "MKL" if torch.backends.mkl.is_available() else "OpenBLAS or other"
    return {
        "version": f"torch {torch.__version__}, {blas}, {torch.backends.cpu.get_cpu_capability()}",
        "variants": variants(case),
    }


if __name__ == "__main__":
    answer(prepare, facts)
