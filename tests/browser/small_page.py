"""A report of one section whose numbers can be checked by eye."""

from __future__ import annotations

from typing import Any

from features.language import Said

LEADS, WON, WEEKS = 1000, 100, 10.0
# Level: how many leads reach it, and how many of these converted.
RUNGS = {
    0.02: (800, 100),  # 12.5%: half way between two numbers that could be shown
    0.05: (700, 96),
    0.1: (450, 85),
    0.155: (300, 75),
    0.199: (180, 60),
    0.3: (80, 36),
    0.45: (20, 11),
}


def small_content(*, timed: bool = True) -> dict[str, Any]:
    """Return a report of the cutoff alone: 1,000 leads in 10 weeks, of which 100 converted."""
    return {
        "about": {
            "format": 1,
            "project": "small & simple",
            "target": "won",
            "horizon": "90d",
            "split": "time" if timed else "random",
            "shipped": False,
            "as_of": "2026-06-30T00:00:00Z" if timed else None,
            "currency": "EUR",
            "model_version": "3",
            "run_id": "0123456789abcdef",
            "observed_until": "2026-06-30T00:00:00Z" if timed else None,
            "versions": {"propense": "0.1.0"},
        },
        "cutoff": _cutoff(timed),
    }


def _cutoff(timed: bool) -> dict[str, Any]:
    rungs = [_rung(level, *seen, timed) for level, seen in RUNGS.items()]
    return {
        "available": True,
        "missing": None,
        "judged_on": "test",
        "windows": {"decision": None, "test": _window(timed)},
        "timed": timed,
        "confidence": 0.9,
        "withdrawn": None,
        "rungs": rungs,
        "marks": [
            _mark(
                "policy", 4, _said("20 a week", "20 par semaine"),
                promise=_said("At least a quarter.", "Au moins un quart."),
            ),
            _mark("points", 5, _said("50 points", "50 points"), counts=_counts(90, 12, timed)),
        ],
        "in_force": {
            "mark": 0, "rung": 4, "level": 0.199,
            "words": _said("MQL from 19.9% on.", "MQL dès 19,9\u00a0%."),
        },
        "points_missing": None,
        "money": {"contact_cost": 50.0, "won_value": 1200.0, "mean_amount": None},
        "choosing": _said("They hold at once.", "Elles valent à la fois."),
    }  # fmt: skip


def _rung(level: float, mqls: int, converted: int, timed: bool) -> dict[str, Any]:
    share = converted / mqls
    sure = f"{0.8 * share:.0%}"
    return {
        "level": level,
        "label": _said(f"{level:.1%}", f"{level:.1%}".replace(".", ",").replace("%", "\u00a0%")),
        "open": mqls // 4,
        "decision": None,
        "test": _counts(mqls, converted, timed),
        "promise": None
        if mqls < 50
        else {
            "what": "precision", "at_least": 0.8 * share, "confidence": 0.9,
            "words": _said(f"At least {sure} convert.", f"Au moins {sure} se convertissent."),
        },
        "no_promise": _said("Too few leads.", "Trop peu de leads.") if mqls < 50 else None,
        "held": None
        if mqls < 50
        else {
            "verdict": "held", "share": share, "units": mqls, "successes": converted,
            "words": _said(f"It held: {converted} of {mqls}.", f"Elle a tenu : {converted} sur {mqls}."),
        },
    }  # fmt: skip


def _counts(mqls: int, converted: int, timed: bool) -> dict[str, Any]:
    share = converted / mqls
    return {
        "mqls": mqls,
        "per_week": mqls / WEEKS if timed else None,
        "converted": converted,
        "missed": WON - converted,
        "conversions": WON,
        "caught": converted / WON,
        "share": {"value": share, "low": 0.9 * share, "high": 1.1 * share, "confidence": 0.9},
        "contacts_per_customer": mqls / converted,
    }


def _window(timed: bool) -> dict[str, Any]:
    return {
        "name": _said("leads never seen", "des leads jamais vus"),
        "from": "2026-01-05T00:00:00Z" if timed else None,
        "to": "2026-03-16T00:00:00Z" if timed else None,
        "leads": LEADS,
        "conversions": WON,
        "weeks": WEEKS if timed else None,
    }


def _mark(
    kind: str, rung: int, label: Said, *, promise: Said | None = None, counts: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "policy": "capacity" if kind == "policy" else None,
        "in_force": kind == "policy",
        "level": list(RUNGS)[rung],
        "rung": rung,
        "label": label,
        "asked": _said("As asked for.", "Comme demandé."),
        "met": True,
        "outcome": _said("It came so.", "Ce fut ainsi."),
        "promise": promise,
        "counts": counts,
    }


def _said(en: str, fr: str) -> Said:
    return {"en": en, "fr": fr}
