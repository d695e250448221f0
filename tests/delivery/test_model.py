"""Many short random histories of runs, faults, deaths and repairs, against what must be true of each.

The rules do what the world does: leads are scored, records are deleted and merged, the network fails, the
process dies at any step, an older run is delivered late, the ledger is lost. After each of them the audit of
the destination must be right, and once the faults have stopped one sync must put everything right.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from delivery.fakes import Desk, Dropped, Fault, Shelf, at, scores, settings, summed
from hypothesis import settings as tried
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.decision import settle
from pipeline.delivery.account import Event
from pipeline.delivery.ledger import Busy
from pipeline.delivery.payload import Scores
from pipeline.destinations.base import Fatal, Refused, Retriable
from pipeline.levels import Levels

LEVELS = Levels(mql=0.5, nurture=0.2, hysteresis=0.4)
# The first lead is always open, and its record always there: a destination with none of the leads is refused.
LEADS = "abcdef"
OTHERS = st.sampled_from(LEADS[1:])
HEADING = "lead propensity score grade reasons"
DECISION = st.tuples(
    st.sampled_from(["0.1", "0.18", "0.45", "0.6"]), st.sampled_from(["50", "51", "53", "90"]),
    st.sampled_from(["A1", "B2"]), st.sampled_from(["+quote", "+quote,-big", "none"]),
)  # fmt: skip
BUSY, HANGS = Retriable("busy", after=5), Retriable("hangs", applied=True)
WRITES = st.lists(
    st.sampled_from(
        [
            None, None, Fault(BUSY), Fault(HANGS, 1.0), Fault(HANGS, 0.5), Fault(Dropped(), 0.5),
            Fault(Fatal("403")), Fault(Fatal("an error in a 200", applied=True), 0.5), Fault(Refused("no")),
            Fault(share=0.5), Fault(share=0.5, unconfirmed=True), Fault(unconfirmed=True),
            Fault(SystemExit(), 0.0), Fault(SystemExit(), 0.5), Fault(SystemExit(), 1.0),
            Fault(Retriable("tomorrow", after=999)),
        ]
    ),
    max_size=4,
)  # fmt: skip
READS = st.lists(
    st.sampled_from(
        [None, None, None, Fault(BUSY), Fault(Dropped()), Fault(Fatal("401")), Fault(SystemExit())]
    ),
    max_size=5,
)
DEATHS = st.none() | st.tuples(st.sampled_from(["planned", "intent", "answer", "settled"]), st.integers(0, 3))


class Deliveries(RuleBasedStateMachine):
    """One destination, one ledger, and everything that happens to them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.runs: list[Scores] = []
        self.count = 0
        self.lost = False
        self.abandoned: set[str] = set()

    def teardown(self) -> None:
        try:
            if self.runs:
                self.all_is_well_in_the_end()
        finally:
            shutil.rmtree(self.folder)

    @initialize(compares=st.booleans(), jobs=st.booleans(), whole=st.booleans(), size=st.integers(1, 4))
    def begin(self, compares: bool, jobs: bool, whole: bool, size: int) -> None:
        given = settings(patience=timedelta(seconds=12))
        self.shelf = Shelf(given, compares=compares, jobs=jobs, size=size).put(*LEADS)
        self.shelf.whole = whole
        self.desk = Desk(self.folder, self.shelf)
        self.known = set(LEADS)

    # What happens.

    @rule(decisions=st.lists(st.none() | DECISION, min_size=6, max_size=6), first=DECISION)
    def score(self, decisions: list[tuple[str, ...] | None], first: tuple[str, ...]) -> None:
        """Score the leads; those without a decision are open no longer."""
        rows = dict(zip(LEADS, [first, *decisions[1:]], strict=True))
        text = "\n".join([HEADING, *(" ".join([lead, *row]) for lead, row in rows.items() if row)])
        self.count += 1
        self.runs.append(self.desk.score(scores(text, run=f"run {self.count}", levels=LEVELS)))

    @precondition(lambda self: self.runs)
    @rule(back=st.sampled_from([0, 0, 0, 1, 2]), writes=WRITES, reads=READS, death=DEATHS, dry=st.booleans())
    def sync(
        self, back: int, writes: list[Fault | None], reads: list[Fault | None], death: Any, dry: bool
    ) -> None:
        """Deliver the newest run, or an older one, with whatever goes wrong."""
        run = self.runs[-1 - min(back, len(self.runs) - 1)]
        self.shelf.fail("write", *writes)
        self.shelf.fail("read", *reads)
        effects = len(self.shelf.store.effects)
        watch = at(*death) if death else None
        with suppress(SystemExit, Fatal):
            account = self._sync(run, watch=watch, dry_run=dry and not back)
            if not account.dry_run:
                left = account.stopped is not None or account.pending
                assert account.exit_status in ({5} if left else {0, 6})
                assert account.stopped or summed(account) >= len(run.frame)
        assert not (dry and not back and len(self.shelf.store.effects) > effects)
        for faults in self.shelf.faults.values():
            faults.clear()

    @precondition(lambda self: self.runs)
    @rule()
    def two_at_once(self) -> None:
        """While one delivers, another one tries to."""

        def second(event: Event) -> None:
            if event.step == "intent":
                with pytest.raises(Busy):
                    self.desk.sync(self.runs[-1])

        with suppress(Fatal):
            self._sync(self.runs[-1], watch=second)

    @rule(lead=OTHERS)
    def poison(self, lead: str) -> None:
        """A record begins to refuse, or ceases to."""
        self.shelf.poison ^= {lead}

    @precondition(lambda self: self.runs)
    @rule()
    def retry(self) -> None:
        self.desk.retry()

    @precondition(lambda self: self.runs)
    @rule(lead=OTHERS)
    def delete(self, lead: str) -> None:
        if self.shelf.place(lead) != self.shelf.place("a"):
            self.shelf.store.records.pop(self.shelf.place(lead), None)

    @precondition(lambda self: not self.shelf.compares)
    @rule(lead=OTHERS, into=st.sampled_from(["x", "y", *LEADS]))
    def merge(self, lead: str, into: str) -> None:
        """A record is merged into another lead's, or a new one."""
        here, there = self.shelf.place(lead), self.shelf.place(into)
        if (
            here != there
            and here in self.shelf.store.records
            and (into in "xy" or there in self.shelf.store.records)
        ):
            self.known.add(there)
            self.shelf.merge(here, there)

    @precondition(lambda self: self.runs)
    @rule(fields=st.sets(st.sampled_from(["points", "why", "grade"]), max_size=1))
    def drop(self, fields: set[str]) -> None:
        """Fields are accepted and not kept, or are again."""
        self.shelf.drops = fields

    @precondition(lambda self: self.runs)
    @rule()
    def lose_the_ledger(self) -> None:
        """What it knew of leads that are closed now is lost with it; so is which run was older."""
        for path in self.folder.glob("ledger.sqlite*"):
            path.unlink()
        self.lost = True
        self.abandoned = set(LEADS)
        self.runs = [self.desk.score(self.runs[-1])]
        self.shelf.store.era += 1

    def _sync(self, run: Scores, **more: Any) -> Any:
        account = self.desk.sync(run, adopt=self.lost, **more)
        if not account.dry_run and not account.stopped:
            self.lost = False
            self.abandoned -= set(run.frame["lead_id"])
        return account

    # What must be true.

    @invariant()
    def nothing_takes_effect_twice(self) -> None:
        """No run changes a field of a record twice; and no older one changes it, which the shelf watches."""
        changes = Counter(
            (e.era, e.record, e.sequence, name) for e in self.shelf.store.effects for name in e.changed
        )
        assert all(times == 1 for times in changes.values()), changes

    @invariant()
    def no_record_is_created(self) -> None:
        assert set(self.shelf.store.records) <= self.known

    def all_is_well_in_the_end(self) -> None:
        """The faults stop: a sync delivers all but what was refused before, and a retry that too."""
        self.shelf.drops = set()
        self._sync(self.runs[-1])  # which may still learn that a job of before was not kept
        account = self._sync(self.runs[-1])
        assert account.stopped is None, account.stopped
        assert account.pending == 0
        failures = self.desk.failures()
        wrong = {lead for lead in LEADS if self._reachable(lead) and not self._right(lead)}
        assert wrong <= set(failures), (wrong, failures, self.shelf.store.records)
        self.desk.retry()
        account = self._sync(self.runs[-1])
        assert (account.stopped, account.pending) == (None, 0)
        failures = self.desk.failures()
        for lead in LEADS:
            assert failures.get(lead, "none") in self._possible(lead), (lead, failures)
        effects = len(self.shelf.store.effects)
        again = self._sync(self.runs[-1])
        assert (again.sent, len(self.shelf.store.effects)) == (0, effects)

    def _possible(self, lead: str) -> set[str]:
        """How the delivery of a lead may have failed in the end."""
        if lead not in set(self.runs[-1].frame["lead_id"]) and self._right(lead):
            return {"none"}
        if self.shelf.place(lead) not in self.shelf.store.records:
            return {"none", "gone", "shared"}  # "none" if its decision did not change since: nobody looked
        if self._shared(lead):
            return {"none", "shared", "refused"}
        # What a lost ledger or a field that was dropped left unknown is sent again, and refused again.
        refused = {"refused"} if lead in self.shelf.poison else set()
        return refused | ({"none"} if self._right(lead) else set())

    def _reachable(self, lead: str) -> bool:
        """Whether the record is there, and no other lead's into which it was merged."""
        place = self.shelf.place(lead)
        return place in self.shelf.store.records and (place == lead or not self._shared(lead))

    def _shared(self, lead: str) -> bool:
        return any(self.shelf.place(other) == self.shelf.place(lead) for other in LEADS if other != lead)

    def _right(self, lead: str) -> bool:
        """Whether the lead's record holds the newest run's decision, within tolerance and hysteresis."""
        newest = self.runs[-1].frame.set_index("lead_id")
        record = self.shelf.store.records.get(self.shelf.place(lead))
        if lead not in newest.index:
            written = record is not None and record["band"] is not None
            return not written or lead in self.abandoned or self._shared(lead)
        if record is None or record["band"] is None:
            return False
        wanted = newest.loc[lead]
        level = {"mql": LEVELS.mql, "nurture": LEVELS.nurture, "hysteresis": LEVELS.hysteresis}
        return (
            settle([wanted["propensity"]], [record["band"]], **level)[0] == record["band"]
            and record["points"] is not None
            and abs(record["points"] - wanted["score"]) <= 2
            and record["grade"] == wanted["grade"]
            and (record["why"] or "") == wanted["told"]
        )


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = tried(max_examples=25, stateful_step_count=12, deadline=None)
