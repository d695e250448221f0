"""What tests with servers share; all of them are marked ``crm``, and run by ``make test-crm``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from servers.postgres import Postgres

HERE = Path(__file__).resolve().parent
_numbers = count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, so that `make test` leaves it out."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.crm)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests. Whoever crashes it starts it again."""
    with Postgres() as server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, for one test."""
    name = f"test_{next(_numbers)}"
    yield postgres.create(name)
    postgres.drop(name)
