"""How a fetch fails: one code, and the cause in words."""

from workers.errors import DataError


def fetch_failed(cause: str) -> DataError:
    """The failure of a fetch that was allowed."""
    return DataError(f"The data could not be fetched: {cause}.", code="fetch_failed", field="uri")
