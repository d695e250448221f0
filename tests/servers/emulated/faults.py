"""Faults that a test scripts: which requests they meet, and what they do to them.

A fault is a JSON object: ``do`` says what happens, ``path`` (regular expression), ``method`` and ``body``
(regular expression) which requests it is for, ``after`` how many of these it lets pass first, ``times``
how many it meets (None: all), ``seconds`` for how long from now, and ``probability`` with ``seed`` how
often. Of the faults that answer instead of the emulator (`ANSWERS`) a request meets only the first, so a
list of them is consumed in order; of the others it meets all.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Mapping
from typing import Any

from .store import Store

Fault = Mapping[str, Any]

# status: answer with `status`, and `retry_after`, `policy` (HubSpot's 429), `code` and `message` if given,
# `when` "before" the effect, which does not come then, or "after".
# close: cut the connection, `when` "before" or "after" the effect.
# hollow: success, and nothing written; no results, or with `pretend` those of a success.
# error_inside: an error with status 200, with `code` and `message`.
# crash: kill -9 of the emulator itself, `when` "before", "during" or "after" the effect.
ANSWERS = ("status", "close", "hollow", "error_inside", "crash")
# poison: `record` refuses to be written: `how` "row" (it alone), "batch" (400) or "conflict" (409).
# drop: `field` is not written, silently. refuse: no value of `field` is accepted.
# These meet every request unless `times` says otherwise; all others meet one.
LASTING = ("drop", "poison", "refuse")
# These are for requests that write, unless `path` says otherwise.
EFFECTS = ("hollow", *LASTING)
WRITES = r"/batch/update$|/composite/sobjects$|/jobs/ingest/|/objects/contacts/\d+$|/sobjects/\w+/\w{15,18}$"
# delay: `wait` seconds, `when` "before" or "after" the effect. revoke: all tokens, `for_good` or not.
# remove_field: `field` of `object`, before the request is answered.
OTHERS = ("delay", "revoke", "remove_field", *LASTING)


def add(store: Store, fault: Fault) -> None:
    """Add a fault. Raises ValueError if `do` is not known."""
    if fault.get("do") not in ANSWERS + OTHERS:
        raise ValueError(f"no such fault: {fault.get('do')!r}; there are {', '.join(ANSWERS + OTHERS)}")
    lasting = fault["do"] in LASTING or "seconds" in fault or "probability" in fault
    times = fault.get("times", None if lasting else 1)
    until = time.time() + fault["seconds"] if "seconds" in fault else None
    store.run(
        "insert into faults (definition, seen, remaining, until) values (?, 0, ?, ?)",
        (json.dumps(fault), times, until),
    )


def met(store: Store, method: str, path: str, body: bytes) -> Met:
    """Return the faults that this request meets, and count them as met."""
    found: list[Fault] = []
    with store.transaction():
        for row in store.rows("select * from faults order by number"):
            fault = json.loads(row["definition"])
            if not _fits(fault, method, path, body):
                continue
            answered = any(other["do"] in ANSWERS for other in found)
            if fault["do"] in ANSWERS and answered:
                continue
            if _strikes(fault, row["seen"], row["remaining"], row["until"]):
                found.append(fault)
                store.run("update faults set remaining = remaining - 1 where number = ?", (row["number"],))
            store.run("update faults set seen = seen + 1 where number = ?", (row["number"],))
    return Met(found)


def _fits(fault: Fault, method: str, path: str, body: bytes) -> bool:
    default = WRITES if fault["do"] in EFFECTS else ""
    wanted = fault.get("body", "")
    if fault["do"] == "poison" and fault.get("times") is not None:
        wanted = str(fault["record"])[:15]  # counted only when that record is there
    return (
        fault.get("method", method) == method
        and re.search(fault.get("path", default), path) is not None
        and re.search(wanted, body.decode("utf-8", "replace")) is not None
    )


def _strikes(fault: Fault, seen: int, remaining: int | None, until: float | None) -> bool:
    if seen < fault.get("after", 0) or (remaining is not None and remaining <= 0):
        return False
    if until is not None and time.time() > until:
        return False
    # The n-th request that fits always meets the same fate, whatever the threads do.
    return random.Random(f"{fault.get('seed', 0)}:{seen}").random() < fault.get("probability", 1.0)


class Met:
    """The faults that one request meets."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def all(self, do: str) -> list[Fault]:
        return [fault for fault in self.faults if fault["do"] == do]

    def first(self, do: str, when: str | None = None) -> Fault | None:
        for fault in self.all(do):
            if when is None or fault.get("when", "before") == when:
                return fault
        return None

    def wait(self, when: str) -> None:
        for fault in self.all("delay"):
            if fault.get("when", "before") == when:
                time.sleep(fault["wait"])

    def crash(self, when: str) -> None:
        """Die as by kill -9 if a fault says so: before the effect, during it, or after it."""
        if self.first("crash", when):
            os.kill(os.getpid(), signal.SIGKILL)

    def poison(self, identifier: str) -> Fault | None:
        """Return the fault that makes this record refuse to be written."""
        for fault in self.all("poison"):
            if str(fault["record"]) in (identifier, identifier[:15]):
                return fault
        return None

    def dropped(self) -> set[str]:
        """Return the fields that are silently not written."""
        return {fault["field"] for fault in self.all("drop")}

    def refused(self) -> dict[str, Fault]:
        """Return the fields whose values are refused."""
        return {fault["field"]: fault for fault in self.all("refuse")}
