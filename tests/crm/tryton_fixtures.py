"""Tryton as a fixture: one server for all tests of a session, as it was at first for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers.tryton import Tryton


@pytest.fixture(scope="session")
def tryton_server() -> Iterator[Tryton]:
    with Tryton() as server:
        yield server


@pytest.fixture
def tryton(tryton_server: Tryton) -> Tryton:
    tryton_server.reset()  # and starts it, if a test has killed it
    return tryton_server
