"""What people see in the terminal: progress, tables, and the closing screens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from features.errors import PropenseError
from pipeline.trust_screens import show_backtested, show_guard, show_hygiene
from pipeline.verdicts import cutoff_sentence, doubts


def console(stderr: bool = False) -> Console:
    """Return a console that stays readable in a pipe or a log: no colours there, and 100 columns."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=100)


def show_error(error: PropenseError) -> None:
    """Print an error for people, on standard error."""
    out = console(stderr=True)
    out.print(f"[bold red]{error.title}:[/] {escape(error.message)}", soft_wrap=True)


def table(title: str, columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table; `columns` are (heading, justification)."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading, justify in columns:
        made.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*(escape(str(cell)) for cell in row))
    return made


SPLITS = {
    "time": "in time order, with one horizon between building and test",
    "group": "at random by lead or account: this is NOT a test against the future",
    "row": "in row order, without times: no embargo is possible",
    "random": "at random by row, without times: this is NOT a test against the future",
}


def windows_table(summary: dict[str, dict[str, Any]], split: str, *, shipped: bool = False) -> Table:
    """Return the windows as a table that says how they were made."""
    rows = []
    for name, window in summary.items():
        if shipped and name == "test":
            continue
        span = f"{window['from'][:10]} to {window['to'][:10]}" if window["from"] else "—"
        leads, won = int(window["leads"]), int(window["won"])
        share = f"{won / leads:.1%}" if leads else "—"
        rows.append((name, span, f"{leads:,}", f"{window['snapshots']:,}", f"{won:,}", share))
    headings = [
        ("window", "left"), ("seen", "left"), ("leads", "right"), ("snapshots", "right"),
        ("won", "right"), ("share", "right"),
    ]  # fmt: skip
    made = "all that has matured by now, no test window left" if shipped else f"split {SPLITS[split]}"
    return table(f"Windows: {made}", headings, rows)


METRICS = {
    "auc": ("AUC", "{:.3f}"),
    "average_precision": ("average precision", "{:.3f}"),
    "log_loss": ("log loss", "{:.4f}"),
    "brier": ("Brier", "{:.4f}"),
    "calibration_error": ("calibration error", "{:.3f}"),
    "lift_at_10": ("lift in the top tenth", "{:.2f}"),
    "precision": ("precision at the cutoff", "{:.3f}"),
    "recall": ("recall at the cutoff", "{:.3f}"),
}


def metrics_table(test: dict[str, Any], title: str = "Test window, untouched until now") -> Table:
    """Return metrics by model, each with its 90 % interval."""
    models = [m for m in ("propense", "logistic", "rules", "base_rate") if m in test["auc"]]
    names = {"logistic": "logistic regression", "rules": "your points", "base_rate": "base rate"}
    headings = [("", "left"), *((names.get(m, m), "left") for m in models)]
    rows = []
    for metric, (label, form) in METRICS.items():
        if metric in test:
            rows.append((label, *(_interval(test[metric].get(m), form) for m in models)))
    return table(title, headings, rows)


def _interval(found: dict[str, float | None] | None, form: str) -> str:
    if not found or found["value"] is None:
        return "—"
    value, low, high = (form.format(found[k]) for k in ("value", "low", "high"))
    return f"{value} ({low}–{high})"


def show_training(account: dict[str, Any], folder: object) -> None:
    """Print what a training found, and what to do next."""
    out = console()
    show_result(out, account)
    out.print(f"Calibration: {account['calibration']['method']}. 90 % intervals from a bootstrap of leads.")
    if account["end_at_handover"] is False:
        out.print("Sales' own work is seen by the features, as the configuration asks.")
    if account["unchecked"]:
        names = ", ".join(account["unchecked"][:8]) + (", …" if len(account["unchecked"]) > 8 else "")
        out.print(f"Taken as they are today, without a time: {escape(names)}.", soft_wrap=True)
    left_out = [f for f in account["data"]["findings"] if f["level"] == "left out"]
    if left_out:
        out.print(f"Left out: {len(left_out)} columns or groups of rows; `propense check` lists them.")
    version = account["model"]["version"]
    lines = [
        f"Registered as '{account['model']['name']}' version {version}, now the champion.",
        f"Account: {folder}/train.json   Figures: {folder}/figures/",
        "Next: `propense score` scores the open leads.",
    ]
    out.print(Panel(escape("\n".join(lines)), border_style="green", expand=False))


def show_result(out: Console, account: dict[str, Any]) -> None:
    """Print windows, metrics, cutoffs with their promises, and what speaks for and against them."""
    out.print(windows_table(account["windows"], account["split"], shipped=account["shipped"]))
    if account["test"] is not None:
        out.print(metrics_table(account["test"]))
    for cutoff in account["cutoffs"]:
        out.print(f"• {escape(cutoff_sentence(cutoff))}", soft_wrap=True)
    for doubt in doubts(account):
        out.print(f"[bold yellow]Doubt:[/] {escape(doubt)}", soft_wrap=True)
    show_backtested(out, account)
    show_guard(out, account["guard"])
    show_hygiene(out, account["hygiene"])


def show_scores(
    scores: pd.DataFrame, excluded: pd.DataFrame, about: dict[str, Any], warnings: Sequence[str] = ()
) -> None:
    """Print how many leads are in each band, and the best of them; `about` is the bundle's."""
    out = console()
    for warning in filter(None, warnings):
        out.print(f"[bold yellow]Warning:[/] {escape(warning)}", soft_wrap=True)
    if scores.empty:
        out.print("No open lead to score at that moment: both files are written, and scores are empty.")
    else:
        _bands_and_best(out, scores, about["target"])
    if about["split"] != "time":
        out.print(f"The model was tested on windows split {SPLITS[about['split']]}.", soft_wrap=True)
    if len(excluded):
        counts = excluded["reason"].value_counts()
        shown = ", ".join(f"{n:,} {str(reason).replace('_', ' ')}" for reason, n in counts.items())
        out.print(f"Open but not scored: {shown} (excluded.parquet).")


def _bands_and_best(out: Console, scores: pd.DataFrame, target: str) -> None:
    bands = scores.groupby("band")["propensity"]
    rows = [
        (band, f"{bands.get_group(band).size:,}", f"{bands.get_group(band).sum():.1f}")
        for band in ("mql", "nurture", "let_go")
        if band in bands.groups
    ]
    headings = [("band", "left"), ("leads", "right"), ("expected conversions", "right")]
    out.print(table(f"Open leads by band (propensity of '{target}')", headings, rows))
    best = scores.sort_values(["propensity", "lead_id"], ascending=[False, True]).head(5)
    shown = [
        (
            lead["lead_id"],
            f"{lead['propensity']:.0%}",
            f"{lead['propensity_low']:.0%}–{lead['propensity_high']:.0%}",
            lead["score"],
            lead["grade"],
            lead["reasons"][0]["text"] if lead["reasons"] else "",
        )
        for lead in best.to_dict("records")
    ]
    headings = [
        ("lead", "left"), ("propensity", "right"), ("90 % interval", "right"), ("score", "right"),
        ("grade", "left"), ("strongest reason", "left"),
    ]  # fmt: skip
    out.print(table("The five most likely", headings, shown))


def show_lead(lead: dict[str, Any], history: pd.DataFrame, base: float, split: str) -> None:
    """Print one lead's story: what it scored, why, and what it did last."""
    out = console()
    low, high = lead["propensity_low"], lead["propensity_high"]
    out.print(
        Panel(
            f"[bold]{lead['propensity']:.0%}[/] likely to be {escape(lead['target'])} "
            f"(90 % interval {low:.0%} to {high:.0%})\n"
            f"band {lead['band']}, grade {lead['grade']}, score {lead['score']} of 100 "
            "(its rank among past leads, not a probability)",
            title=f"Lead {escape(str(lead['lead_id']))} as of {lead['as_of']:%Y-%m-%d %H:%M} UTC",
            title_align="left",
            expand=False,
        )
    )
    for direction, title in (("up", "What raises it"), ("down", "What lowers it")):
        chosen = [r for r in lead["reasons"] if r["direction"] == direction]
        if chosen:
            out.print(f"[bold]{title}[/]")
        for reason in chosen:
            out.print(f"  {_sign(direction)}{reason['strength']:.2f}  {escape(reason['text'])}")
    out.print(
        f"[dim]On the scale of log-odds: {base:+.2f} for everybody, {lead['fit']:+.2f} for who the lead is, "
        f"{lead['engagement']:+.2f} for what it did.[/]"
    )
    if split != "time":
        out.print(f"[dim]The model was tested on windows split {SPLITS[split]}.[/]", soft_wrap=True)
    if len(history):
        shown = history.assign(asset=history["asset"].fillna(""))
        rows = [(f"{h.occurred_at:%Y-%m-%d %H:%M}", h.kind, h.asset) for h in shown.itertuples()]
        out.print(table("Last activities", [("when (UTC)", "left"), ("what", "left"), ("on", "left")], rows))


def show_replay(moments: pd.DataFrame) -> None:
    """Print how a lead's propensity came about: as it was on the last dates of the scoring calendar."""
    if len(moments) < 2:
        return
    rows = [
        (f"{m.as_of:%Y-%m-%d %H:%M}", f"{m.propensity:.1%}", f"{m.margin:+.2f}") for m in moments.itertuples()
    ]
    headings = [("as of (UTC)", "left"), ("propensity", "right"), ("margin", "right")]
    console().print(table("Its history, replayed", headings, rows))


def _sign(direction: str) -> str:
    return "+" if direction == "up" else "−"
