"""The emulator as a fixture: one process, with nothing in it at the start of each test.

A module of tests imports both: ``from emulator_fixtures import emulator_, emulator_process  # noqa: F401``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers.emulator import Emulator


@pytest.fixture(scope="session")
def emulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        yield emulator


@pytest.fixture(name="emulator")
def emulator_(emulator_process: Emulator) -> Emulator:
    emulator_process.start()  # a test may have killed it
    emulator_process.reset()
    return emulator_process
