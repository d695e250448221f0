"""Waiting as long as it helps: never less than was asked for, never longer than patience lasts."""

from __future__ import annotations

from typing import Any

import pytest
from delivery.fakes import Clock, Dropped, Shelf

from pipeline.delivery.attempts import CAP, Attempts
from pipeline.destinations.base import Fatal, Refused, Retriable


class Calls:
    """A call that raises one thing after the other, and then the last one again and again."""

    def __init__(self, *errors: BaseException | None) -> None:
        self.errors = list(errors)
        self.count = 0

    def __call__(self, *arguments: Any) -> tuple[Any, ...]:
        self.count += 1
        error = self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]
        if error:
            raise error
        return arguments


def attempts(patience: float = 300) -> tuple[Attempts, Clock]:
    clock = Clock()
    return Attempts(Shelf(), patience, clock), clock


def busy(after: float | None = None) -> Retriable:
    return Retriable("too many requests", after=after)


def test_what_works_is_called_once() -> None:
    tried, clock = attempts()
    call = Calls(None)
    assert tried.call(call, 1, "a") == (1, "a")
    assert (call.count, clock.waits) == (1, [])


def test_it_is_tried_again_while_waiting_helps() -> None:
    tried, clock = attempts()
    assert tried.call(Calls(busy(), busy(), Dropped(), None), 1) == (1,)
    assert len(clock.waits) == 3


@pytest.mark.parametrize("asked", [0.0, 1.0, 10.0, 61.0])
def test_never_less_is_waited_than_was_asked_for(asked: float) -> None:
    tried, clock = attempts(1000)
    tried.call(Calls(*[busy(asked)] * 9, None))
    assert all(asked <= wait <= asked + 1 for wait in clock.waits)
    assert len(set(clock.waits)) > 1  # and not all at the same moment


def test_unasked_the_waits_grow_at_random_up_to_a_cap() -> None:
    waits: list[list[float]] = []
    for _ in range(50):
        tried, clock = attempts(10_000)
        tried.call(Calls(*[busy()] * 12, None))
        waits.append(clock.waits)
    longest = [max(of) for of in zip(*waits, strict=True)]
    assert [longest[0] <= 1, longest[1] <= 2, longest[3] <= 8] == [True] * 3
    assert CAP / 2 < longest[11] <= CAP
    assert min(min(of) for of in waits) >= 0


def test_patience_ends_before_the_wait_that_would_exceed_it() -> None:
    tried, clock = attempts(30)
    call = Calls(busy(7))
    with pytest.raises(Retriable, match="too many"):
        tried.call(call)
    assert 30 - 8 < sum(clock.waits) <= 30
    assert call.count == len(clock.waits) + 1


def test_who_asks_for_more_than_patience_is_not_waited_for() -> None:
    tried, clock = attempts(30)
    call = Calls(busy(31))
    with pytest.raises(Retriable):
        tried.call(call)
    assert (call.count, clock.waits) == (1, [])


@pytest.mark.parametrize("problem", [Fatal("no permission"), Refused("not this row"), KeyError("a defect")])
def test_what_no_wait_helps_against_is_raised_at_once(problem: Exception) -> None:
    tried, clock = attempts()
    call = Calls(problem)
    with pytest.raises(type(problem)):
        tried.call(call)
    assert (call.count, clock.waits) == (1, [])


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interruption_is_not_kept(end: type[BaseException]) -> None:
    tried, _ = attempts()
    with pytest.raises(end):
        tried.call(Calls(end()))


def test_an_error_of_a_library_is_told_by_the_destination() -> None:
    tried, _ = attempts()
    with pytest.raises(Retriable, match="dropped") as raised:
        tried.once(Calls(Dropped("secret")))
    assert raised.value.applied
    assert isinstance(raised.value.__cause__, Dropped)


def test_time_that_the_calls_take_is_patience_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    tried, clock = attempts(30)

    def slow() -> None:
        now[0] += 20
        raise busy(0)

    with pytest.raises(Retriable):
        tried.call(slow)
    assert len(clock.waits) == 1
