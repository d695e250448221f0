"""The answer: who is an MQL today, what the open leads will bring, and what the same effort brought before.

What `found` returns (a `Said` is ``{"en": ..., "fr": ...}``; a `sum` is {value, low, high, confidence})::

    open, mqls, sales_ready   numbers of leads
    nobody         Said or None: why nobody is an MQL
    forecast       {"open": part, "mql": part}; part: leads, customers (sum), revenue (sum with
                   `rounded`, or None)
    share          of the MQLs that will convert: sum, value None without an MQL
    text           Said: the answer in one paragraph
    effort         what the same number of calls brought, or None:
      against      "points", "first_come" or "chance"; `against_words` Said
      since        "backtest" or "window"
      calls, customers, customers_against
      more         {value, low, high}; low and high may be None
      fewer_calls  {value, low, high} for as many customers, or None
      policies     [{policy, label (Said), customers}], the model first
      words        Said
    no_effort      Said or None: why there is no comparison, and how to get one
    bands          [{band, label (Said), what (Said), leads, share (expected to convert, or None), customers,
                   shown (customers in tenths, which add up)}]
    amounts        {deals, mean, by: [label (Said)], words (Said)} or None; by: what amounts depend on
    no_amounts     Said or None: how to get the revenue
    doubt          {periods, spread, fate, announced, words (Said)}: conversions observed by those announced,
                   period by period; the sum of the propensities, before what the past says of older leads
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.language import Noun, Speaker, Text, in_every_language
from features.past import attribute_column
from models.amounts import Amounts
from models.forecast import LEVEL, Forecast, Outlook, Period, forecast
from pipeline.deals import amounts_before, segments_of
from pipeline.report.effort import effort_of
from pipeline.report.material import Material, Seen
from pipeline.report.policies import lasting, outcome

LEADS = Noun(Text("lead", "lead"), Text("leads", "leads"))
BAND_WORDS = {
    "mql": (Text("MQL", "MQL"), Text("for sales, now", "pour les commerciaux, maintenant")),
    "nurture": (
        Text("Nurture", "À entretenir"),
        Text("content and patience", "du contenu et de la patience"),
    ),
    "let_go": (Text("Let go", "À laisser"), Text("no effort", "aucun effort")),
}
NO_AMOUNTS = Text(
    "Revenue is not shown, because no won deal has an amount. Name the column under [outcomes] as amount = "
    '"..." and it will be.',
    "Le chiffre d’affaires n’est pas affiché, car aucune affaire gagnée n’a de montant. Indiquez la colonne "
    'sous [outcomes] avec amount = "..." et il le sera.',
)
NO_PAST = Text(
    "No past period tells yet how far announced and real numbers lie apart: the intervals assume that a "
    "third more or fewer is nothing unusual.",
    "Aucune période passée ne dit encore de combien l’annonce et le réel diffèrent : les intervalles "
    "supposent qu’un tiers de plus ou de moins n’a rien d’inhabituel.",
)
PAST = Text(
    "The intervals hold chance{deals} and how far the model was off before: in {n} past periods, conversions "
    "were {low} to {high} of those announced.",
    "Les intervalles tiennent compte du hasard{deals} et des écarts passés du modèle : sur {n} périodes, les "
    "conversions ont représenté {low} à {high} de celles annoncées.",
)
DEALS = Text(", what deals may bring,", ", du montant des affaires")
FEWER = Text(
    "The propensities add up to {before} customers; {after} are expected, because leads that had been open "
    "for long converted less often in the past than their propensity said.",
    "La somme des propensions donne {before} clients ; {after} sont attendus, car les leads ouverts depuis "
    "longtemps se sont convertis moins souvent par le passé que ne le disait leur propension.",
)
MORE = Text(
    "The propensities add up to {before} customers; {after} are expected, because open leads converted more "
    "often in the past than their propensity said.",
    "La somme des propensions donne {before} clients ; {after} sont attendus, car les leads ouverts se sont "
    "convertis plus souvent par le passé que ne le disait leur propension.",
)
# Expected customers are written with a tenth below so many.
FEW = 20
# What stands for an attribute in the amounts, where it is no attribute.
EMAIL = Text("e-mail address", "adresse e-mail")


def found(material: Material) -> dict[str, Any]:
    """Return the answer."""
    cutoff = material.account["cutoffs"][0]
    outlook = outlook_of(material)
    rows = material.open.rows.assign(
        propensity=outlook.ageing.applied(material.open.rows["propensity"], ages(material, material.open))
    )
    amounts = amounts_before(material.dataset, pd.Timestamp(material.as_of))
    parts = {"open": np.ones(len(rows), dtype=bool), "mql": (rows["band"] == "mql").to_numpy()}
    expected = forecast(
        rows, parts, outlook.spread, fate=outlook.fate, amounts=amounts,
        segments=_segments(material, amounts), seed=material.config.model.seed,
    )  # fmt: skip
    effort, no_effort = effort_of(material)
    return {
        "open": len(rows),
        "mqls": int(parts["mql"].sum()),
        "sales_ready": int(rows["sales_ready"].sum()),
        "nobody": outcome(cutoff) if cutoff["level"] is None else None,
        "forecast": {name: _part(part) for name, part in expected.items()},
        "share": _share(expected["mql"]),
        "text": in_every_language(lambda speaker: _answer(material, expected, speaker)),
        "effort": effort,
        "no_effort": no_effort,
        "bands": _bands(rows),
        "amounts": _amounts(amounts, material) if amounts else None,
        "no_amounts": None if amounts else NO_AMOUNTS.to_dict(),
        "doubt": _doubt(outlook, material.open.rows, rows, deals=amounts is not None),
    }


def outlook_of(material: Material) -> Outlook:
    """Return what the windows that the model was not trained on say of a forecast.

    How far announced and observed were apart is told by the folds of a backtest, if there is one: they are
    more than the windows.
    """
    past = material.window("decision", "test")
    folds = material.backtest["folds"] if material.backtest is not None else []
    horizon = pd.Timedelta(material.config.snapshots.horizon)
    folds = [f for f in folds if not f.get("until") or _naive(f["until"]) + horizon <= material.as_of]
    seen = past.rows.assign(age=ages(material, past))
    return Outlook.learned(seen, "part", [_of_fold(fold["calibration"]) for fold in folds])


def ages(material: Material, seen: Seen) -> pd.Series:
    """Return how long ago each lead was created, in horizons; 0 without times."""
    moments = seen.rows["as_of"]
    if material.account["horizon"] is None or moments.isna().any():
        return pd.Series(0.0, index=seen.rows.index)
    passed = pd.to_datetime(moments) - pd.to_datetime(seen.rows["created_at"])
    return (passed / pd.Timedelta(material.config.snapshots.horizon)).fillna(0.0)


def _naive(stamp: str) -> pd.Timestamp:
    return pd.Timestamp(stamp).tz_localize(None)


def _of_fold(calibration: dict[str, Any]) -> Period:
    """Return a fold of the backtest: its range is 1.645 standard deviations to each side."""
    expected = calibration["expected"]
    deviation = (calibration["high"] - expected) / 1.645
    return Period(expected, deviation**2, calibration["observed"])


def _segments(material: Material, amounts: Amounts | None) -> pd.DataFrame | None:
    if amounts is None:
        return None
    rows = material.open.rows
    seen = pd.DataFrame({"lead_id": rows["person"], "as_of": material.as_of}, index=rows.index)
    return segments_of(material.dataset, seen)


def _part(part: Forecast) -> dict[str, Any]:
    """Return a part's forecast; revenue also as people say it, with two significant digits."""
    said = part.to_dict()
    if part.revenue is not None:
        said["revenue"]["rounded"] = {
            name: rounded(getattr(part.revenue, name)) for name in ("value", "low", "high")
        }
    return said


def _share(mql: Forecast) -> dict[str, float | None]:
    """Return the share of the MQLs that will convert."""
    if not mql.leads:
        return {"value": None, "low": None, "high": None, "confidence": LEVEL}
    return {name: getattr(mql.customers, name) / mql.leads for name in ("value", "low", "high")} | {
        "confidence": LEVEL
    }


def _bands(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the bands; in tenths, as they are `shown`, they add up to all that is expected."""
    bands = [_band(name, rows) for name in BAND_WORDS]
    exact = np.array([10 * band["customers"] for band in bands])
    tenths = np.floor(exact)
    missing = round(exact.sum()) - int(tenths.sum())
    tenths[np.argsort(tenths - exact, kind="stable")[:missing]] += 1
    return [{**band, "shown": float(n) / 10} for band, n in zip(bands, tenths, strict=True)]


def _band(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    chosen = rows.loc[rows["band"] == name, "propensity"]
    label, what = BAND_WORDS[name]
    return {
        "band": name,
        "label": label.to_dict(),
        "what": what.to_dict(),
        "leads": len(chosen),
        "share": float(chosen.mean()) if len(chosen) else None,
        "customers": float(chosen.sum()),
    }


def _amounts(amounts: Amounts, material: Material) -> dict[str, Any]:
    labels = [
        EMAIL.to_dict() if name == "email_class" else material.label(attribute_column(name))
        for name in amounts.effects
    ]
    currency = material.config.project.currency

    def tell(speaker: Speaker) -> str:
        by = Text("; they depend on {what}", " ; ils dépendent de : {what}")
        return speaker.say(
            Text(
                "Amounts are learned from {n} won deals, {mean} on average{by}. A lead unlike any of them is "
                "expected to bring the average.",
                "Les montants sont appris de {n} affaires gagnées, {mean} en moyenne{by}. D’un lead qui ne "
                "ressemble à aucune, on attend la moyenne.",
            ),
            n=speaker.number(amounts.deals),
            mean=speaker.money(rounded(amounts.mean), currency),
            by=speaker.say(by, what=speaker.listed(map(speaker.pick, labels))) if labels else "",
        )

    return {"deals": amounts.deals, "mean": amounts.mean, "by": labels, "words": in_every_language(tell)}


def _answer(material: Material, expected: dict[str, Forecast], speaker: Speaker) -> str:
    """Say the answer in one paragraph."""
    whole, mql = expected["open"], expected["mql"]
    told = [_now(material, whole, mql, speaker)]
    if mql.leads:
        told.append(_of_the_mqls(mql, material, speaker))
    if whole.leads:
        told.append(_of_all(whole, material, speaker))
    return " ".join(told)


def _now(material: Material, whole: Forecast, mql: Forecast, speaker: Speaker) -> str:
    sentence = Text(
        "On {day}, {leads} are open, and {mqls} of them are MQLs.",
        "Au {day}, {leads} sont ouverts, dont {mqls} MQL.",
    )
    if whole.leads == 1:
        sentence = Text(
            "On {day}, {leads} is open, and {mqls} of them are MQLs.",
            "Au {day}, {leads} est ouvert, dont {mqls} MQL.",
        )
    return speaker.say(
        sentence,
        day=speaker.day(material.as_of),
        leads=speaker.counted(whole.leads, LEADS),
        mqls=speaker.number(mql.leads) if mql.leads else speaker.say(Text("none", "aucun")),
    )


def _of_the_mqls(mql: Forecast, material: Material, speaker: Speaker) -> str:
    horizon = lasting(speaker, material.account["horizon"])
    return speaker.say(
        Text(
            "Of these, about {n} ({share}) should convert{within}; in nine cases of ten it will be "
            "{interval}.",
            "Parmi eux, environ {n} ({share}) devraient se convertir{within} ; neuf fois sur dix, ce sera "
            "{interval}.",
        ),
        n=people(mql.customers.value, speaker),
        share=speaker.percent(mql.customers.value / mql.leads),
        within=speaker.say(Text(" within {time}", " sous {time}"), time=horizon) if horizon else "",
        interval=_between(mql.customers.low, mql.customers.high, speaker),
    )


def _of_all(whole: Forecast, material: Material, speaker: Speaker) -> str:
    customers = speaker.say(
        Text("{n} customers ({low} to {high})", "{n} clients ({low} à {high})"),
        n=people(whole.customers.value, speaker),
        low=speaker.number(whole.customers.low),
        high=speaker.number(whole.customers.high),
    )
    if whole.revenue is None:
        return speaker.say(
            Text(
                "All open leads together should bring about {customers}.",
                "Tous les leads ouverts réunis devraient apporter environ {customers}.",
            ),
            customers=customers,
        )
    value, low, high = (
        speaker.money(rounded(amount), material.config.project.currency)
        for amount in (whole.revenue.value, whole.revenue.low, whole.revenue.high)
    )
    return speaker.say(
        Text(
            "All open leads together should bring about {customers} and revenue of about {value} ({low} to "
            "{high}).",
            "Tous les leads ouverts réunis devraient apporter environ {customers} et un chiffre d’affaires "
            "d’environ {value} ({low} à {high}).",
        ),
        customers=customers, value=value, low=low, high=high,
    )  # fmt: skip


def _between(low: float, high: float, speaker: Speaker) -> str:
    return speaker.say(
        Text("between {low} and {high}", "entre {low} et {high}"),
        low=speaker.number(low),
        high=speaker.number(high),
    )


def people(expected: float, speaker: Speaker) -> str:
    """Write how many are expected: with a tenth where they are few, so that shares of them add up."""
    return speaker.number(expected, 1 if expected < FEW else 0)


def rounded(amount: float) -> float:
    """Return an amount with two significant digits: more would pretend to know it."""
    return float(f"{amount:.2g}")


def _doubt(outlook: Outlook, said: pd.DataFrame, used: pd.DataFrame, *, deals: bool) -> dict[str, Any]:
    """Return how far the past was from what was announced, and what the forecast makes of it.

    `deals` is whether amounts of deals are known, and so revenue is told.
    """
    before, after = float(said["propensity"].sum()), float(used["propensity"].sum())
    apart = outlook.apart

    def tell(speaker: Speaker) -> str:
        told = [speaker.say(NO_PAST)]
        if apart:
            told = [
                speaker.say(
                    PAST,
                    n=speaker.number(len(apart)),
                    low=speaker.percent(min(apart)),
                    high=speaker.percent(max(apart)),
                    deals=speaker.say(DEALS) if deals else "",
                )
            ]
        if before and abs(after / before - 1) >= 0.05:
            values = {"before": people(before, speaker), "after": people(after, speaker)}
            told.append(speaker.say(FEWER if after < before else MORE, **values))
        return " ".join(told)

    return {
        "periods": list(apart),
        "spread": outlook.spread.typical,
        "fate": outlook.fate,
        "announced": before,
        "words": in_every_language(tell),
    }
