"""What people see of a check: every table, what is wrong with it, and the verdict last."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.check import Checked
from pipeline.terminal import console, table, windows_table
from pipeline.trust_screens import show_guard, show_hygiene

LEVEL_STYLES = {"error": "bold red", "left out": "yellow", "note": "dim"}


def show_check(checked: Checked) -> None:
    """Print what a check found, table by table, and the verdict last."""
    out = console()
    dataset = checked.dataset
    out.print(_tables(dataset.counts))
    if len(checked.kinds):
        out.print(_kinds(checked.kinds))
    _attributes(out, checked)
    out.print("[bold]Outcomes[/]  " + ", ".join(f"{k}: {v:,}" for k, v in checked.outcomes.items()))
    if dataset.observed_until:
        how = "given" if dataset.observed_given else "the latest time in the data"
        out.print(
            f"Outcomes are taken as complete until {dataset.observed_until:%Y-%m-%d %H:%M} UTC ({how})."
        )
    _time_to_win(out, checked)
    for note in checked.notes:
        out.print(f"• {escape(note)}")
    show_findings(out, checked)
    show_hygiene(out, {"measures": dataset.hygiene.to_dict()})
    if checked.judgement:
        show_guard(out, checked.judgement.to_dict())
    if checked.prepared:
        out.print(windows_table(checked.prepared.summary, checked.prepared.split))
    if checked.problem:
        out.print(f"[bold red]Not ready:[/] {escape(checked.problem.message)}", soft_wrap=True)
    else:
        out.print("[bold green]Ready.[/] Train with `propense train`.")


def _tables(counts: dict[str, dict[str, Any]]) -> Table:
    rows = [(name, c["file"], f"{c['rows']:,}", c["columns"]) for name, c in counts.items()]
    headings = [("table", "left"), ("file", "left"), ("rows", "right"), ("columns", "right")]
    return table("Tables", headings, rows)


def _kinds(kinds: pd.DataFrame, most: int = 40) -> Table:
    rows = [(k.kind, k.actor, f"{k.activities:,}", f"{k.leads:,}") for k in kinds.head(most).itertuples()]
    if len(kinds) > most:
        rows.append((f"and {len(kinds) - most} more", "", "", ""))
    headings = [("kind of activity", "left"), ("by", "left"), ("activities", "right"), ("leads", "right")]
    return table("Activities", headings, rows)


def _attributes(out: Console, checked: Checked) -> None:
    rows = [
        (a.name, a.type, a.family, "each version dated" if a.checked else "as it is today")
        for a in checked.dataset.tables.attributes
    ]
    headings = [("attribute", "left"), ("read as", "left"), ("family", "left"), ("known at", "left")]
    if rows:
        out.print(table("Attributes", headings, rows))


def _time_to_win(out: Console, checked: Checked) -> None:
    if not checked.days_to_win:
        return
    shown = ", ".join(f"{q}: {days:.1f} d" for q, days in checked.days_to_win.items())
    out.print(f"[bold]Time to a win[/]  {shown}")
    horizon = checked.dataset.config.snapshots.horizon
    suggested = checked.suggested_horizon
    if suggested and suggested != horizon:
        out.print(
            f"  The horizon is {horizon.days} days; {suggested.days} days would hold three in four wins"
            " as far as this history allows."
        )


def show_findings(out: Console, checked: Checked) -> None:
    """Print findings, mistakes first."""
    order = {level: place for place, level in enumerate(LEVEL_STYLES)}
    for finding in sorted(checked.dataset.findings, key=lambda f: order[f.level]):
        out.print(
            f"[{LEVEL_STYLES[finding.level]}]{finding.level}:[/] {escape(str(finding))}", soft_wrap=True
        )
