"""Unpacks an answer that its server compressed with gzip, though it was asked not to, within the limits of files."""

import zlib
from collections.abc import Iterable, Iterator

from service.compressed import expansion_limit
from service.imports.failures import fetch_failed

BLOCK_BYTES = 2**18
GZIP = 16 + zlib.MAX_WBITS
"""What tells zlib that there is a header of gzip."""


def unpacked(chunks: Iterable[bytes], limit_bytes: int) -> Iterator[bytes]:
    """What the chunks hold, in blocks; DataError `fetch_failed` where it is damaged, cut off, or expands too far."""
    decoder = zlib.decompressobj(GZIP)
    received = n_bytes = 0
    for chunk in chunks:
        received += len(chunk)
        limit, rest, block = expansion_limit(received, {"bytes": limit_bytes}), chunk, b""
        while rest or len(block) == BLOCK_BYTES:  # zlib may still hold some where a block is full
            if decoder.eof:  # more files of gzip may follow, or zeros that pad it
                rest, block = rest.lstrip(b"\0"), b""
                if rest:
                    decoder = zlib.decompressobj(GZIP)
                continue
            block = _next(decoder, rest)
            n_bytes += len(block)
            if n_bytes > limit:
                raise fetch_failed(f"its answer is in gzip and expands to more than {limit:,} bytes, the limit for it")
            if block:
                yield block
            rest = decoder.unused_data or decoder.unconsumed_tail
    if not decoder.eof:
        raise fetch_failed("its answer is in gzip and not whole")


def _next(decoder: "zlib._Decompress", packed: bytes) -> bytes:
    try:
        return decoder.decompress(packed, BLOCK_BYTES)
    except zlib.error as error:
        raise fetch_failed(f"its answer is in gzip and damaged ({error})") from None
