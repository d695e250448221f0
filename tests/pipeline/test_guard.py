"""What the leak guard excludes, what it suspects, and what it must not accuse."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from project import company, read, write_config, write_project

from features.errors import ConfigurationError
from pipeline.config import Guard, Overrule
from pipeline.guard.judge import judge, without
from pipeline.guard.material import gather
from pipeline.guard.timing import kinds_with_the_outcome
from pipeline.guard.verdicts import PROOFS, Evidence, Judgement, Verdict
from pipeline.preparation import prepare
from pipeline.simulation import simulate
from pipeline.simulation.truth import win_probability

END = pd.Timestamp("2023-12-25")
SNAPSHOTS = '[snapshots]\nhorizon = "14d"\nages = ["1d", "5d"]\nscoring_every = "10d"\n'
TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\nobserved_until = 2023-12-25\n'


def table(a_day: int = 4) -> pd.DataFrame:
    """The leads of `project.company` with their outcomes: of five in a row two win, one is lost, two stay."""
    leads, outcomes = (pd.DataFrame(rows(text)) for text in company(a_day=a_day))
    joined = leads.merge(outcomes, how="left", on="lead_id")
    # What was not yet decided when the data ends.
    return joined.assign(won=(joined["outcome"] == "won") & (pd.to_datetime(joined["closed_at"]) < END))


def rows(text: str) -> list[dict[str, str]]:
    first, *others = (line.split(", ") for line in text.splitlines())
    return [dict(zip(first, other, strict=True)) for other in others]


def text(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False)


def written(
    folder, leads: pd.DataFrame, *, activities: pd.DataFrame | None = None, more: str = "", files=None
):
    made = leads.drop(columns=["outcome", "closed_at", "won"])
    closed = leads.loc[pd.to_datetime(leads["closed_at"]) < END, ["lead_id", "outcome", "closed_at"]]
    return write_project(
        folder, leads=text(made), outcomes=text(closed), in_outcomes=TABLE, sections=SNAPSHOTS + more,
        activities=None if activities is None else text(activities), in_activities='kind = "kind"',
        in_leads='account = "account"', files=files,
    )  # fmt: skip


def judged(path) -> Judgement:
    dataset = read(path)
    dataset.findings.raise_errors()
    return judge(dataset, prepare(dataset))


def of(judgement: Judgement, name: str) -> Verdict:
    return next(v for v in judgement.verdicts if v.name == name)


def evidence_on(verdict: Verdict) -> set[str]:
    return {e.test for e in verdict.evidence}


# --- planted in the simulated CRM ---------------------------------------------------------------


@pytest.fixture(scope="module")
def crm(tmp_path_factory):
    """A simulated CRM of 2,000 leads with traps and honest columns in its leads table, judged."""
    folder = tmp_path_factory.mktemp("crm") / "crm"
    simulate(2000, 7, folder)
    leads = pd.read_csv(folder / "leads.csv", dtype=str)
    outcomes = pd.read_csv(folder / "outcomes.csv").set_index("lead_id")["outcome"]
    outcome, random, n = leads["lead_id"].map(outcomes), np.random.default_rng(0), len(leads)
    created = pd.to_datetime(leads["created_at"])
    events = pd.concat([pd.read_parquet(folder / f"{t}.parquet") for t in ("web", "marketing")])
    counted = leads["lead_id"].map(events.groupby("lead_id").size()).fillna(0)
    keys = pd.DataFrame({"lead_id": leads["lead_id"], "as_of": created + pd.Timedelta("1h")})
    truth = np.asarray(win_probability(folder, keys, timedelta(days=90)), dtype=float)
    chance = np.log(np.where(np.isfinite(truth), truth, np.nanmean(truth)) + 1e-4)
    leads = leads.assign(
        lost_note=random.choice(["price", "time"], n),
        visits_today=np.round(counted * random.lognormal(0, 0.1, n), 1),
        batch=[f"B-{place // 8:05d}" for place in created.rank().astype(int)],
        honest=np.round(chance + random.normal(0, 0.05, n), 3),
        many=[f"m{one}" for one in random.integers(0, 250, n)],
    )
    leads["lost_note"] = leads["lost_note"].where(outcome.isin(["lost", "disqualified"]))
    leads.to_csv(folder / "leads.csv", index=False)
    return read(write_config(folder, CRM), datetime(2026, 7, 1))


CRM = """
    [project]
    name = "simulated"
    [leads]
    table = "leads.csv"
    id = "lead_id"
    created_at = "created_at"
    account = "account_id"
    attributes = [
        "industry", "company_size", "source", "contract_type", "lost_note", "visits_today", "batch", "honest",
        "many",
    ]
    [[activities]]
    table = "web.parquet"
    lead_id = "lead_id"
    occurred_at = "occurred_at"
    kind = "kind"
    [[activities]]
    table = "marketing.parquet"
    lead_id = "lead_id"
    occurred_at = "occurred_at"
    kind = "kind"
    actor = "actor"
    [outcomes]
    table = "outcomes.csv"
    lead_id = "lead_id"
    outcome = "outcome"
    closed_at = "closed_at"
    observed_until = 2026-06-30T00:00:00Z
    [[history]]
    table = "history.csv"
    lead_id = "lead_id"
    known_at = "known_at"
    attributes = ["job_title", "country"]
    [snapshots]
    horizon = "30d"
    ages = ["1h", "1d", "7d", "30d"]
"""
HONEST = ("industry", "company_size", "source", "honest", "many", "job_title", "country")


@pytest.fixture(scope="module")
def prepared(crm):
    return prepare(crm)


@pytest.fixture(scope="module")
def verdicts(crm, prepared):
    return judge(crm, prepared)


def test_a_field_that_sales_fills_in_after_the_win_is_excluded_by_what_open_leads_lack(verdicts):
    found = of(verdicts, "contract_type")
    assert found.verdict == "excluded"
    proof = found.evidence[0]
    assert proof.test == "vanishes"
    assert proof.numbers["filled_now"] == 0
    assert proof.numbers["filled_expected"] > 15
    assert "for 0 of" in proof.words


def test_a_field_filled_in_after_a_loss_is_as_good_a_leak(verdicts):
    assert "vanishes" in evidence_on(of(verdicts, "lost_note"))


def test_a_noisy_count_over_the_whole_history_follows_the_future(verdicts):
    found = of(verdicts, "visits_today")
    assert "follows_the_future" in evidence_on(found)
    assert "all activities" in found.words


def test_a_number_in_a_text_that_grows_with_time_is_the_date_under_another_name(verdicts):
    found = of(verdicts, "batch")
    assert "grows_with_time" in evidence_on(found)
    assert found.evidence[0].numbers["outside"] > 0.9


def test_no_honest_attribute_kind_or_table_is_excluded(verdicts):
    for name in HONEST:
        assert of(verdicts, name).verdict in ("clear", "suspect"), of(verdicts, name).words
    strength = [e.numbers["auc"] for e in of(verdicts, "honest").evidence if "auc" in e.numbers]
    assert max(strength) > 0.65, "built to be the strongest there is"
    excluded = {(v.subject, v.name) for v in verdicts.excluded}
    assert {subject for subject, _ in excluded} == {"attribute"}
    assert len([v for v in verdicts.verdicts if v.subject == "kind"]) > 20
    assert {v.name for v in verdicts.verdicts if v.subject == "table"} == {
        "history.csv", "web.parquet", "marketing.parquet"
    }  # fmt: skip


def test_no_label_outside_of_the_training_part_is_looked_at(crm, prepared, verdicts):
    keys = prepared.keys.copy()
    outside = ~keys["window"].isin(["train", "stopping"])
    keys.loc[outside, "label"] = 1 - keys.loc[outside, "label"]
    again = judge(crm, replace(prepared, keys=keys))
    assert again.to_dict() == verdicts.to_dict()


def test_whether_a_lead_was_won_is_known_of_training_leads_alone(crm, prepared):
    material = gather(crm, prepared)
    looks, training = material.looks, set(prepared.rows("train", "stopping")["lead_id"])
    known = set(material.leads["lead_id"].iloc[looks.lead[looks.known]])
    assert known
    assert known <= training
    assert not looks.won[~looks.known].any()


def test_a_judgement_is_json_and_comes_worst_first(verdicts):
    plain = json.loads(json.dumps(verdicts.to_dict()))
    assert plain["on"]
    assert plain["judged"] == len(verdicts.verdicts)
    words = [v["verdict"] for v in plain["verdicts"]]
    assert words == sorted(words, key=["excluded", "suspect", "clear"].index)
    assert all(v["evidence"] for v in plain["verdicts"])


def test_what_is_left_out_is_seen_by_no_feature(crm, verdicts):
    hidden = Verdict("kind", "visit", "excluded", ())
    clean = without(crm, Judgement((*verdicts.verdicts, hidden)))
    names = {a.name for a in clean.tables.attributes}
    assert {"contract_type", "batch"}.isdisjoint(names)
    assert set(HONEST) <= names
    assert "visit" not in set(clean.tables.activities.kind.execute())
    assert "visit" in set(clean.activities_all.kind.execute())


# --- kinds and tables in small worlds -----------------------------------------------------------


def at(leads: pd.DataFrame, when: pd.Series, kind: str) -> pd.DataFrame:
    made = pd.DataFrame({"lead_id": leads["lead_id"], "occurred_at": when.loc[leads.index], "kind": kind})
    return made.assign(occurred_at=made["occurred_at"].map(pd.Timestamp.isoformat))


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Four kinds: one minutes before each win, one two days before, one dated back, one of all leads."""
    leads = table()
    created, closed = pd.to_datetime(leads["created_at"]), pd.to_datetime(leads["closed_at"])
    won = leads[leads["outcome"] == "won"]
    activities = pd.concat([
        at(won, closed - pd.Timedelta("2min"), "signed"),
        at(won, closed - pd.Timedelta("2D"), "offer"),
        at(leads[leads["won"]], created + pd.Timedelta("2h"), "dated back"),
        at(leads, created + pd.Timedelta("1h"), "visit"),
    ])  # fmt: skip
    activities = activities[pd.to_datetime(activities["occurred_at"]) < END]
    return judged(written(tmp_path_factory.mktemp("kinds"), leads, activities=activities))


def test_a_kind_that_comes_minutes_before_the_outcome_is_excluded(kinds):
    assert of(kinds, "signed").evidence[0].test == "after_the_outcome"
    assert "in 100% of its" in of(kinds, "signed").words
    assert of(kinds, "signed").verdict == "excluded"


def test_a_kind_of_the_days_before_a_win_proves_nothing_and_is_worth_a_doubt(kinds):
    assert of(kinds, "offer").verdict == "suspect"
    assert "pure_values" in evidence_on(of(kinds, "offer"))


def test_activities_written_afterwards_and_dated_back_are_missed_by_undecided_leads(kinds):
    assert "vanishes" in evidence_on(of(kinds, "dated back"))
    assert kinds.kinds_left_out() == {"signed", "dated back"}


def test_a_kind_of_all_leads_is_clear(kinds):
    assert of(kinds, "visit").verdict == "clear"


def test_where_many_leads_are_decided_within_the_minute_what_comes_with_creation_is_no_leak(tmp_path):
    # 19 of 20 leads are lost 40 seconds after their creation; "sent" comes with creation.
    leads = table()
    created = pd.to_datetime(leads["created_at"])
    fast = leads.index % 20 != 0
    leads.loc[fast, "outcome"] = "lost"
    leads.loc[fast, "won"] = False
    leads.loc[fast, "closed_at"] = (created + pd.Timedelta("40s")).map(pd.Timestamp.isoformat)[fast]
    path = written(tmp_path, leads, activities=at(leads, created + pd.Timedelta("1s"), "sent"))
    dataset = read(path)
    assert kinds_with_the_outcome(gather(dataset, prepare(dataset))) == {}


ENTITIES = '\n[[entities]]\ntable = "deals.csv"\nkey = "lead_id"\nlead_key = "lead_id"\n'


@pytest.fixture(scope="module")
def deals(tmp_path_factory):
    """A world with a table of the deals that were won, ready to be judged."""
    leads = table()
    won = leads.loc[leads["won"], "lead_id"]
    rarely = np.resize(["x", *[""] * 39, "y", *[""] * 39], len(won))
    made = pd.DataFrame({"lead_id": won, "size": np.resize(["s", "m"], len(won)), "rarely": rarely})
    path = written(tmp_path_factory.mktemp("deals"), leads, more=ENTITIES, files={"deals.csv": text(made)})
    dataset = read(path)
    return dataset, prepare(dataset)


def test_a_table_with_rows_for_won_leads_alone_is_excluded_with_all_that_is_in_it(deals):
    found = judge(*deals)
    assert of(found, "deals.csv").verdict == "excluded"
    assert {"only_won", "vanishes"} <= evidence_on(of(found, "deals.csv"))
    # Filled too rarely to be caught by itself.
    assert evidence_on(of(found, "deals·rarely")) & PROOFS == {"in_excluded_table"}
    assert found.attributes_left_out() == {"deals·size", "deals·rarely"}


def test_a_table_that_undecided_leads_are_in_as_well_is_suspect_at_most_however_pure_it_is(tmp_path):
    # All that win have a row from the start, those that will win too: nobody else has one.
    leads = table()
    to_win = leads.loc[leads["outcome"] == "won", "lead_id"]
    deals = pd.DataFrame({"lead_id": to_win, "size": np.resize(["s", "m"], len(to_win))})
    found = judged(written(tmp_path, leads, more=ENTITIES, files={"deals.csv": text(deals)}))
    assert of(found, "deals.csv").verdict == "suspect"
    assert "vanishes" not in evidence_on(of(found, "deals·size"))


# --- overruling ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def closing(tmp_path_factory):
    """A world with a column that is filled in at the win, ready to be judged."""
    leads = table()
    leads["closing"] = np.where(leads["won"], "yes", "")
    dataset = read(written(tmp_path_factory.mktemp("closing"), leads))
    return dataset, prepare(dataset)


def overruled(world, name: str, verdict: str, reason: str) -> Judgement:
    dataset, prepared = world
    guard = Guard(overrule=[Overrule(name=name, verdict=verdict, reason=reason)])
    return judge(replace(dataset, config=dataset.config.model_copy(update={"guard": guard})), prepared)


def test_an_excluded_column_is_kept_where_the_user_knows_better_and_says_why(closing):
    found = of(overruled(closing, "closing", "keep", "asked at the fair"), "closing")
    assert found.verdict == "excluded"
    assert found.kept
    assert found.overruled == "asked at the fair"


def test_a_clear_column_is_left_out_where_the_user_knows_better(closing):
    found = overruled(closing, "plan", "leave_out", "typed in by sales")
    assert of(found, "plan").verdict == "clear"
    assert found.attributes_left_out() == {"plan", "closing"}


def test_a_rule_for_what_was_not_judged_names_the_nearest_that_was(closing):
    with pytest.raises(ConfigurationError, match="Did you mean 'closing'"):
        overruled(closing, "closng", "keep", "I know it")


def test_a_table_that_is_kept_keeps_what_is_in_it_but_for_leaks_of_their_own(deals):
    found = overruled(deals, "deals.csv", "keep", "kept by hand")
    assert found.attributes_left_out() == {"deals·size"}
    assert of(found, "deals·rarely").overruled == "kept by hand"


def test_the_guard_can_be_turned_off(closing):
    dataset, prepared = closing
    config = dataset.config.model_copy(update={"guard": Guard(on=False)})
    found = judge(replace(dataset, config=config), prepared)
    assert found.to_dict() == {"on": False, "judged": 0, "excluded": 0, "suspect": 0, "verdicts": []}


def test_a_verdict_is_as_bad_as_its_worst_evidence_which_comes_first():
    strong, proof = Evidence("separates", "is strong", {}), Evidence("vanishes", "is empty now", {})
    assert Verdict.of("attribute", "x", [strong]).verdict == "suspect"
    both = Verdict.of("attribute", "x", [strong, proof])
    assert (both.verdict, both.evidence[0].test, both.kept) == ("excluded", "vanishes", False)
    assert both.overrule(keep=False, reason="I agree") == both


# --- a flat table -------------------------------------------------------------------------------


def flat(tmp_path, frame: pd.DataFrame, more: str = "") -> Judgement:
    frame.to_csv(tmp_path / "flat.csv", index=False)
    path = write_config(
        tmp_path, f'[project]\nname = "flat"\n[leads]\ntable = "flat.csv"\nlabel = "y"\n{more}'
    )
    return judged(path)


def flat_table(n: int = 2000) -> pd.DataFrame:
    random = np.random.default_rng(5)
    won = random.random(n) < 0.2
    return pd.DataFrame({
        "y": won.astype(int),
        "weak": np.round(random.normal(0, 1, n) + 0.3 * won, 3),
        "strong": np.round(random.normal(0, 1, n) + 2.0 * won, 3),
        "copy": np.where(won, random.choice(["a", "b"], n), random.choice(["c", "d"], n)),
        "filled": np.where(won & (random.random(n) < 0.5), "f", ""),
        "number": np.arange(n) // 2 * 10 + random.integers(0, 3, n),
    })  # fmt: skip


def test_without_times_strength_is_suspect_and_only_near_perfect_separation_excludes(tmp_path):
    found = flat(tmp_path, flat_table())
    word = {v.name: v.verdict for v in found.verdicts}
    assert word == {
        "weak": "clear",
        "strong": "suspect",
        "copy": "excluded",
        "filled": "suspect",
        "number": "suspect",
    }
    assert "missingness_separates" in evidence_on(of(found, "filled"))
    assert "pure_values" in evidence_on(of(found, "filled"))
    assert "AUC" in of(found, "strong").words


def test_in_ordered_rows_a_number_that_grows_with_them_is_excluded(tmp_path):
    found = flat(tmp_path, flat_table(), 'order_by = "row"\n')
    assert "grows_with_time" in evidence_on(of(found, "number"))


def test_open_rows_of_a_flat_table_show_what_is_filled_in_afterwards(tmp_path):
    frame = flat_table().drop(columns=["copy", "number"])
    is_open = np.arange(len(frame)) >= 1600
    frame["y"] = np.where(is_open, "", frame["y"].astype(str))
    frame.loc[is_open, "filled"] = ""
    frame["state"] = np.where(is_open, "open", "closed")
    more = 'order_by = "row"\n[leads.open_when]\ncolumn = "state"\nvalues = ["open"]\n'
    found = flat(tmp_path, frame, more)
    assert of(found, "filled").verdict == "excluded"
    assert of(found, "filled").evidence[0].numbers["undecided_now"] == 400
    assert of(found, "strong").verdict == "suspect"


def test_in_rows_without_an_order_a_sorted_column_is_suspect_for_it_may_only_have_been_sorted_by(tmp_path):
    found = of(flat(tmp_path, flat_table()), "number")
    assert (found.verdict, evidence_on(found) & {"sorted_rows", "grows_with_time"}) == (
        "suspect",
        {"sorted_rows"},
    )
