"""`propense sync` as it is, in a process of its own, but for a death at a step, or a clock that is wrong.

The processes are forked from one that has imported everything, which is most of what a short command takes;
what runs is the command line as a user has it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pipeline.delivery.command  # noqa: F401  (imported when it is used, which is always)
from pipeline.cli import main
from pipeline.delivery import book, lease, ledger, screen
from pipeline.delivery.account import Event, Watch
from pipeline.destinations import answers


def die_at(step: str) -> None:
    """Die when a batch, the first one or the one named, has reached a step."""
    name, _, batch = step.partition(":")
    usual = screen.watching

    @contextmanager
    def watching(destination: str, run_id: str) -> Iterator[Watch]:
        with usual(destination, run_id) as watch:

            def watch_and_die(event: Event) -> None:
                watch(event)
                if event.step == name and event.batch == int(batch or 1):
                    os.kill(os.getpid(), signal.SIGKILL)

            yield watch_and_die

    screen.watching = watching


def shift(days: float) -> None:
    """Let every clock that the delivery looks at be wrong by so many days."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(days=days)

    for module in (book, lease, ledger, answers):
        assert hasattr(module, "datetime"), f"{module.__name__} looks at another clock"
        module.datetime = Shifted  # type: ignore[attr-defined]


def run(
    arguments: Sequence[str], environment: Mapping[str, str], said: str, *, kill_at: str, clock: float
) -> None:
    """Run the command with arguments; what it prints goes into files that begin with `said`."""
    for stream, name in ((1, "out"), (2, "err")):
        with open(f"{said}.{name}", "wb") as file:  # noqa: PTH123  (its descriptor is wanted)
            os.dup2(file.fileno(), stream)
    os.environ.update(environment)
    if kill_at:
        die_at(kill_at)
    if clock:
        shift(clock)
    sys.argv = ["propense", *arguments]
    main()


class Started:
    """A process that was started."""

    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(["crm.driver"])

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], said: Path, kill_at: str, clock: float
    ) -> None:
        self._said = said
        paths = os.pathsep.join([*sys.path, os.environ.get("PYTHONPATH", "")])
        os.environ["PYTHONPATH"], before = paths, os.environ.get("PYTHONPATH")  # where the first fork looks
        given = {"kill_at": kill_at, "clock": clock}
        self._process = self._context.Process(
            target=run, args=(arguments, environment, str(said)), kwargs=given
        )
        try:
            self._process.start()
        finally:
            os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal, None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float = 120) -> int:
        """Wait for its end, and return its exit status."""
        self.join(seconds)
        status = self._process.exitcode
        assert status is not None, f"it did not end in {seconds} s"
        return status

    def join(self, seconds: float) -> None:
        """Wait so long for its end."""
        self._process.join(seconds)

    def kill(self) -> None:
        """Kill it with SIGKILL, if it still runs."""
        self._process.kill()
        self._process.join()

    def said(self) -> tuple[str, str]:
        """Return what it printed, and what it said beside it."""
        out, err = (self._said.with_name(f"{self._said.name}.{name}") for name in ("out", "err"))
        return out.read_text("utf-8"), err.read_text("utf-8")
