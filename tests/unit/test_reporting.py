"""What a process that starts says for /readyz, where an earlier one has said that all is well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.leadership import VACANT_SECONDS, Leadership
from service.reporting import STARTING, UNSEEN, Reporting
from service.store import components
from service.store.database import Database, migrate
from service.tracker.health import STARTING as NOT_ASKED
from service.tracker.health import starting


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """One in which everything works, as far as earlier processes have said."""
    url = f"sqlite:///{tmp_path}/gradsum.sqlite"
    migrate(url)
    database = Database(url)
    Reporting(database).leads(0, 2, None)
    with database.write() as connection:
        components.report(connection, "mlflow", "ok", {})
    yield database
    database.close()


def said(database: Database) -> dict[str, tuple[str, Any]]:
    with database.read() as connection:
        return {part.name: (part.status, part.details.get("message")) for part in components.listed(connection)}


WELL = {"dispatcher": ("ok", None), "cluster": ("ok", None), "mlflow": ("ok", None)}
BEGUN = {**WELL, "dispatcher": ("degraded", STARTING), "cluster": ("degraded", UNSEEN)}


def test_a_dispatcher_that_starts_vouches_for_nothing_until_it_has_gone_through_the_record(database: Database) -> None:
    assert said(database) == WELL
    reporting = Reporting(database)
    reporting.starting()
    assert said(database) == BEGUN
    with database.read() as connection:
        assert components.worker_slots(connection) is None
    reporting.leads(0, None, "Ray is starting.")
    assert said(database)["cluster"] == ("degraded", "Ray is starting.")
    reporting.leads(0, 2, None)
    reporting.starting()  # which each of its steps begins with
    assert said(database) == WELL


def test_a_dispatcher_that_leads_again_starts_anew(database: Database) -> None:
    reporting = Reporting(database)
    reporting.leads(0, 2, None)
    reporting.over()
    assert said(database) == WELL
    reporting.starting()
    assert said(database) == BEGUN


def test_nobody_seems_to_lead_only_once_a_lease_was_not_renewed(database: Database) -> None:
    now = [0.0]
    first, second = (Leadership(database, owner, lambda: now[0]) for owner in ("first", "second"))
    assert first.holds()
    assert not second.holds()
    assert not second.is_vacant
    now[0] = VACANT_SECONDS - 1
    assert first.holds()
    assert not second.holds()
    now[0] = VACANT_SECONDS + 1
    assert not second.holds()
    assert not second.is_vacant
    now[0] += VACANT_SECONDS
    assert not second.holds()
    assert second.is_vacant


def test_a_tracker_that_starts_has_not_asked_mlflow(database: Database) -> None:
    starting(database)
    assert said(database) == {**WELL, "mlflow": ("degraded", NOT_ASKED)}


def test_a_tracker_starts_before_its_database(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/not-migrated.sqlite")
    starting(database)
    database.close()
