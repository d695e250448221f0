"""What the tests of the pipeline share."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Ibis 12 still asks for an option that pandas 3 has deprecated; nothing of ours can help it.
    config.addinivalue_line("filterwarnings", r"ignore:The 'future.infer_string' option is deprecated")
