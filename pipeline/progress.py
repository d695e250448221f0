"""Stages of a run: shown while they last, timed for ``train.json``."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stages:
    """Times the stages of a run, and tells each one as it starts.

    ``peak_mb`` of a stage is the highest memory that the process had used by its end.
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.records: dict[str, dict[str, float]] = {}
        self._tell = tell or (lambda message: None)

    @contextmanager
    def stage(self, name: str, message: str) -> Iterator[None]:
        """Run a stage."""
        self._tell(message)
        start = time.perf_counter()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.records[name] = {"seconds": round(time.perf_counter() - start, 3), "peak_mb": round(peak)}
