"""Limits on what this process may use while it reads a file that a stranger made."""

import contextlib
import resource
import sys
from collections.abc import Iterator

import psutil
import pyarrow as pa

from workers.errors import DataError

ENVIRONMENT = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
"""What a process that uses `memory_limit` must be started with: pyarrow's own pools reserve a gigabyte at once."""


@contextlib.contextmanager
def memory_limit(n_bytes: int | None) -> Iterator[None]:
    """Let this process have `n_bytes` more memory (Linux); DataError `file_too_large` where it asks for more.

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
        raise too_much_memory(n_bytes) from None
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def too_much_memory(n_bytes: int) -> DataError:
    """What to say of a file that takes more than `n_bytes` of memory."""
    return DataError(
        f"Reading the file takes more memory than the {n_bytes:,} bytes that are allowed "
        f"(GRADSUM_LIMIT_INGEST_MEMORY_BYTES). Keep the rows and columns that matter.",
        code="file_too_large",
    )
