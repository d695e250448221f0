"""What a backtest found, in sentences for people who will act on it."""

from __future__ import annotations

from typing import Any

from models.promises import within as said_within

NAMES = {
    "propense": "propense",
    "points": "the points",
    "points_refitted": "the points, refitted",
    "logistic": "a logistic regression",
    "first_come": "first come, first served",
    "newest_first": "newest first",
    "foresight": "perfect foresight",
}


def sentence(account: dict[str, Any]) -> str:
    """Return the one sentence that a head of sales wants."""
    answer = account["answer"]
    if answer is None:
        return (
            "Nobody was contacted: no cutoff could be chosen at any origin, so there is nothing to compare."
        )
    more, calls = answer["more_customers"], answer["calls"]
    against = NAMES[answer["against"]]
    found = f"{answer['customers']:,} instead of {answer['customers_against']:,}"
    gained = more["value"]
    said = (
        f"With the same number of calls ({calls:,}), {abs(gained):,} {'more' if gained >= 0 else 'FEWER'} "
        f"customers than with {against} ({found}; 90 % interval {more['low']:+,.0f} to {more['high']:+,.0f})"
    )
    said += _fewer(answer["fewer_calls"]) if answer["customers_against"] else "; there, no call found one."
    if more["low"] <= 0 <= more["high"]:
        said += " The difference in customers is within what chance can do."
    if account["overall"]["mqls"] < calls / 2:
        said += (
            f" So much if sales calls those whom propense ranks highest; by its own cutoff only "
            f"{account['overall']['mqls']:,} leads would have been called."
        )
    return said


def _fewer(fewer: dict[str, Any]) -> str:
    saved = fewer["value"]
    if saved is None:
        return "; even half as many calls again would not find the same customers."
    low, high = (None if fewer[end] is None else _calls(fewer[end]) for end in ("low", "high"))
    span = f"{low} to {high}" if low and high else f"up to {high}, the lower end is not known"
    return f"; with the same customers, {_calls(saved)} calls (90 % interval {span})."


def _calls(fewer: float) -> str:
    return f"{abs(int(fewer)):,} {'fewer' if fewer >= 0 else 'MORE'}"


def words(account: dict[str, Any]) -> list[str]:
    """Return what else there is to say, the most important first."""
    overall, folds = account["overall"], account["folds"]
    within = said_within(account["horizon"])
    said = [
        f"{len(folds)} times, from {folds[0]['origin']} on, the model was trained on what had matured by "
        "then, and its cutoff used until the next time.",
        _operated(overall, within),
        _unmet(folds),
        _promises(overall, folds),
        _withdrawn(folds),
        _volume(folds),
        _calibrated(overall["calibration"], folds),
    ]
    said += [_wins(overall["wins"])] if "wins" in overall else []
    said += [_revenue(overall["revenue"])] if "revenue" in overall else []
    said += [_value(account)] if "value" in account["comparison"]["propense"] else []
    said += account["notes"]
    if account["answer"] is not None:
        said.append(
            f"A call counts as a customer found if the lead converted{within} after it. That the call made "
            "it convert is not said: the history shows what happened once, whoever was called."
        )
    return [text for text in said if text]


def _operated(overall: dict[str, Any], within: str) -> str:
    realised = overall["realised"]
    if realised["value"] is None:
        return "No lead became an MQL."
    said = f"{overall['mqls']:,} leads became MQLs, and {overall['customers']:,} of them converted{within}"
    if realised["units"] < overall["mqls"]:
        said += f"; counting the first of each account, {realised['conversions']:,} of {realised['units']:,}"
    interval = f"{realised['low']:.0%} to {realised['high']:.0%}"
    return f"{said}: {realised['value']:.0%} (90 % interval {interval})."


def _unmet(folds: list[dict[str, Any]]) -> str:
    without = [fold for fold in folds if fold["cutoff"]["level"] is None]
    empty = [f for f in folds if f not in without and not f["as_operated"]["propense"]["contacts"]]
    said = []
    if without:
        said.append(
            f"At {len(without)} of {len(folds)} origins no cutoff could be chosen: nobody became an MQL."
        )
    if empty:
        said.append(f"At {len(empty)} of {len(folds)} origins nobody reached the cutoff.")
    return " ".join(said)


def _withdrawn(folds: list[dict[str, Any]]) -> str:
    moved = [fold["origin"] for fold in folds if fold["drift"]["moved"]]
    if not moved:
        return ""
    return (
        f"The base rate had moved at {len(moved)} origins, which then promised nothing: {', '.join(moved)}."
    )


def _promises(overall: dict[str, Any], folds: list[dict[str, Any]]) -> str:
    made = overall["promises"]
    if not made:
        return "At no origin could anything be promised."
    said = f"A promise was made at {made} of {len(folds)} origins"
    if not overall["violations"]:
        return f"{said}, and at none was the realised one significantly below it."
    missed = [fold["origin"] for fold in folds if fold["held"] == "violated"]
    return f"{said}; the realised one was significantly below it at {len(missed)}: {', '.join(missed)}."


def _volume(folds: list[dict[str, Any]]) -> str:
    chosen = [fold for fold in folds if fold["cutoff"]["level"] is not None]
    volumes = [fold["volume"] for fold in chosen if fold["volume"]]
    if not volumes:
        return ""
    weeks = sum(volume["weeks"] for volume in volumes)
    estimated, realised = (
        sum(v[name] * v["weeks"] for v in volumes) / weeks for name in ("estimated", "realised")
    )
    return f"New MQLs a week: {estimated:.1f} were estimated at the origins, {realised:.1f} came."


def _calibrated(found: dict[str, Any], folds: list[dict[str, Any]]) -> str:
    ranges = [fold["calibration"] for fold in folds]
    outside = sum(not part["low"] <= part["observed"] <= part["high"] for part in ranges)
    return (
        f"The propensities announced {found['expected']:,.0f} conversions, and {found['observed']:,} came; "
        f"in {outside} of {len(folds)} folds the number lay outside its 90 % range."
    )


def _wins(wins: dict[str, int]) -> str:
    total = sum(wins.values())
    return (
        f"Of {total:,} wins in that time, {wins['caught']:,} were MQLs before they won, {wins['missed']:,} "
        f"were scored and were not, {wins['never_scored']:,} were never scored (won between two scoring "
        "dates, or sales had them already)."
    )


def _revenue(found: dict[str, Any]) -> str:
    said = (
        f"Open leads at the origins: {found['expected']:,.0f} of revenue expected, "
        f"{found['realised']:,.0f} came within the horizon"
    )
    missing = found["without_amount"]
    return f"{said} ({missing:,} wins have no amount)." if missing else f"{said}."


def _value(account: dict[str, Any]) -> str:
    worth = {name: found["value"] for name, found in account["comparison"].items() if name != "foresight"}
    told = "; ".join(f"{NAMES[n]}: {v:,.0f}" for n, v in worth.items())
    return f"Net value (wins less contacts) with the same calls: {told}."
