"""Which of several dispatchers acts: the one whose name is on a row of SQL. No wall clock decides."""

import time
from collections.abc import Callable

from service.store import components
from service.store.database import Database

RENEW_SECONDS = 2.0
VACANT_SECONDS = 4.0
"""When it is said that nobody seems to lead. A leader's slow step may take that long, so nobody takes over yet."""
PATIENCE_SECONDS = 10.0
LEASE = "dispatcher"


class Leadership:
    """Holds the lease, or waits until its holder has not moved the counter for ten seconds of our own clock."""

    def __init__(self, database: Database, owner: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock
        self._seen: tuple[str, int] | None = None
        self._seen_at = clock()
        self._held_until = 0.0

    @property
    def is_vacant(self) -> bool:
        """Whether another one's lease, as `holds` saw it, has not been renewed when it should have been."""
        return self._clock() - self._seen_at > VACANT_SECONDS

    def holds(self) -> bool:
        """Whether this dispatcher leads now; renews or takes the lease where that is due."""
        now = self._clock()
        if now < self._held_until:
            return True
        with self._database.write() as connection:
            lease = components.lease(connection, LEASE)
            if lease != self._seen:
                self._seen, self._seen_at = lease, now
            ours = lease is None or lease[0] == self._owner
            if not ours and now - self._seen_at < PATIENCE_SECONDS:
                return False
            if not components.take_lease(connection, LEASE, self._owner, lease):
                return False
        self._seen = (self._owner, 1 if lease is None else lease[1] + 1)
        self._seen_at = now
        self._held_until = now + RENEW_SECONDS
        return True
