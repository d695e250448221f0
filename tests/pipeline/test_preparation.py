"""From tables to labelled snapshots in their windows, seen from outside."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest
from project import company, plain, read, rows, write_config, write_project

from features.errors import UnsupportedData
from pipeline.preparation import at_moment, prepare
from pipeline.windows import BUILDING

HORIZON = timedelta(days=14)
SNAPSHOTS = '[snapshots]\nhorizon = "14d"\nages = ["1d", "7d"]\nscoring_every = "10d"\n'
TABLE = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\nobserved_until = 2023-12-25\n'
PINNED = (
    "[windows]\ncalibration_from = 2023-06-01\ndecision_from = 2023-08-01\ntest_from = 2023-10-01\n"
    "test_until = 2023-11-30\n"
)


def written(
    tmp_path, *, leads: str = "", outcomes: str = "", sections: str = SNAPSHOTS, account: bool = True
):
    made = company()
    return write_project(
        tmp_path, leads=leads or made[0], outcomes=outcomes or made[1], activities=None,
        in_leads='account = "account"' if account else 'ignore = ["account"]', in_outcomes=TABLE,
        sections=sections,
    )  # fmt: skip


@pytest.fixture(scope="module")
def company_prepared(tmp_path_factory):
    path = written(tmp_path_factory.mktemp("company"))
    dataset = read(path)
    return dataset, prepare(dataset)


def test_all_that_is_built_from_has_matured_when_the_test_starts(company_prepared):
    _, prepared = company_prepared
    built = prepared.rows(*BUILDING)
    assert len(built) > 100
    assert (built["as_of"] + HORIZON <= prepared.bounds.test).all()


def test_leads_and_accounts_belong_to_one_window_before_the_test(company_prepared):
    _, prepared = company_prepared
    built = prepared.rows(*BUILDING)
    assert set(built["window"]) == set(BUILDING)
    account = built["lead_id"].astype(int) // 2
    assert (built.groupby(account)["window"].nunique() == 1).all()


def test_the_test_window_has_every_lead_open_on_each_date(company_prepared):
    dataset, prepared = company_prepared
    tested = prepared.rows("test")
    leads, outcomes = (
        pd.read_csv(dataset.config.root / f"{t}.csv", dtype=str) for t in ("leads", "outcomes")
    )
    table = leads.merge(outcomes, how="left", on="lead_id")
    created, closed = pd.to_datetime(table["created_at"]), pd.to_datetime(table["closed_at"])
    dates = pd.date_range(prepared.bounds.test, prepared.bounds.test_until, freq="10D")
    expected = []
    for date in dates:
        is_open = (created < date) & (closed.isna() | (closed >= date))
        won = (table["outcome"] == "won") & (closed >= date) & (closed < date + HORIZON)
        expected += [(i, date, int(w)) for i, w in zip(table["lead_id"][is_open], won[is_open], strict=True)]
    found = list(zip(tested["lead_id"], tested["as_of"], tested["label"], strict=True))
    assert sorted(found) == sorted(expected)
    # Leads that were trained on are scored again, as in production.
    assert set(tested["lead_id"]) & set(prepared.rows("train")["lead_id"])


def test_the_same_time_is_also_seen_by_age(company_prepared):
    _, prepared = company_prepared
    by_age = prepared.rows("test_by_age")
    assert set(by_age["age"]) == {"1d", "7d"}
    assert by_age["as_of"].between(prepared.bounds.test, prepared.bounds.test_until).all()


def test_what_features_are_computed_for_is_exactly_what_has_a_window(company_prepared):
    _, prepared = company_prepared
    numbers = {n for (n,) in rows(prepared.snapshots, "snapshot")}
    assert numbers == set(prepared.keys.index)
    assert not prepared.keys.index.has_duplicates


def test_a_window_does_not_depend_on_how_or_when_leads_end(tmp_path):
    # With ages this far apart, many schedules cross from one window to the next.
    sections = SNAPSHOTS.replace('["1d", "7d"]', '["1d", "7d", "28d", "56d"]') + PINNED
    one = prepare(read(written(tmp_path, sections=sections))).rows(*BUILDING)
    swapped = company()[1].replace("won", "LOST").replace("lost", "won").replace("LOST", "lost")
    lines = swapped.splitlines()
    fewer = "\n".join([lines[0], *lines[1::3]])
    two = prepare(read(written(tmp_path, outcomes=fewer, sections=sections))).rows(*BUILDING)
    both = one.merge(two, on="lead_id", suffixes=("", "_after"))
    # Where train's last slice starts follows from the data; it is train all the same.
    windows = both[["window", "window_after"]].replace("stopping", "train")
    assert both["lead_id"].nunique() > 200
    assert (windows["window"] == windows["window_after"]).all()
    assert (both["label"] != both["label_after"]).any()


def test_pinned_dates_are_kept_and_are_midnights_of_the_zone(tmp_path):
    path = written(tmp_path, sections=SNAPSHOTS + PINNED)
    path.write_text(path.read_text().replace('name = "tiny"', 'name = "tiny"\ntimezone = "Europe/Paris"'))
    bounds = prepare(read(path)).bounds
    # 1 June in Paris starts at 22:00 UTC on 31 May.
    assert bounds.calibration == pd.Timestamp("2023-05-31 22:00")
    assert bounds.test == pd.Timestamp("2023-09-30 22:00")
    assert bounds.build_until == pd.Timestamp("2023-09-16 22:00")


def test_calendar_dates_instead_of_ages(tmp_path):
    dates = ", ".join(f"2023-{month:02}-01" for month in range(2, 13))
    sections = f'[snapshots]\nhorizon = "14d"\nscoring_every = "10d"\ncalendar = [{dates}]\n' + PINNED
    prepared = prepare(read(written(tmp_path, sections=sections)))
    built = prepared.rows(*BUILDING)
    on_dates = built[built["window"] != "decision"]
    assert set(on_dates["as_of"].dt.day) == {1}
    assert set(built["window"]) >= {"train", "calibration", "decision"}
    # 1 October is on both calendars; the test sees each open lead once.
    tested = prepared.rows("test")
    assert tested["as_of"].min() == pd.Timestamp("2023-10-01")
    assert not tested.duplicated(["lead_id", "as_of"]).any()
    assert prepared.rows("test_by_age").empty


def test_a_group_split_for_a_single_cohort(tmp_path):
    made = company(days=20, a_day=20)
    sections = SNAPSHOTS + '[windows]\nsplit = "group"\n'
    prepared = prepare(read(written(tmp_path, leads=made[0], outcomes=made[1], sections=sections)))
    assert prepared.split == "group"
    assert prepared.bounds is None
    account = prepared.keys["lead_id"].astype(int) // 2
    assert set(prepared.keys["window"]) == {*BUILDING, "test"}
    assert (prepared.keys.groupby(account)["window"].nunique() == 1).all()
    # Ages, horizon and maturity work as ever.
    assert set(prepared.keys["age"]) == {"1d", "7d"}
    assert prepared.keys["label"].mean() > 0.2


def test_too_short_a_history(tmp_path):
    made = company(days=20)
    with pytest.raises(UnsupportedData) as error:
        prepare(read(written(tmp_path, leads=made[0], outcomes=made[1])))
    assert "the embargo alone takes 14 days" in error.value.message


def test_nothing_has_matured(tmp_path):
    sections = SNAPSHOTS.replace("14d", "900d")
    with pytest.raises(UnsupportedData, match="span 0 days"):
        prepare(read(written(tmp_path, sections=sections)))


def flat(tmp_path, more: str = ""):
    table = "id, won, n\n" + "\n".join(f"{i:04}, {int(i % 4 == 0)}, {1000 - i}" for i in range(1000))
    (tmp_path / "flat.csv").write_text(plain(table))
    return write_config(
        tmp_path, f'[project]\nname = "flat"\n[leads]\ntable = "flat.csv"\nid = "id"\nlabel = "won"\n{more}\n'
    )


@pytest.mark.parametrize(("order", "first_is_trained"), [('"row"', True), ('"n"', False)])
def test_a_flat_table_in_row_order_or_by_a_column(tmp_path, order, first_is_trained):
    prepared = prepare(read(flat(tmp_path, f"order_by = {order}")))
    assert prepared.split == "row"
    window = prepared.keys.set_index("lead_id")["window"]
    # 48 % train, 8 % its last slice, 14 %, 12 %, and the rest to the test.
    assert window.value_counts().to_dict() == {
        "train": 480, "test": 180, "calibration": 140, "decision": 120, "stopping": 80,
    }  # fmt: skip
    assert (window["0000"] == "train") == first_is_trained
    assert (window["0999"] == "test") == first_is_trained


def test_a_flat_table_at_random(tmp_path):
    prepared = prepare(read(flat(tmp_path)))
    assert prepared.split == "random"
    assert set(prepared.keys["window"]) == {*BUILDING, "test"}
    assert prepared.keys["as_of"].isna().all()
    again = prepare(read(flat(tmp_path)))
    assert again.keys["window"].equals(prepared.keys["window"])


def test_open_rows_of_a_flat_table_are_scored_not_trained_on(tmp_path):
    table = "id, won, state\n" + "\n".join(
        f"{i}, {i % 2 if i > 5 else ''}, {'new' if i <= 5 else ''}" for i in range(60)
    )
    (tmp_path / "flat.csv").write_text(plain(table))
    path = write_config(
        tmp_path,
        """
        [project]
        name = "flat"
        [leads]
        table = "flat.csv"
        id = "id"
        label = "won"
        [leads.open_when]
        column = "state"
        values = ["new"]
        """,
    )
    dataset = read(path)
    assert set(at_moment(dataset, datetime(2024, 1, 1))[1]["lead_id"]) == set("012345")
    assert not set(prepare(dataset).keys["lead_id"]) & set("012345")
