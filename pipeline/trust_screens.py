"""What people see of guard, hygiene and backtest: the part of a screen that says what to believe."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

VERDICTS = {"excluded": ("bold red", "left out"), "suspect": ("bold yellow", "suspect")}
# What fits on a screen; the rest is in train.json and `propense check --json`.
MOST_SHOWN = 12


def show_backtested(out: Console, account: dict[str, Any]) -> None:
    """Print what the backtest of this procedure says, or how to get one."""
    found = account["backtest"]
    if found is None and account["split"] in ("random", "group"):
        return  # nothing to roll through
    if found is None:
        out.print("[bold]Backtest:[/] none of this configuration yet; `propense backtest` makes one.")
        return
    out.print(f"[bold]Backtest of the procedure:[/] {escape(found['sentence'])}", soft_wrap=True)
    for text in found["words"]:
        out.print(f"  {escape(text)}", soft_wrap=True)
    if not found["data"]["same"]:
        until = (found["data"]["observed_until"] or "")[:10]
        which = f" (up to {until})" if until else ""
        out.print(f"  It ran on other data{which}: run it again from time to time.")
    if account["shipped"]:
        out.print("  This model has no test window of its own: these numbers are the procedure's.")


def show_guard(out: Console, guard: dict[str, Any]) -> None:
    """Print what the leak guard left out or suspects, with its evidence, and what it overruled."""
    if not guard["on"]:
        out.print("[bold yellow]Leak guard:[/] off, as the configuration asks.")
        return
    told = [v for v in guard["verdicts"] if v["verdict"] != "clear" or v.get("overruled")]
    judged = f"{len(guard['verdicts']):,} attributes, kinds and tables judged"
    out.print(f"[bold]Leak guard:[/] {judged}{', nothing found' if not told else ''}.")
    for verdict in told[:MOST_SHOWN]:
        out.print(f"  {_verdict(verdict)}", soft_wrap=True)
        effect = guard.get("effects", {}).get(verdict["name"])
        if effect:
            out.print(f"    {escape(with_and_without(effect))}", soft_wrap=True)
    together = guard.get("effects", {}).get("all suspects")
    if together:
        out.print(f"  All suspects together: {escape(with_and_without(together))}", soft_wrap=True)
    replayed = guard.get("replay")
    if replayed and replayed["finding"]:
        out.print(f"  [bold yellow]by time:[/] {escape(replayed['finding'])}", soft_wrap=True)
    if len(told) > MOST_SHOWN:
        out.print(f"  and {len(told) - MOST_SHOWN} more; `propense check --json` has them all.")


def _verdict(verdict: dict[str, Any]) -> str:
    style, word = VERDICTS.get(verdict["verdict"], ("dim", "clear"))
    words = "; ".join(e["words"] for e in verdict["evidence"])
    name = f"{verdict['subject']} '{escape(verdict['name'])}'"
    if not verdict.get("overruled"):
        return f"[{style}]{word}:[/] {name} {escape(words)}"
    done = "kept" if verdict["kept"] else "left out"
    yours = f"[bold]{done} by you:[/] {name} ({escape(verdict['overruled'])})"
    return f"{yours}. The guard: {word}, it {escape(words)}"


def with_and_without(effect: dict[str, Any]) -> str:
    """Say in a sentence what a part of the data changes in the result."""
    if not effect["measured"]:
        return f"Not measured: {effect['why']}"
    auc, loss = effect["auc"], effect["log_loss"]
    if auc is None:
        return "Not measured: too few outcomes to compare."
    gap = auc["difference"]
    said = (
        f"With it AUC {auc['with']:.3f}, without {auc['without']:.3f} "
        f"(difference {gap['value']:+.3f}, 90 % interval {gap['low']:+.3f} to {gap['high']:+.3f}); "
        f"log loss {loss['with']:.4f} and {loss['without']:.4f}"
    )
    return said + ("." if effect["matters"] else ": within chance.")


def show_hygiene(out: Console, hygiene: dict[str, Any]) -> None:
    """Print what each measure of hygiene found, did and changed; what found nothing, in a line."""
    measures, effects = hygiene["measures"], hygiene.get("effects", {})
    found = [m for m in measures if m["found"]]
    out.print(f"[bold]Hygiene:[/]{'' if found else ' nothing found.'}")
    for measure in found:
        out.print(f"  {escape(measure['words'])}", soft_wrap=True)
        effect = effects.get(measure["name"])
        if effect:
            out.print(f"    {escape(with_and_without(effect))}", soft_wrap=True)
    rest = [m for m in measures if not m["found"]]
    for title, chosen in (
        ("Nothing found of", [m for m in rest if m["on"] and not _impossible(m)]),
        ("Switched off", [m for m in rest if not m["on"]]),
        ("Not possible with these tables", [m for m in rest if m["on"] and _impossible(m)]),
    ):
        if chosen:
            out.print(f"  [dim]{title}: {', '.join(m['name'] for m in chosen)}.[/]", soft_wrap=True)


def _impossible(measure: dict[str, Any]) -> bool:
    return measure["done"].startswith("not ")
