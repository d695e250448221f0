"""What people and schedulers see of a delivery: a bar or a line a batch, a summary, failures, JSON."""

from __future__ import annotations

import json
import logging
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.delivery.account import Account, Event, Watch
from pipeline.terminal import console, table

if TYPE_CHECKING:
    from pipeline.delivery.command import SetUp
    from pipeline.delivery.ledger import Failure

LOG = logging.getLogger("propense.sync")
# So many leads of a dry run are shown; --json has all.
SHOWN = 20


@contextmanager
def watching(destination: str, run_id: str) -> Iterator[Watch]:
    """Give what shows a delivery on standard error: a bar in a terminal, else a log line a batch."""
    if sys.stderr is None:  # a daemon without one
        yield lambda event: None
        return
    if sys.stderr.isatty():
        with _bar(destination) as watch:
            yield watch
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    level = LOG.level
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        yield lambda event: log(destination, run_id, event)
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(level)


def log(destination: str, run_id: str, event: Event) -> None:
    """Write the log line of a batch that is done, or of a wait: counts, and nothing of any lead."""
    if event.step == "waiting":
        where = shlex.quote(destination), run_id, event.seconds
        LOG.info("destination=%s run=%s waiting=%.0f why=%s", *where, shlex.quote(event.text))
    if event.step != "settled":
        return
    LOG.info(
        "destination=%s run=%s batch=%d/%d rows=%d sent=%d failed=%d seconds=%.2f",
        shlex.quote(destination), run_id, event.batch, event.batches, event.rows, event.sent, event.failed,
        event.seconds,
    )  # fmt: skip


@contextmanager
def _bar(destination: str) -> Iterator[Watch]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"checking {escape(destination)}", total=None)

        def show(event: Event) -> None:
            if event.step == "planned":
                progress.update(task, description=f"writing to {escape(destination)}", total=event.rows)
            elif event.step == "settled":
                progress.advance(task, event.rows)
            elif event.step == "waiting":
                progress.console.print(f"waiting {event.seconds:.0f} s: {escape(event.text)}", soft_wrap=True)

        yield show


def show_account(account: Account, options: Sequence[str] = ()) -> None:
    """Print how a delivery went, and what to do next.

    `options` are those that the command was given and that a next one needs: --config and --output.
    """
    out = console()
    out.print(f"[bold]{escape(_title(account))}[/]", soft_wrap=True)
    for name, number, remark in _lines(account):
        out.print(f"  {name:<10}{number:>9,}  {escape(remark)}".rstrip(), soft_wrap=True)
    if account.dry_run:
        _show_changes(out, account)
    for note in account.notes:
        out.print(f"[bold yellow]Note:[/] {escape(note)}", soft_wrap=True)
    if account.stopped is not None:
        out.print(f"[bold red]Stopped:[/] {escape(account.stopped.text)}", soft_wrap=True)
    for line in _next(account, options):
        out.print(f"[bold]Next:[/] {escape(line)}", soft_wrap=True)


def _title(account: Account) -> str:
    of = f"the scores of run {account.sequence}{_as_of(account.as_of)}"
    if account.dry_run:
        return f"Dry run, nothing was written. In '{account.destination}', of {of}:"
    return f"In '{account.destination}', of {of}:"


def _as_of(moment: datetime) -> str:
    """Return the moment in words; a run that scored nobody may not say its own."""
    return "" if moment == datetime.min else f", as of {moment:%Y-%m-%d %H:%M} UTC"


def _lines(account: Account) -> list[tuple[str, int, str]]:
    """Return the counts with a remark each."""
    cleared = f"{account.cleared:,} of them lose their score: open no longer" if account.cleared else ""
    skipped = ", ".join(f"{count:,} {SKIPPED.get(kind, kind)}" for kind, count in account.skipped.items())
    first = ("to send", account.to_send) if account.dry_run else ("sent", account.sent)
    lines = [
        (*first, cleared),
        ("unchanged", account.unchanged, ""),
        ("skipped", sum(account.skipped.values()), skipped),
    ]
    if account.dry_run:
        return lines
    early = "" if account.planned else "of earlier runs; it did not come to counting what is due"
    return [*lines, ("failed", account.failed, ""), ("pending", account.pending, early)]


# Why leads are skipped, in words.
SKIPPED = {
    "unknown": "without a record there",
    "shared": "whose record another lead is written to",
    "gone": "whose record is not there",
    "stale": "whose record holds a later run",
    "refused before": "not written before either, and the same since",
}


def _next(account: Account, options: Sequence[str]) -> list[str]:
    """Return what to do next, each with the exact command."""
    again = shlex.join(["propense", "sync", account.destination, *options])
    failures = shlex.join(["propense", "sync", "failures", account.destination, *options])
    lines = []
    todo = getattr(account.stopped, "todo", "")
    if todo:
        lines.append(todo[:1].upper() + todo[1:])
    if account.dry_run:
        return [*lines, f"{again} writes this."] if account.to_send else lines
    if account.pending or account.stopped is not None:
        left = f"{account.pending:,} leads are pending: " if account.pending else ""
        lines.append(f"{left}{again} goes on where this run stopped.")
    if account.failed or account.skipped:
        lines.append(f"{failures} says which leads were not written, and why.")
    return lines


def _show_changes(out: Console, account: Account) -> None:
    """Print an example of what is sent, and what changes of the first leads."""
    if account.example is not None:
        out.print("One record, as it would be written:")
        for field, value in account.example.items():
            out.print(f"  {escape(field)} = {escape(json.dumps(value, ensure_ascii=False))}", soft_wrap=True)
    if not account.changes:
        return
    parts = [part for part in ("band", "grade", "score") if part in account.mapped]
    rows = [
        (change["lead_id"], change["why"], *(_change(change, part) for part in parts))
        for change in account.changes[:SHOWN]
    ]
    headings = [("lead", "left"), ("why", "left"), *((part, "left") for part in parts)]
    out.print(table("What changes", headings, rows))
    more = len(account.changes) - SHOWN
    if more > 0:
        out.print(f"… and {more:,} more; --json lists all.")


def _change(change: Mapping[str, Any], part: str) -> str:
    before, after = (_said(change.get(name)) for name in (f"{part}_before", part))
    return after if before == after else f"{before} → {after}"


def _said(value: Any) -> str:
    if value is None:
        return "—"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def account_json(account: Account) -> dict[str, Any]:
    """Return an account as JSON can hold it."""
    stopped = account.stopped
    return {
        "destination": account.destination,
        "run_sequence": account.sequence,
        "as_of": None if account.as_of == datetime.min else f"{account.as_of.isoformat()}+00:00",
        "dry_run": account.dry_run,
        **{name: getattr(account, name) for name in ("sent", "unchanged", "skipped", "failed", "pending")},
        "cleared": account.cleared,
        "stopped": None
        if stopped is None
        else {"problem": stopped.text, "next": getattr(stopped, "todo", "")},
        "notes": account.notes,
        **({"to_send": account.to_send, "example": account.example} if account.dry_run else {}),
        **({"changes": account.changes} if account.dry_run else {}),
        "exit_status": account.exit_status,
    }


def show_setup(done: SetUp, options: Sequence[str] = ()) -> None:
    """Print which fields are there, and which were created."""
    out = console()
    if not done.created:
        out.print(f"'{escape(done.destination)}' has all {len(done.there)} fields; nothing was created.")
    for field, kind in done.created.items():
        out.print(f"Created {escape(field)} ({kind.replace('_', ' ')}) in '{escape(done.destination)}'.")
    dry = shlex.join(["propense", "sync", done.destination, "--dry-run", *options])
    out.print(f"[bold]Next:[/] {escape(dry)} shows what would be written.", soft_wrap=True)


def setup_json(done: SetUp) -> dict[str, Any]:
    """Return the same as JSON can hold it."""
    return asdict(done)


def show_retry(destination: str, due: int, options: Sequence[str] = ()) -> None:
    """Print how many failed leads are due again."""
    out = console()
    again = shlex.join(["propense", "sync", destination, *options])
    out.print(f"{due:,} leads are due again in '{escape(destination)}'.", soft_wrap=True)
    if due:
        out.print(f"[bold]Next:[/] {escape(again)} tries them.", soft_wrap=True)


def show_failures(found: Sequence[Failure], options: Sequence[str] = ()) -> None:
    """Print what could not be delivered, and why; `options` as for `show_account`."""
    out = console()
    if not found:
        out.print("Nothing failed.")
        return
    rows = [(f.destination, f.lead_id, f.kind, f.reason, f.attempts, f"{f.at:%Y-%m-%d %H:%M}") for f in found]
    headings = [
        ("destination", "left"), ("lead", "left"), ("kind", "left"), ("reason", "left"),
        ("attempts", "right"), ("when (UTC)", "left"),
    ]  # fmt: skip
    out.print(table(f"{len(found):,} not written", headings, rows))
    for kind in dict.fromkeys(f.kind for f in found):
        out.print(f"[bold]{escape(kind)}:[/] {escape(KINDS.get(kind, ''))}", soft_wrap=True)
    for destination in dict.fromkeys(f.destination for f in found):
        retry = shlex.join(["propense", "sync", "failures", destination, "--retry", *options])
        out.print(
            f"[bold]Next:[/] {escape(retry)} makes them due again (--lead ID: this one only).", soft_wrap=True
        )


# What each kind of failure means, and what helps.
KINDS = {
    "refused": "the destination says no; correct the record or the field, then retry",
    "gone": "there is no such record (any more); none is ever created",
    "stale": "the record holds the scores of a later run and keeps them; the next run is newer",
    "shared": "another lead, more likely to convert, is written to the same record",
    "unknown": "the configured column of the leads' table names no record for this lead",
    "unkept": "accepted, but not there when it was read back; the next run tries again",
}


def failures_json(found: Sequence[Failure]) -> dict[str, Any]:
    """Return failures as JSON can hold them."""
    return {"failures": [{**asdict(failure), "at": failure.at.isoformat()} for failure in found]}
