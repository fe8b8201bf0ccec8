"""What the bits of a result depend on beside the job: pinned where it can be, recorded always."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from workers.errors import GradsumError

VERSION = 1
"""The arithmetic of docs/MATH.md: raised by every change that moves a bit of a result."""


def use_one_thread() -> None:
    """Pin BLAS to one thread for the life of this process: its bits depend on how many there are."""
    threadpoolctl.threadpool_limits(limits=1)


def fingerprint() -> dict[str, Any]:
    """The version of the arithmetic, numpy's, the BLAS kernel and the SIMD level of this process."""
    blas = blas_of_numpy(threadpoolctl.threadpool_info())
    kernel = f"{blas.get('internal_api', 'none')} {blas.get('version', '')} {blas.get('architecture', '')}".strip()
    return {
        "version": VERSION,
        "numpy": np.__version__,
        "blas": kernel,
        "cpu": f"{platform.machine()} {_simd_level()}",
        "libm": " ".join(platform.libc_ver()),
    }


def blas_of_numpy(pools: list[dict[str, Any]]) -> dict[str, Any]:
    """Of what threadpoolctl found, in whatever order, the BLAS that numpy brought; else the first, which it shares."""
    found = [pool for pool in pools if pool["user_api"] == "blas"]
    package = Path(np.__file__).resolve().parent
    homes = (package, package.with_name("numpy.libs"))
    own = (pool for pool in found if any(Path(pool["filepath"]).is_relative_to(home) for home in homes))
    return next(own, found[0] if found else {})


def with_others(others: list[dict[str, Any]]) -> dict[str, Any]:
    """The fingerprint of a result, with those of other processes that had a part in it, each once."""
    found = fingerprint()
    distinct = [other for place, other in enumerate(others) if other not in others[:place]]
    return {**found, "accepted_others": distinct} if distinct else found


class FingerprintMismatchError(GradsumError):
    """A process would compute other bits than the others, or than earlier attempts."""

    code = "fingerprint_mismatch"


def mismatch(who: str, theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Why `who`, with the numerics `theirs`, can't take part in what is computed with `ours`, and the way out."""
    return (
        f"{who[0].upper()}{who[1:]} computes with {_spelled(theirs)}, not with {_spelled(ours)}, and would give "
        f"other bits. Give all nodes the same image and kind of processor, or resume with accept_other_numerics."
    )


def _spelled(fingerprint: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fingerprint.items())


def _simd_level() -> str:
    """The highest instruction set that numpy dispatches to here."""
    configuration: Any = np.show_config(mode="dicts")
    simd = configuration["SIMD Extensions"]
    return str([*simd["baseline"], *simd["found"]][-1])
