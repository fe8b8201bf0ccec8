"""Which version of Gradsum this is."""

from importlib.metadata import PackageNotFoundError, version


def version_of_gradsum() -> str:
    """The version that is installed; 0 where it is run from a directory and is not."""
    try:
        return version("gradsum")
    except PackageNotFoundError:
        return "0"
