"""The floor: the matrix products that an epoch can't do without, and nothing else. No bias, no activation, no loss."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

from tests.benchmarks.cases import Array, Case, load
from tests.benchmarks.subject import Variant, answer, timed
from tests.benchmarks.threads import n_cores

BLOCKS = (256, 512, 1024, 2048, 4096, 8192)
PAD = 16


class Layout(NamedTuple):
    """How arrays lie in memory."""

    columns: bool
    """Activations and deltas as (n, rows) instead of (rows, n)."""
    transposed: bool
    """Weights and their gradients as (n_in, n_out) instead of (n_out, n_in)."""
    padded: bool
    """Hidden layers made wider, to a multiple of 16: some kernels are faster so, though they do more."""


class Buffers(NamedTuple):
    """What a block of so many rows is computed in, (rows, n) for each layer behind the inputs."""

    activations: list[Array]
    deltas: list[Array]


def array(first: int, second: int, *, turned: bool) -> Array:
    """An array (first, second) of small numbers that lies in memory as (second, first) if `turned`."""
    values = np.random.default_rng(0).uniform(-0.1, 0.1, (first, second)).astype(np.float32)
    return np.asfortranarray(values) if turned else values


def product(left: Array, right: Array, out: Array) -> None:
    """left · right, written to `out` as it lies."""
    if out.flags.c_contiguous:
        np.dot(left, right, out=out)
    else:
        np.dot(right.T, left.T, out=out.T)


def widths(sizes: tuple[int, ...], layout: Layout) -> list[int]:
    """The sizes of the layers, hidden ones padded if the layout says so."""
    hidden = [-(-n // PAD) * PAD if layout.padded else n for n in sizes[1:-1]]
    return [sizes[0], *hidden, sizes[-1]]


def products(X: Array, sizes: tuple[int, ...], layout: Layout, block: int) -> Callable[[], list[Array]]:
    """A function that does the products of an epoch over X, block by block, and returns the last block's gradients."""
    n = widths(sizes, layout)
    weights = [array(n_out, n_in, turned=layout.transposed) for n_in, n_out in itertools.pairwise(n)]
    gradients = [array(n_out, n_in, turned=layout.transposed) for n_in, n_out in itertools.pairwise(n)]
    blocks = [X[first : first + block] for first in range(0, len(X), block)]
    buffers = {
        rows: Buffers(*([array(rows, width, turned=layout.columns) for width in n[1:]] for _ in range(2)))
        for rows in {len(part) for part in blocks}
    }

    def epoch() -> list[Array]:
        for part in blocks:
            block_products(part, weights, gradients, buffers[len(part)])
        return gradients

    return epoch


def block_products(X: Array, weights: list[Array], gradients: list[Array], buffers: Buffers) -> None:
    """Forward through all layers; then each layer's gradient and, but for the first, the delta of the layer before."""
    inputs = [X, *buffers.activations]
    for layer, matrix in enumerate(weights):
        product(inputs[layer], matrix.T, out=inputs[layer + 1])
    for layer in reversed(range(len(weights))):
        product(buffers.deltas[layer].T, inputs[layer], out=gradients[layer])
        if layer > 0:
            product(buffers.deltas[layer], weights[layer], out=buffers.deltas[layer - 1])


def variants(case: Case) -> list[Variant]:
    """Every layout and block, with one thread for each core and with one."""
    pads = (False, True) if any(n % PAD for n in case.sizes[1:-1]) else (False,)
    layouts = [Layout(*flags)._asdict() for flags in itertools.product((False, True), (False, True), pads)]
    blocks = [*(block for block in BLOCKS if block < case.rows), *([case.rows] if case.rows < BLOCKS[-1] else [])]
    return [
        {"threads": threads, "block": block, **layout}
        for threads in sorted({n_cores(), 1}, reverse=True)
        for layout in layouts
        for block in blocks
    ]


def prepare(case: Case, variant: Variant) -> Callable[[int], list[float]]:
    """The products over equal parts of the rows, a thread and one BLAS thread for each."""
    X, _ = load(case)
    layout = Layout(*(variant[name] for name in Layout._fields))
    parts = [products(rows, case.sizes, layout, variant["block"]) for rows in np.array_split(X, variant["threads"])]
    if len(parts) == 1:
        return lambda epochs: timed(parts[0], epochs)
    pool = ThreadPoolExecutor(len(parts))

    def epoch() -> None:
        for running in [pool.submit(part) for part in parts]:
            running.result()

    return lambda epochs: timed(epoch, epochs)


def facts(case: Case) -> dict[str, Any]:
    """numpy's version, its BLAS and the variants."""
    blas = next(pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas")
    kernel = f"numpy {np.__version__}, {blas['internal_api']} {blas['version']} {blas['architecture']}"
    return {"version": kernel, "variants": variants(case)}


if __name__ == "__main__":
    threadpoolctl.threadpool_limits(limits=1)
    answer(prepare, facts)
