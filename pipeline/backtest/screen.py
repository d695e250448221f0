"""A backtest in the terminal: fold by fold, policy by policy, and the one sentence last."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from pipeline.backtest.words import NAMES
from pipeline.terminal import console, table


def show_backtest(account: dict[str, Any], folder: object = None) -> None:
    """Print what a backtest found, and in which folder all of it is."""
    out = console()
    out.print(folds_table(account))
    out.print(policies_table(account))
    for text in account["words"]:
        out.print(f"• {escape(text)}", soft_wrap=True)
    lines = [account["sentence"]]
    if folder is not None:
        lines += ["", f"Account: {folder}/backtest.json"]
        lines += [f"Every open lead on every scoring date: {folder}/backtest_predictions.parquet"]
    out.print(Panel(escape("\n".join(lines)), border_style="green", expand=False))


def folds_table(account: dict[str, Any]) -> Table:
    """Return one line a fold: what was promised at its origin, and what came of it."""
    rows = []
    for fold in account["folds"]:
        equal, realised = fold["equal_contacts"], fold["realised"]
        against = "points" if "points" in equal else "first_come"
        auc = fold["ranking"]["auc"]["propense"]["value"]
        rows.append(
            (
                fold["origin"],
                f"{fold['windows']['train']['won']:,}",
                "—" if auc is None else f"{auc:.2f}",
                f"{fold['as_operated']['propense']['contacts']:,}",
                _promised(fold["promised"]),
                _realised(realised),
                fold["held"] or "no promise",
                f"{equal['propense']['customers'] - equal[against]['customers']:+,}",
            )
        )
    versus = "points" if "points" in account["comparison"] else "first come"
    headings = [
        ("origin", "left"), ("wins", "right"), ("AUC", "right"), ("MQLs", "right"),
        ("promised", "right"), ("realised", "left"), ("held?", "left"), (f"vs {versus}", "right"),
    ]  # fmt: skip
    return table("Backtest: trained at each origin, used until the next", headings, rows)


def policies_table(account: dict[str, Any]) -> Table:
    """Return what each policy found with the same number of calls each night."""
    rows = []
    for name, found in account["comparison"].items():
        share = found["customers"] / found["contacts"] if found["contacts"] else None
        rows.append((NAMES[name], f"{found['contacts']:,}", f"{found['customers']:,}", _share(share)))
    setter = NAMES[account["reference"]]
    headings = [("who is called", "left"), ("calls", "right"), ("customers", "right"), ("share", "right")]
    return table(f"With the same number of calls each night, set by {setter}", headings, rows)


def _share(value: float | None) -> str:
    return "—" if value is None else f"{value:.0%}"


def _promised(found: dict[str, Any] | None) -> str:
    if found is None:
        return "—"
    return _share(found["promised"]) + ("" if found["what"] == "precision" else " of wins")


def _realised(found: dict[str, Any]) -> str:
    if found["value"] is None:
        return "—"
    return f"{found['value']:.0%} ({found['low']:.0%}–{found['high']:.0%})"
