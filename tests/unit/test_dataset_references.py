"""A reference to a dataset that can't be used is refused with what would do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.dataset_references import usable_dataset
from service.errors import UnprocessableError
from service.store import datasets
from service.store.database import Database, migrate


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/record.sqlite"
    migrate(url)
    database = Database(url)
    yield database
    database.close()


def add(database: Database, content: str, *, fails: bool = False) -> None:
    with database.write() as connection:
        dataset, _ = datasets.add(
            connection, id=datasets.new_id(), project="default", actor="anonymous", name="clean", options={}, source={},
            sha256=content, content_key=content, bytes=1, tags={},
        )  # fmt: skip
        if fails:
            datasets.fail(connection, dataset.id, {"message": "Row 7 has 3 values, the header has 2."})
        else:
            datasets.finish(connection, dataset.id, 1, 0, [])


def refused(database: Database, reference: str, field: str = "dataset") -> str:
    with database.read() as connection, pytest.raises(UnprocessableError) as caught:
        usable_dataset(connection, "default", reference, field)
    assert [error.field for error in caught.value.errors] == [field]
    return caught.value.detail


def test_a_name_whose_newest_version_failed_names_the_one_that_can_be_used(database: Database) -> None:
    add(database, "a", fails=True)
    assert refused(database, "clean").endswith("has 2. Mend it and add it again: gradsum dataset add FILE --name clean")
    add(database, "b")
    add(database, "c", fails=True)
    way_out = "Name 'clean@2', which can be used, or remove the one that can't: gradsum dataset rm clean@3"
    assert (
        refused(database, "clean")
        == f"Dataset 'clean@3' can't be used: Row 7 has 3 values, the header has 2. {way_out}"
    )


@pytest.mark.parametrize("scheme", ["https", "s3", "file"])
def test_an_address_is_told_how_it_is_written(database: Database, scheme: str) -> None:
    address = f"{scheme}://example.org/a.csv?key=1"
    assert refused(database, address) == (
        f'A dataset by its address is an object. Write dataset: {{"uri": "{scheme}://…"}}'
    )
    assert refused(database, address, "validation_dataset").endswith(f"gradsum dataset add {scheme}://…")


@pytest.mark.parametrize(
    ("reference", "name"), [("flower", "flower"), ("flower@7", "flower"), ("a/b.csv", "NAME"), ("ds_0", "NAME")]
)
def test_the_advice_of_a_name_that_is_none_can_be_followed(database: Database, reference: str, name: str) -> None:
    assert refused(database, reference).endswith(f"Upload it: gradsum dataset add FILE --name {name}")
