"""What tests with servers share; all of them are marked ``crm``, and run by ``make test-crm``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from emulator_fixtures import emulator_, emulator_process  # noqa: F401
from servers.postgres import Postgres
from tryton_fixtures import tryton, tryton_server  # noqa: F401

HERE = Path(__file__).resolve().parent
_numbers = count(1)


# They mostly wait, for minutes: they begin first, or all others would be waiting for them at the end.
LONG = ("test_everything_at_once.py", "test_storm.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, so that `make test` leaves it out; Tryton's share a worker.

    A server of Tryton takes seconds to start, the others do not.
    """
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    for item in ours:
        item.add_marker(pytest.mark.crm)
        if "tryton" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("tryton"))
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for all tests. Whoever crashes it starts it again.

    Where there is none the tests are skipped with a message, but in CI they fail.
    """
    try:
        server = Postgres()
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            pytest.fail(f"in CI: {error}")
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, for one test."""
    name = f"test_{next(_numbers)}"
    yield postgres.create(name)
    postgres.drop(name)
