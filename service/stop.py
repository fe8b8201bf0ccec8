"""What tells the loop of a process or a thread to end."""

from typing import Protocol


class Stop(Protocol):
    """What `threading.Event` does of what is needed here."""

    def is_set(self) -> bool:
        """Whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Sleep at most `timeout` seconds, less where asked to stop."""
