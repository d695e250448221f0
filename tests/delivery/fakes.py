"""A destination in memory that fails when told to, a clock that does not wait, scores as small tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pipeline.delivery.account import Account, Event, Options, Step, Watch
from pipeline.delivery.engine import deliver
from pipeline.delivery.ledger import Ledger
from pipeline.delivery.payload import Scores
from pipeline.delivery.plan import PLANNED, Plan
from pipeline.destinations.base import (
    Destination,
    Job,
    Problem,
    Record,
    Refused,
    Retriable,
    Row,
    Settings,
    Value,
    Written,
)
from pipeline.levels import Levels

AS_OF = datetime(2026, 6, 30, 10)
FIELDS = {
    "band": "band", "score": "points", "sales_ready": "ready", "grade": "grade", "reasons": "why",
    "as_of": "at", "model_version": "model", "run_sequence": "run",
}  # fmt: skip


def settings(fields: Mapping[str, str] = FIELDS, **more: Any) -> Settings:
    """Settings of a destination."""
    return Settings(type="shelf", fields=dict(fields), **more)


def _text(frame: pd.DataFrame, column: str, otherwise: Any) -> list[Any]:
    return list(frame[column]) if column in frame else [otherwise] * len(frame)


_SIGNS = {"+": "+", "-": "−"}


def _reasons(text: str) -> tuple[str, str]:
    """Return a cell "+quote,-big" as the text that people read, and as the concepts."""
    parts = [f"{_SIGNS[part[0]]}{part[1:]}" for part in text.split(",") if text != "none"]
    return "; ".join(f"{part[0]} {part[1:]}" for part in parts), ",".join(sorted(parts))


def table(text: str) -> pd.DataFrame:
    """Read a table: names in the first line, cells without blanks."""
    heading, *lines = (line.split() for line in text.strip().splitlines())
    return pd.DataFrame([dict(zip(heading, line, strict=True)) for line in lines], columns=heading)


def scores(
    text: str,
    *,
    run: str = "r",
    model: str = "3",
    at: datetime = AS_OF,
    levels: Levels | None = None,
    working: Iterable[str] = (),
    complete: bool = True,
) -> Scores:
    """Scores from a table: ``lead`` and, if need be, propensity, score, band, grade, ready, asked, reasons.

    The score is the propensity in percent where it is not given.
    """
    given = table(text)
    propensity = [float(p) for p in _text(given, "propensity", "0.5")]
    told, concepts = zip(*map(_reasons, _text(given, "reasons", "+quote,-big")), strict=True) or ((), ())
    frame = pd.DataFrame(
        {
            "lead_id": pd.Series(_text(given, "lead", ""), dtype="str"), "target": "won",
            "as_of": pd.Timestamp(at, tz="UTC"), "propensity": propensity,
            "propensity_low": [p / 2 for p in propensity],
            "propensity_high": [(p + 1) / 2 for p in propensity],
            "score": [int(s) for s in _text(given, "score", "")] if "score" in given
            else [round(100 * p) for p in propensity],
            "band": _text(given, "band", "mql"), "grade": _text(given, "grade", "A1"),
            "sales_ready": [ready == "yes" for ready in _text(given, "ready", "yes")], "fit": 0.25,
            "engagement": -0.5, "model_version": model, "run_id": run, "told": list(told),
            "concepts": list(concepts), "asked": [asked == "yes" for asked in _text(given, "asked", "no")],
        }
    )  # fmt: skip
    return Scores(frame, levels, frozenset(working), run, at, model, complete)


def nobody(**more: Any) -> Scores:
    """Scores of a run without any open lead."""
    one = scores("lead\n1", **more)
    return replace(one, frame=one.frame.iloc[:0])


def many(count: int, *, run: str = "r", score: int = 50, complete: bool = True) -> Scores:
    """Scores of `count` leads that are all alike: 00000, 00001, ..."""
    one = scores(f"lead score\n1 {score}", run=run, complete=complete)
    frame = pd.concat([one.frame] * count, ignore_index=True)
    return replace(one, frame=frame.assign(lead_id=[f"{n:05}" for n in range(count)]))


def own(run: Scores) -> dict[str, str]:
    """Keys of a destination whose records have the leads' own ids."""
    return {lead: lead for lead in run.frame["lead_id"]}


NOTHING = pd.DataFrame({name: pd.Series(dtype="object") for name in PLANNED}).astype(
    {"sequence": "Int64", "cleared": bool}
)
NO_FAILURES = pd.DataFrame(
    {name: pd.Series(dtype="str") for name in ("lead_id", "digest", "kind")}
).assign(retry=pd.Series(dtype=bool))  # fmt: skip


def settled(plan: Plan, before: pd.DataFrame = NOTHING) -> pd.DataFrame:
    """What is written after all of a plan arrived."""
    kept = before[~before["lead_id"].isin(plan.rows["lead_id"])]
    rows = plan.rows[PLANNED].astype(object)
    both = pd.concat([kept.astype(object), rows], ignore_index=True)
    return both.astype({"sequence": "Int64", "cleared": bool})


def failing(plan: Plan, lead: str, kind: str = "refused", *, retry: bool = False) -> pd.DataFrame:
    """What failed after one lead of a plan did."""
    digest = plan.rows.set_index("lead_id").loc[lead, "digest"]
    return pd.DataFrame({"lead_id": [lead], "digest": [digest], "kind": [kind], "retry": [retry]})


class Clock:
    """Waits in no time, and remembers for how long."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)


class Dropped(Exception):
    """An error of the library by which a shelf is reached."""


@dataclass(frozen=True)
class Effect:
    """A write that changed a record; `era` counts the ledgers that sequences were of."""

    record: str
    sequence: int
    era: int
    changed: Mapping[str, tuple[Any, Any]]


@dataclass
class Fault:
    """What goes wrong with one call.

    error
        Raised; a `SystemExit` or `KeyboardInterrupt` ends the process.
    share
        The part of the rows, the first ones, that takes effect nevertheless.
    unconfirmed
        No row is said to be accepted.
    """

    error: BaseException | None = None
    share: float = 0.0
    unconfirmed: bool = False


Call = Literal["missing", "read", "write"]


@dataclass
class _Store:
    """What a destination holds; it stays when a process that writes to it dies."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    jobs: dict[str, Written | None] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    era: int = 0


class Shelf(Destination):
    """Records in memory, with an account of every write that changed one.

    Attributes
    ----------
    faults
        By call, what goes wrong with the next ones, in order; None: nothing.
    unfinished
        What becomes of the next jobs, in order.
    poison
        Keys that are refused; ``whole``: and with them the batch.
    drops
        Fields whose values are accepted and not kept.
    calls
        What was called, with how many keys.
    """

    settings_class = Settings

    def __init__(
        self,
        settings_: Settings | None = None,
        *,
        compares: bool = False,
        size: int = 100,
        jobs: bool = False,
    ) -> None:
        given = settings_ or settings(patience=timedelta(seconds=30))
        super().__init__("shelf", given, Path())
        self.compares = compares  # type: ignore[misc]  # of the class, and here of each
        self.size = size
        self.jobs = jobs
        self.store = _Store()
        self.faults: dict[Call, list[Fault | None]] = {"missing": [], "read": [], "write": []}
        self.unfinished: list[Fault] = []
        self.poison: set[str] = set()
        self.whole = False
        self.drops: set[str] = set()
        self.absent: list[str] = []
        self.calls: list[tuple[Call, int]] = []

    # What tests put in and look at.

    def put(self, *keys: str, **values: Any) -> Shelf:
        """Put records, all fields empty but those given."""
        for key in keys:
            self.store.records[key] = dict.fromkeys(self.fields) | values
        return self

    def held(self, name: str) -> dict[str, Any]:
        """What the records hold in one field."""
        return {key: values.get(name) for key, values in sorted(self.store.records.items())}

    def merge(self, key: str, into: str) -> None:
        """Merge a record into another; a new one takes over the values."""
        values = self.store.records.pop(key)
        self.store.records.setdefault(into, values)
        self.store.moved[key] = into

    def written(self) -> list[str]:
        """The records that a write changed, in order."""
        return [effect.record for effect in self.store.effects]

    def sizes(self, call: Call) -> list[int]:
        """How many keys each of these calls had."""
        return [keys for name, keys in self.calls if name == call]

    def fail(self, call: Call, *faults: Fault | BaseException | None) -> None:
        """Have the next calls go wrong."""
        self.faults[call] += [f if f is None or isinstance(f, Fault) else Fault(f) for f in faults]

    # What the engine calls.

    def batch(self, total: int) -> int:
        return self.size

    def missing(self) -> list[str]:
        _raise(self._start("missing", 0))
        return self.absent

    def read(self, keys: Sequence[str]) -> dict[str, Record]:
        _raise(self._start("read", len(keys)))
        found = {key: self.place(key) for key in keys}
        records = self.store.records
        return {key: Record(at, dict(records[at])) for key, at in found.items() if at in records}

    def write(self, rows: Sequence[Row], job: Job) -> Written:
        keys = [row.key for row in rows]
        assert len(set(keys)) == len(keys), "a record twice in one batch"
        assert all(set(row.values) == set(self.fields) for row in rows)
        fault = self._start("write", len(rows))
        if not self.jobs:
            return self._write(rows, fault)
        if job.id is None:
            name = f"job-{len(self.store.jobs) + 1}"
            self.store.jobs[name] = None
            job.remember(name)
        assert job.id is not None
        done = self.store.jobs[job.id]
        if done is None:
            if fault and not fault.share:
                _raise(fault)
            done = self.store.jobs[job.id] = self._write(
                rows, self.unfinished.pop(0) if self.unfinished else None
            )
        _raise(fault)
        return done

    def _write(self, rows: Sequence[Row], fault: Fault | None) -> Written:
        refused = {
            row.key: f"{row.key} is poison"
            for row in rows
            if row.key in self.poison & set(self.store.records)
        }
        good = [row for row in rows if row.key not in refused]
        if fault:
            gone, newer = self._apply(good[: int(len(good) * fault.share)])
            _raise(fault)
            return Written(unconfirmed=[row.key for row in good]) if fault.unconfirmed else Written()
        if refused and self.whole:
            raise Refused("the batch is refused: " + "; ".join(refused.values()))
        gone, newer = self._apply(good)
        return Written(refused=refused, gone=gone, newer=newer)

    def classify(self, error: Exception) -> Problem | None:
        return Retriable("the line dropped", applied=True) if isinstance(error, Dropped) else None

    def _start(self, call: Call, keys: int) -> Fault | None:
        self.calls.append((call, keys))
        return self.faults[call].pop(0) if self.faults[call] else None

    def place(self, key: str) -> str:
        """Where the record of a key is, after all mergers."""
        while key in self.store.moved:
            key = self.store.moved[key]
        return key

    def _apply(self, rows: Sequence[Row]) -> tuple[list[str], list[str]]:
        gone: list[str] = []
        newer: list[str] = []
        for row in rows:
            record = self.store.records.get(row.key)
            if record is None:
                gone.append(row.key)
            elif self.compares and self._later(record, row):
                newer.append(row.key)
            else:
                self._change(row, record)
        return gone, newer

    def _later(self, record: Mapping[str, Any], row: Row) -> bool:
        name = self.settings.sequence_field
        return name is not None and (record.get(name) or 0) > row.sequence

    def _change(self, row: Row, record: dict[str, Any]) -> None:
        new: dict[str, Value] = {name: v for name, v in row.values.items() if name not in self.drops}
        changed = {name: (record.get(name), v) for name, v in new.items() if record.get(name) != v}
        if changed:
            highest = self.store.highest.get(row.key, 0)
            assert row.sequence >= highest, f"run {row.sequence} over run {highest}"
            self.store.highest[row.key] = row.sequence
            self.store.effects.append(Effect(row.key, row.sequence, self.store.era, changed))
            record.update(new)


def _raise(fault: Fault | None) -> None:
    if fault and fault.error:
        raise fault.error


class Desk:
    """A destination, a ledger in a file, and all that is delivered from the one to the other."""

    def __init__(self, folder: Path, shelf: Shelf) -> None:
        self.path = folder / "ledger.sqlite"
        self.shelf = shelf
        self.clock = Clock()
        self.events: list[Event] = []

    def ledger(self) -> closing[Ledger]:
        return closing(Ledger.open(f"sqlite:///{self.path}"))

    def sync(
        self,
        run: Scores,
        *,
        keys: Mapping[str, str] | None = None,
        watch: Watch | None = None,
        **options: bool,
    ) -> Account:
        """Deliver a run as ``propense sync`` does, each time with a ledger opened anew."""
        with self.ledger() as ledger:
            return deliver(
                self.shelf, ledger, run, own(run) if keys is None else keys, Options(**options),
                watch or self.events.append, self.clock,
            )  # fmt: skip

    def score(self, run: Scores) -> Scores:
        """Give a run its place in the sequence, as ``propense score`` does when it starts."""
        with self.ledger() as ledger:
            ledger.register(run.run_id, run.as_of, run.model_version)
        return run

    def failures(self) -> dict[str, str]:
        with self.ledger() as ledger:
            return {failure.lead_id: failure.kind for failure in ledger.failures()}

    def retry(self, *leads: str) -> int:
        with self.ledger() as ledger:
            return ledger.retry(self.shelf.name, leads or None)


def at(step: Step, batch: int, error: type[BaseException] = SystemExit) -> Watch:
    """Watch a delivery, and end the process at a step of a batch."""

    def watch(event: Event) -> None:
        if (event.step, event.batch) == (step, batch):
            raise error

    return watch


def summed(account: Account) -> int:
    """How many leads an account accounts for."""
    done = account.sent + account.unchanged + account.failed + account.pending
    return done + sum(account.skipped.values())
