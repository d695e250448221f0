"""Calls to a destination: what went wrong, told by the destination, and tried again while that helps."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from pipeline.destinations.base import Destination, Problem, Retriable

T = TypeVar("T")
# Seconds: a wait without being told how long doubles up to the cap, and is spread at random, so that
# many clients that failed together do not come back together.
FIRST, CAP = 1.0, 60.0
_BACKOFF = wait_random_exponential(multiplier=FIRST, max=CAP)
_AFTER_JITTER = 0.5


class Attempts:
    """Makes calls to one destination, each as often as it helps and patience lasts.

    Parameters
    ----------
    patience
        Seconds that one call is tried for, waits included. A destination that asks to wait longer is not
        waited for.
    sleep
        How to wait; tests do not.
    tell
        Told before each wait: why, and for how many seconds.
    """

    def __init__(
        self,
        destination: Destination,
        patience: float,
        sleep: Callable[[float], Any] = time.sleep,
        tell: Callable[[str, float], None] = lambda why, seconds: None,
    ) -> None:
        self._destination = destination
        self._patience = patience
        self._sleep = sleep
        self._tell = tell

    def once(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call, and raise a `Problem` for whatever the destination knows the meaning of."""
        try:
            return call(*arguments)
        except Problem:
            raise
        except Exception as error:
            problem = self._destination.classify(error)
            if problem is None:
                raise
            raise problem from error

    def repeat(self, step: Callable[[], T]) -> T:
        """Run `step` until it no longer raises `Retriable`, or patience ends; then the last one is raised."""
        return Retrying(
            retry=retry_if_exception_type(Retriable),
            wait=_wait,
            stop=self._enough,
            sleep=self._sleep,
            before_sleep=self._say,
            reraise=True,
        )(step)

    def call(self, call: Callable[..., T], *arguments: Any) -> T:
        """Call, again and again while that helps: for calls that change nothing."""
        return self.repeat(lambda: self.once(call, *arguments))

    def _say(self, state: RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        if isinstance(problem, Problem):
            self._tell(problem.text, state.upcoming_sleep)

    def _enough(self, state: RetryCallState) -> bool:
        spent = max(state.idle_for, state.seconds_since_start or 0.0)
        return spent + state.upcoming_sleep > self._patience


def _wait(state: RetryCallState) -> float:
    """Return how long to wait: never less than was asked for."""
    problem = state.outcome.exception() if state.outcome else None
    if isinstance(problem, Retriable) and problem.after is not None:
        return problem.after + random.uniform(0, _AFTER_JITTER)
    return _BACKOFF(state)
