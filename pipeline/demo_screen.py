"""The closing screen of the demo: what was found, where it is, what to do next."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.markup import escape
from rich.panel import Panel

from pipeline.delivery.account import Account
from pipeline.terminal import console, show_result, show_scores


@dataclass(frozen=True)
class Made:
    """What a demo leaves behind beside its results: what was delivered, the report's page, both folders."""

    delivered: Account
    page: Path
    directory: Path
    folder: Path


def show_demo(account: dict[str, Any], scores: pd.DataFrame, excluded: pd.DataFrame, made: Made) -> None:
    """Print the demo's closing screen: what was found, where the files are, what to do next."""
    out = console()
    delivered, directory, folder = made.delivered, made.directory, made.folder
    show_result(out, account)
    show_scores(scores, excluded, account)
    config = f"{directory}/crm/propense.toml"
    lines = [
        "What was found",
        f"  {_in_words(account)}",
        *([f"  {account['backtest']['sentence']}"] if account["backtest"] else []),
        f"  {_written(delivered)} ({directory}/crm/crm.sqlite, table leads).",
        "",
        "Where it is",
        f"  {made.page}    what marketing reads: open it in a browser",
        f"  {folder}/scores.parquet, excluded.parquet    every open lead, scored or said why not",
        f"  {folder}/train.json, test_predictions.parquet    the account, and what it is computed from",
        f"  {folder}/figures/, bundle/    figures; the model as text",
        f"  {folder}/ledger.sqlite    what was delivered, so that nothing is written twice",
        f"  {config}    the configuration, to read next to data/README.md",
    ]
    out.print(Panel(escape("\n".join(lines)), title="propense", title_align="left", expand=False))
    out.print("[bold]What to do next[/]")
    for line in _next_commands(scores, config, folder):  # unbroken, to be copied
        out.print(f"  {escape(line)}", soft_wrap=True)


def _written(delivered: Account) -> str:
    """Say what was written into the CRM, and what was not."""
    said = f"{delivered.sent:,} scores written into the CRM"
    left = {
        "not written": sum(delivered.skipped.values()) + delivered.failed,
        "still to be written": delivered.pending,
    }
    return ", ".join([said, *(f"{leads:,} {what}" for what, leads in left.items() if leads)])


def _next_commands(scores: pd.DataFrame, config: str, folder: object) -> list[str]:
    programs = Path(sys.argv[0]).parent  # the environment may not be on the PATH
    propense, mlflow = (n if shutil.which(n) else str(programs / n) for n in ("propense", "mlflow"))
    project = ["--config", config, "--output", str(folder)]
    commands = [
        [propense, "sync", "crm", "--dry-run", *project],
        [mlflow, "ui", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"],
        [propense, "init"],
    ]
    if len(scores):
        best = scores.sort_values(["propensity", "lead_id"], ascending=[False, True]).iloc[0]
        commands.insert(
            0, [propense, "explain", best["lead_id"], "--as-of", f"{best['as_of']:%Y-%m-%d}", *project]
        )
    return [shlex.join(command) for command in commands]


def _in_words(account: dict[str, Any]) -> str:
    """Compare propense with the points in one sentence."""
    lift = account["test"]["lift_at_10"]
    ours = (
        f"The top tenth of open leads converts {lift['propense']['value']:.1f} times as often as the average"
    )
    if "rules" in lift:
        ours += f"; by the hand-made points {lift['rules']['value']:.1f} times"
    return ours + "."
