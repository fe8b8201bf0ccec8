"""Limits on what this process may use while it reads a file that a stranger made."""

import contextlib
import resource
import sys
from collections.abc import Callable, Iterator

import psutil
import pyarrow as pa

from workers.errors import DataError

ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What a process that uses `memory_limit` must be started with: pyarrow's own pools reserve a gigabyte at once."""


def too_much_memory(n_bytes: int) -> DataError:
    """What to say of a file that takes more than `n_bytes` of memory."""
    return DataError(
        f"Reading the file takes more memory than the {n_bytes:,} bytes that are allowed "
        f"(GRADSUM_LIMIT_INGEST_MEMORY_BYTES). Keep the rows and columns that matter.",
        code="file_too_large",
    )


def too_much_to_build(n_bytes: int) -> DataError:
    """What to say of a training matrix that takes more than `n_bytes` of memory to build."""
    return DataError(
        f"Building the training matrix takes more memory than the {n_bytes:,} bytes that are allowed "
        f"(GRADSUM_LIMIT_INGEST_MEMORY_BYTES). Raise the limit, or leave out columns that do not matter.",
        code="matrix_too_large",
    )


@contextlib.contextmanager
def memory_limit(n_bytes: int | None, refusal: Callable[[int], DataError] = too_much_memory) -> Iterator[None]:
    """Let this process have `n_bytes` more memory (Linux); the DataError `refusal` where it asks for more.

    It limits data (RLIMIT_DATA), not addresses: pyarrow and BLAS reserve far more addresses than they use.
    """
    if n_bytes is None or sys.platform != "linux":
        yield
        return
    if pa.default_memory_pool().backend_name != "system":
        raise RuntimeError(f"memory can be limited only in a process that was started with {ENVIRONMENT}")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    hard = before[1]
    soft = psutil.Process().memory_info().data + n_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard < 0 else min(soft, hard), hard))
    try:
        yield
    except MemoryError:
        raise refusal(n_bytes) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
