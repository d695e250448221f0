"""The run sequence in a destination's records: which run a record holds, and whose ledger counted it."""

from __future__ import annotations

from pipeline.destinations.base import Fatal, Record


def sequence_of(record: Record, field: str | None) -> int | None:
    """Return the run sequence that a record holds, None if none."""
    if field is None:
        return None
    try:
        return int(float(str(record.values.get(field))))
    except ValueError:
        return None


def foreign(name: str, held: int, ours: int) -> Fatal:
    """Return the problem of a destination that another ledger has written to."""
    return Fatal(
        f"The destination holds scores of run {held}, and this ledger is at run {ours}: it was not this "
        "ledger that wrote them.",
        todo="all machines that write there need one shared ledger ([sync] ledger); if that ledger is lost, "
        f"go on after it with `propense sync {name} --adopt`",
    )
