"""What pins the arithmetic of the processes that train: variables that numpy and its BLAS read when they start."""

from collections.abc import Mapping
from typing import Literal

Numerics = Literal["native", "portable"]

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""One BLAS thread in every process: workers are as many as cores, and the bits depend on it."""

PORTABLE = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_ENABLE_CPU_FEATURES": "X86_V3",
}
"""The instruction set that every x86-64 processor since about 2013 has (AVX2 and FMA), and no more."""


def environment(numerics: Numerics) -> Mapping[str, str]:
    """`native`: the best kernels of the processor at hand. `portable`: the same ones, so the same bits, on all."""
    return ONE_THREAD | (PORTABLE if numerics == "portable" else {})
