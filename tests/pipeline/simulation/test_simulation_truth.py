"""The known truth: against re-simulated futures, against what happened, and from the exported files alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from features.errors import ConfigurationError, DataError
from pipeline.simulation.rhythm import Rhythms
from pipeline.simulation.truth import win_probability
from pipeline.simulation.world import World, read_world

Table = Callable[[str], pd.DataFrame]
END = pd.Timestamp("2026-06-30", tz="UTC")


# ---------------------------------------------------------------- a second implementation, hour by hour


def effect(world: World, effects: dict, lead: pd.Series) -> float:
    """exp of the sum of the effects of a lead's recorded attributes."""
    domain = "" if pd.isna(lead.email) else lead.email.split("@")[1].lower()
    traits = {
        "industry": lead.industry,
        "company_size": lead.company_size,
        "seniority": world.titles.get(lead.job_title),
        "email_class": world.domains.get(domain, "corporate") if domain else "missing",
        "source": lead.source,
    }
    total = sum(levels.get(traits[column], 0.0) for column, levels in effects.items())
    if effects is world.fit_effects:
        for a, x, b, y, more in world.interactions:
            total += more * (traits[a] == x and traits[b] == y)
    return float(np.exp(total))


def futures(
    world: World, lead: pd.Series, past: pd.DataFrame, as_of: pd.Timestamp, days: int, paths: int
) -> np.ndarray:
    """The chance of a win along each of `paths` drawn futures, in steps of an hour; (paths,).

    Activities, webinars and unsubscribing are drawn; win and exit are added up as chances along each
    future, which makes their mean exact with fewer futures.
    """
    rng, rhythms = np.random.default_rng(int(str(lead.name)[1:])), Rhythms.of(world)
    fit = effect(world, world.fit_effects, lead)
    level = effect(world, world.activity_effects, lead)
    asking = effect(world, world.asking_effects, lead)
    leaving = effect(world, world.exit_effects, lead)
    ages = (as_of - past.occurred_at).dt.total_seconds() / 86400
    intent = np.full(
        paths, (past.kind.map(world.strengths).fillna(0.0) * np.exp(-ages / world.memory_days)).sum()
    )
    gone = np.full(paths, bool((past.kind == "unsubscribed").any()))
    webinar = pd.Timestamp(world.first_webinar)
    while webinar < as_of:
        webinar += pd.Timedelta(days=world.webinar_every_days)
    since = webinar - pd.Timedelta(days=world.webinar_every_days)
    registered = np.full(
        paths, int(((past.kind == "webinar_registered") & (past.occurred_at >= since)).sum())
    )
    alive, won = np.ones(paths), np.zeros(paths)
    age, dt = (as_of - lead.created_at).total_seconds() / 86400, 1 / 24
    for hour in range(days * 24):
        now = as_of + pd.Timedelta(hours=hour)
        if now == webinar:
            intent += world.attended_strength * rng.binomial(registered, world.attend_probability)
            registered = np.zeros(paths, dtype=int)
            webinar += pd.Timedelta(days=world.webinar_every_days)
        nth = int((now - pd.Timestamp(world.started)).total_seconds() // 3600)
        office, people = rhythms.office.rates[nth], rhythms.people.rates[nth]
        middle = age + dt / 2
        base = world.baseline * np.exp(-middle / world.baseline_days)
        win = fit * office * (base + intent * np.exp(-dt / 2 / world.memory_days)) * dt
        rise = np.exp(-middle / world.exit_late_days) - np.exp(-middle / world.exit_early_days)
        exit_ = leaving * office * world.exit_rate * rise * np.where(gone, world.unsubscribed_exit, 1.0) * dt
        either = np.maximum(win + exit_, 1e-300)
        won += alive * -np.expm1(-either) * win / either
        alive *= np.exp(-either)
        intent *= np.exp(-dt / world.memory_days)
        busy = (
            people
            * (world.activity_floor + (1 - world.activity_floor) * np.exp(-middle / world.activity_days))
            * dt
        )
        for kind in world.kinds:
            if kind.rate and (kind.strength or kind.name == "webinar_registered"):
                rate = level * (asking if kind.asks else 1.0) * kind.rate * busy
                hit = rng.integers(0, paths, rng.poisson(rate * paths))  # all futures' arrivals at once
                np.add.at(intent, hit, kind.strength)
                if kind.name == "webinar_registered":
                    np.add.at(registered, hit, 1)
        gone |= rng.random(paths) < -np.expm1(-world.unsubscribe_rate * busy)
        age += dt
    return won


def interesting_keys(table: Table) -> pd.DataFrame:
    """Keys at full hours: likely and middling ones, one with a webinar to come, one unsubscribed, fresh ones.

    The fresh ones have done next to nothing yet, so that all of their chance lies in activities to come.
    """
    truth = table("truth/truth.parquet")
    truth = truth[(truth.horizon_days == 30) & (truth.as_of.dt.hour == 0) & (truth.as_of.dt.second == 0)]
    marketing = table("marketing.parquet")
    recent = truth.merge(marketing[marketing.kind == "webinar_registered"], on="lead_id")
    wait = recent.as_of - recent.occurred_at
    pending = recent[(wait > pd.Timedelta(0)) & (wait < pd.Timedelta(days=3))].nlargest(1, "probability")
    left = truth.merge(marketing[marketing.kind == "unsubscribed"], on="lead_id")
    left = left[left.occurred_at < left.as_of].nlargest(1, "probability")
    likely = truth.sort_values("probability").iloc[[-1, -20]]
    middling = truth.iloc[[(truth.probability - 0.1).abs().argmin()]]
    leads = table("leads.csv")
    level = leads.job_title.map(World().titles)
    good = leads.source.isin(["referral", "website"]) & leads.industry.isin(["Software", "Manufacturing"])
    fresh = pd.concat([leads[good & (level == name)].head(1) for name in ("executive", "leader", "staff")])
    fresh = fresh.assign(as_of=fresh.created_at.dt.ceil("h"))
    chosen = [likely, pending, left, middling, fresh]
    return pd.concat([rows[["lead_id", "as_of"]] for rows in chosen], ignore_index=True)


def test_the_truth_is_the_mean_over_futures_drawn_hour_by_hour(crm: Path, table: Table) -> None:
    world, leads = read_world(crm), table("leads.csv").set_index("lead_id")
    log = pd.concat([table("web.parquet"), table("marketing.parquet")])
    keys = interesting_keys(table)
    claimed = win_probability(crm, keys, timedelta(days=45))
    assert len(keys) == 8
    assert not np.isnan(claimed).any()
    for (name, as_of), probability in zip(keys.itertuples(index=False), claimed, strict=True):
        past = log[(log.lead_id == name) & (log.occurred_at < as_of)]
        won = futures(world, leads.loc[name], past, as_of, days=45, paths=16_000)
        error = won.std() / np.sqrt(len(won))
        # 4 standard errors, and a thousandth of the probability for the hour's step
        assert abs(won.mean() - probability) < 4 * error + 1e-3 * probability, (name, as_of, won.mean())


# ------------------------------------------------------------------------------ what really happened


def realised(table: Table, horizon: int) -> pd.DataFrame:
    """All matured snapshots of the grid with truth and label, and whether sales had not begun."""
    truth = table("truth/truth.parquet")
    end = truth.as_of + pd.to_timedelta(truth.horizon_days, unit="D")
    rows = truth[(truth.horizon_days == horizon) & (end <= END)]
    rows = rows.merge(table("outcomes.csv"), on="lead_id", how="left")
    until = rows.as_of + pd.Timedelta(days=horizon)
    began = table("sales.csv").groupby("lead_id").occurred_at.min().rename("began")
    rows = rows.join(began, on="lead_id")
    return rows.assign(
        won=((rows.outcome == "won") & (rows.closed_at <= until)).astype(int),
        untouched=~(rows.began < rows.as_of),
    )


def z(rows: pd.DataFrame) -> float:
    """How many standard errors truth and outcome are apart, snapshots of one lead taken together."""
    by_lead = (rows.won - rows.probability).groupby(rows.lead_id).sum()
    return float(by_lead.sum() / np.sqrt((by_lead**2).sum()))


@pytest.mark.parametrize("horizon", [30, 90])
@pytest.mark.parametrize("before_sales", [False, True])
def test_what_happened_agrees_with_the_truth_overall_and_by_fifth(
    table: Table, horizon: int, before_sales: bool
) -> None:
    rows = realised(table, horizon)
    rows = rows[rows.untouched] if before_sales else rows
    assert len(rows) > 10_000
    assert abs(z(rows)) < 4
    for _, fifth in rows.groupby(pd.qcut(rows.probability, 5), observed=True):
        assert abs(z(fifth)) < 4


def test_the_agreement_would_be_missed_if_the_truth_were_three_tenths_off(table: Table) -> None:
    # The test above is worth something only if it sees an error of the size of a bad model's.
    rows = realised(table, 30)
    assert abs(z(rows.assign(probability=rows.probability * 1.3))) > 4


def test_the_truth_tells_leads_apart_but_not_perfectly(table: Table) -> None:
    rows = realised(table, 30)
    assert 0.77 < roc_auc_score(rows.won, rows.probability) < 0.87


# ------------------------------------------------------------------------- from the exported files


def test_the_exported_grid_is_what_the_function_returns(crm: Path, table: Table) -> None:
    truth = table("truth/truth.parquet")
    for horizon, rows in truth.groupby("horizon_days"):
        rows = rows.sample(500, random_state=1)
        found = win_probability(crm, rows, timedelta(days=int(horizon)))
        np.testing.assert_allclose(found, rows.probability, rtol=1e-9, atol=1e-12)


def test_the_truth_sees_neither_the_future_nor_anything_unrecorded(
    crm: Path, table: Table, tmp_path: Path
) -> None:
    as_of = pd.Timestamp("2026-03-02 10:00", tz="UTC")
    leads = table("leads.csv").merge(table("outcomes.csv"), on="lead_id", how="left")
    is_open = (leads.created_at < as_of) & ~(leads.closed_at <= as_of)
    keys = pd.DataFrame({"lead_id": leads.lead_id[is_open], "as_of": as_of})
    before = win_probability(crm, keys, timedelta(days=30))

    bare = tmp_path / "bare"
    (bare / "truth").mkdir(parents=True)
    shutil.copy(crm / "truth" / "world.json", bare / "truth" / "world.json")
    columns = ["lead_id", "created_at", "email", "industry", "company_size", "job_title", "source"]
    pd.read_csv(crm / "leads.csv")[columns].to_csv(bare / "leads.csv", index=False)
    outcomes = table("outcomes.csv")
    outcomes[outcomes.closed_at <= as_of].to_csv(bare / "outcomes.csv", index=False)
    for name in ("web.parquet", "marketing.parquet"):
        log = table(name)
        log[log.occurred_at < as_of].to_parquet(bare / name)
    np.testing.assert_array_equal(win_probability(bare, keys, timedelta(days=30)), before)


def test_a_longer_horizon_never_has_a_smaller_chance(crm: Path, table: Table) -> None:
    keys = table("truth/truth.parquet").sample(300, random_state=2)
    chances = [win_probability(crm, keys, timedelta(days=days)) for days in (1, 7, 30, 90, 180, 365)]
    assert (np.diff(chances, axis=0) > -1e-6).all()


def test_no_truth_before_creation_or_after_closing(crm: Path, table: Table) -> None:
    won = table("outcomes.csv").query("outcome == 'won'").iloc[[0]]
    created = table("leads.csv").set_index("lead_id").created_at[won.lead_id.iloc[0]]
    moments = [created, created + pd.Timedelta(seconds=1), won.closed_at.iloc[0]]
    keys = pd.DataFrame({"lead_id": won.lead_id.iloc[0], "as_of": moments})
    found = win_probability(crm, keys, timedelta(days=30))
    assert np.isnan(found).tolist() == [True, False, True]


def test_impossible_questions_are_refused(crm: Path, tmp_path: Path) -> None:
    keys = pd.DataFrame({"lead_id": ["L0000001"], "as_of": [pd.Timestamp("2025-01-01")]})
    with pytest.raises(ConfigurationError, match="horizon"):
        win_probability(crm, keys, timedelta(days=400))
    with pytest.raises(ConfigurationError, match="end of the simulated log"):
        win_probability(crm, keys.assign(as_of=pd.Timestamp("2026-07-01")), timedelta(days=30))
    with pytest.raises(DataError, match="1 leads are not in the simulated CRM"):
        win_probability(crm, keys.assign(lead_id="L9999999"), timedelta(days=30))
    with pytest.raises(DataError, match="no known truth"):
        win_probability(tmp_path, keys, timedelta(days=30))
