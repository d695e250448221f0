"""The tables of the simulated CRM: believable, consistent, and with the flaws that they promise."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pipeline.simulation.world import KIND_NAMES, World, read_world

Table = Callable[[str], pd.DataFrame]
START, END = pd.Timestamp("2024-07-01", tz="UTC"), pd.Timestamp("2026-06-30", tz="UTC")
LOGS = ("web.parquet", "marketing.parquet", "sales.csv")


@pytest.fixture(scope="module")
def log(table: Table) -> pd.DataFrame:
    """All activities, with creation and closing of their lead."""
    rows = pd.concat([table(name) for name in LOGS])
    rows = rows.merge(table("leads.csv")[["lead_id", "created_at"]], on="lead_id", how="left")
    return rows.merge(table("outcomes.csv")[["lead_id", "closed_at"]], on="lead_id", how="left")


# ------------------------------------------------------------------------------------ consistent


def test_ids_are_unique_and_known(table: Table) -> None:
    leads, accounts = table("leads.csv"), table("accounts.csv")
    assert len(leads) == 6_000 == leads.lead_id.nunique()
    assert set(leads.account_id.dropna()) == set(accounts.account_id)
    for name in (*LOGS, "outcomes.csv", "stages.csv", "history.csv", "truth/hygiene.parquet"):
        assert table(name).lead_id.isin(leads.lead_id).all(), name
    assert table("outcomes.csv").lead_id.is_unique
    assert leads.created_at.is_monotonic_increasing


def test_nothing_happens_before_creation_after_closing_or_after_the_end(log: pd.DataFrame) -> None:
    assert (log.occurred_at >= log.created_at).all()
    assert (log.occurred_at < END).all()
    closed = log[log.closed_at.notna()]
    assert (closed.occurred_at < closed.closed_at).all()


def test_every_kind_of_activity_occurs(log: pd.DataFrame) -> None:
    assert set(log.kind) == set(KIND_NAMES)


def test_times_in_csv_are_iso_in_utc_with_offset(crm: Path) -> None:
    texts = pd.read_csv(crm / "leads.csv").created_at
    assert texts.map(lambda text: bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", text))).all()


def test_every_mail_goes_only_to_those_who_have_not_unsubscribed(table: Table) -> None:
    rows = table("marketing.parquet")
    gone = rows[rows.kind == "unsubscribed"].set_index("lead_id").occurred_at
    sent = rows[rows.kind == "email_sent"].join(gone.rename("gone"), on="lead_id")
    assert len(gone) > 100
    assert not (sent.occurred_at >= sent.gone).any()


def test_who_attends_a_webinar_has_registered_for_it(table: Table) -> None:
    rows = table("marketing.parquet")
    registered = rows[rows.kind == "webinar_registered"].groupby("lead_id").occurred_at.min().rename("first")
    attended = rows[rows.kind == "webinar_attended"].join(registered, on="lead_id")
    assert (attended["first"] < attended.occurred_at).all()


def test_a_visit_is_repeated_when_it_is_the_third_within_a_week(table: Table) -> None:
    rows = table("web.parquet")
    visits = rows[rows.kind.isin(["visit", "repeated_visit"])].sort_values(["lead_id", "occurred_at"])
    second_last = visits.groupby("lead_id").occurred_at.shift(2)
    third = (visits.occurred_at - second_last) <= pd.Timedelta(days=7)
    assert ((visits.kind == "repeated_visit") == third).all()


def test_history_starts_at_creation_ends_with_today_and_keeps_the_seniority(crm: Path, table: Table) -> None:
    history, leads = table("history.csv").sort_values("known_at", kind="stable"), table("leads.csv")
    by_lead = history.groupby("lead_id")
    created = leads.set_index("lead_id").created_at
    assert (by_lead.known_at.first() == created.reindex(by_lead.known_at.first().index)).all()
    newest = history.drop_duplicates("lead_id", keep="last").set_index("lead_id").sort_index()
    today = leads.set_index("lead_id").sort_index()
    pd.testing.assert_series_equal(newest.job_title, today.job_title)
    pd.testing.assert_series_equal(newest.country, today.country)
    level = history.job_title.map(read_world(crm).titles).fillna("")
    assert (level.groupby(history.lead_id).nunique() == 1).all()
    assert 0.02 < (by_lead.size() > 1).mean() < 0.06


# ------------------------------------------------------------------------------------- believable


def test_about_one_lead_in_eight_is_won_some_stay_open_for_good(table: Table) -> None:
    leads = table("leads.csv").merge(table("outcomes.csv"), on="lead_id", how="left")
    assert 0.08 < (leads.outcome == "won").mean() < 0.15
    won = leads[leads.outcome == "won"]
    assert 15 < (won.closed_at - won.created_at).dt.days.median() < 40
    old = leads[leads.created_at < END - pd.Timedelta(days=180)]
    assert 0.05 < old.outcome.isna().mean() < 0.3


def test_the_company_grows_and_rests_at_christmas(table: Table) -> None:
    # 12 days around Christmas make 3.3 % of the year
    created = table("leads.csv").created_at
    assert (created >= START + (END - START) / 2).mean() > 0.53
    day = created.dt.month * 100 + created.dt.day
    assert ((day >= 1221) | (day <= 101)).mean() < 0.6 * 12 / 365


def test_accounts_have_several_people(table: Table) -> None:
    sizes = table("leads.csv").groupby("account_id").size()
    assert sizes.max() >= 6
    assert (sizes > 1).mean() > 0.2


def test_contract_and_amount_are_filled_exactly_for_the_won(table: Table) -> None:
    rows = table("leads.csv").merge(table("outcomes.csv"), on="lead_id", how="left")
    won = rows.outcome == "won"
    assert (rows.contract_type.notna() == won).all()
    assert (rows.amount.notna() == won).all()
    assert (rows.reason.notna() == (rows.outcome.isin(["lost", "disqualified"]))).all()


def test_sales_calls_at_work_and_first_whoever_asked(table: Table, log: pd.DataFrame) -> None:
    local = log[log.kind.isin(["call", "meeting"])].occurred_at.dt.tz_convert("Europe/Paris")
    assert local.dt.hour.between(9, 17).all()
    assert (local.dt.day_of_week < 5).all()
    asked = log[log.kind.isin(["demo_requested", "quote_requested"])].lead_id.unique()
    called = table("sales.csv").lead_id.unique()
    assert np.isin(asked, called).mean() > 0.75


def test_the_stages_follow_each_other(table: Table) -> None:
    stages = table("stages.csv")
    first = stages.groupby("lead_id").head(1)
    assert (first.stage == "lead").all()
    assert set(stages.stage) == {"lead", "MQL", "SQL", "opportunity", "customer"}
    customers = set(stages[stages.stage == "customer"].lead_id)
    outcomes = table("outcomes.csv")
    assert customers == set(outcomes[outcomes.outcome == "won"].lead_id)


def test_the_old_score_is_better_than_chance_and_clearly_worse_than_the_truth(
    crm: Path, table: Table, log: pd.DataFrame
) -> None:
    truth = table("truth/truth.parquet")
    age = table("leads.csv").set_index("lead_id").created_at
    rows = truth[(truth.horizon_days == 30) & (truth.as_of <= END - pd.Timedelta(days=30))]
    rows = rows[rows.as_of - rows.lead_id.map(age) == pd.Timedelta(days=7)].reset_index(drop=True)
    outcomes = table("outcomes.csv").set_index("lead_id")
    closed = rows.lead_id.map(outcomes.closed_at)
    won = (rows.lead_id.map(outcomes.outcome) == "won") & (closed <= rows.as_of + pd.Timedelta(days=30))
    points = log.assign(points=log.kind.map(read_world(crm).points).fillna(0))
    seen = rows.merge(points[["lead_id", "occurred_at", "points"]], on="lead_id")
    seen = seen[seen.occurred_at < seen.as_of].groupby("lead_id").points.sum()
    old = roc_auc_score(won, rows.lead_id.map(seen).fillna(0))
    assert 0.53 < old < roc_auc_score(won, rows.probability) - 0.1


# ------------------------------------------------------------------------------------------ flawed


def flawed(table: Table, flaw: str) -> pd.DataFrame:
    rows = table("truth/hygiene.parquet")
    return rows[rows.flaw == flaw].merge(table("leads.csv"), on="lead_id")


def test_each_flaw_is_rare_and_marked(table: Table) -> None:
    shares = table("truth/hygiene.parquet").flaw.value_counts() / 6_000
    assert set(shares.index) == {"duplicate", "test", "spam", "bot"}
    assert shares.between(0.004, 0.035).all()


def test_a_duplicate_is_the_same_person_spelled_otherwise(table: Table) -> None:
    rows = flawed(table, "duplicate")
    rows = rows.merge(table("leads.csv"), left_on="survivor_id", right_on="lead_id", suffixes=("", "_0"))
    for column in ("first_name", "last_name", "industry", "company_size"):
        assert (rows[column].fillna("") == rows[f"{column}_0"].fillna("")).all()
    assert (rows.created_at >= rows.created_at_0).all()
    assert (rows.email != rows.email_0).all()
    domains = [rows[name].str.partition("@")[2].str.lower() for name in ("email", "email_0")]
    assert (domains[0] == domains[1]).all()


def test_no_two_others_share_an_address(table: Table) -> None:
    leads = table("leads.csv")
    others = leads[~leads.lead_id.isin(flawed(table, "duplicate").lead_id)]
    assert others.email.dropna().str.lower().is_unique


def test_test_leads_are_never_won_and_their_truth_says_so(table: Table) -> None:
    rows = flawed(table, "test").merge(table("outcomes.csv"), on="lead_id", how="left")
    assert not (rows.outcome == "won").any()
    assert rows.email.dropna().str.endswith("@propense-test.example").all()
    truth = table("truth/truth.parquet")
    assert truth[truth.lead_id.isin(rows.lead_id)].probability.max() < 1e-9


def test_bots_click_every_link_within_seconds_of_sending(table: Table) -> None:
    rows = table("marketing.parquet")
    rows = rows[rows.lead_id.isin(flawed(table, "bot").lead_id)]
    sent = rows[rows.kind == "email_sent"].set_index(["lead_id", "asset"]).occurred_at
    clicks = rows[rows.kind == "email_clicked"].join(sent.rename("sent"), on=["lead_id", "asset"])
    assert len(clicks) > 100
    assert (clicks.occurred_at - clicks.sent).dt.total_seconds().max() < 10


def test_the_pricing_page_says_more_of_a_win_than_the_newsletter_whatever_the_points_say(
    table: Table,
) -> None:
    # The old score gives the newsletter 5 points and the pricing page 1.
    truth = table("truth/truth.parquet")
    late = truth[(truth.horizon_days == 30)].sort_values("as_of").groupby("lead_id").tail(1)
    done = pd.concat([table("web.parquet"), table("marketing.parquet")])
    done = done.merge(late, on="lead_id")
    done = done[(done.occurred_at < done.as_of) & (done.occurred_at > done.as_of - pd.Timedelta(days=14))]

    def lift(kind: str) -> float:
        did = late.lead_id.isin(done[done.kind == kind].lead_id)
        return late[did].probability.mean() / late[~did].probability.mean()

    assert lift("pricing_page") > 1.15 * lift("newsletter_subscribed")


def test_the_dictionary_gives_the_strength_and_points_of_every_kind() -> None:
    text = (Path(__file__).parents[3] / "data" / "README.md").read_text(encoding="utf-8")
    told = {}
    for line in re.findall(r"^\|.*`.*\|$", text, flags=re.MULTILINE):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for names, strength, points in (cells[:3], cells[4:7]) if len(cells) == 7 else ():
            for name in re.findall(r"`(\w+)`", names):
                told[name] = (strength.split()[0], points)
    for kind in World().kinds:
        strength, points = told[kind.name]
        assert (float(strength), int(points)) == (kind.strength, kind.points), kind.name
