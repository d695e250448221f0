"""Times: everything becomes UTC, a date is known at its day's end, and nothing is guessed silently."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest
from project import NOW, plain, read, rows, told, write_project

from features.errors import ConfigurationError, DataError


def created(tmp_path, *times: str, zone: str = "UTC", in_leads: str = "", now: datetime = NOW):
    """Leads created at these texts; returns the dataset and the times in UTC, in the order given."""
    leads = "lead_id, created_at\n" + "\n".join(f"{i}, {t}" for i, t in enumerate(times))
    dataset = read(
        write_project(
            tmp_path, leads=leads, project=f'timezone = "{zone}"', in_leads=in_leads,
            activities=None, outcomes="lead_id, outcome, closed_at\n0, open,\n",
        ),
        now,
    )  # fmt: skip
    return dataset, [at for _, at in rows(dataset.tables.leads, "lead_id", "created_at")]


# How a text is written, and the same moment in UTC, by the zone of times that have none.
TEXTS = {
    "UTC": {
        "2024-01-05 10:00": "2024-01-05 10:00",
        "2024-01-05": "2024-01-06",
        "2024-1-5": "2024-01-06",
        "2024/01/05": "2024-01-06",
    },
    "Europe/Paris": {
        # The wall clock of the zone, one hour ahead in winter, two in summer.
        "2024-01-05 10:00": "2024-01-05 09:00",
        "2024-07-05T10:00:00": "2024-07-05 08:00",
        # A date without a time is known at the end of its day in the zone.
        "2024-01-05": "2024-01-05 23:00",
        # The clocks go forward on 31 March: that day ends at 24:00 summer time, 22:00 in UTC.
        "2024-03-30": "2024-03-30 23:00",
        "2024-03-31": "2024-03-31 22:00",
        # They go back on 27 October: that day ends at 24:00 winter time, 23:00 in UTC.
        "2024-10-26": "2024-10-26 22:00",
        "2024-10-27": "2024-10-27 23:00",
    },
    "Asia/Tokyo": {  # with an offset, the zone does not matter
        "2024-01-05T10:00:00Z": "2024-01-05 10:00",
        "2024-01-05 10:00:00+02:00": "2024-01-05 08:00",
        "2024-01-05T10:00+0200": "2024-01-05 08:00",
        "2024-01-05 10:00:00.0-05": "2024-01-05 15:00",
        "2024-01-05 10:00:00 Europe/Paris": "2024-01-05 09:00",
    },
}


@pytest.mark.parametrize("zone", TEXTS)
def test_texts_become_utc(tmp_path, zone):
    dataset, times = created(tmp_path, *TEXTS[zone], zone=zone)
    assert dict(zip(TEXTS[zone], times, strict=True)) == TEXTS[zone]
    assert not dataset.findings.errors


@pytest.mark.parametrize(
    ("form", "written", "in_utc"),
    [
        ("%d/%m/%Y %H:%M", "05/01/2024 10:00", "2024-01-05 09:00"),
        ("%d/%m/%Y %I:%M %p", "05/01/2024 10:00 PM", "2024-01-05 21:00"),
        ("%d/%m/%Y %-I %p", "05/01/2024 9 PM", "2024-01-05 20:00"),
        ("%d/%m/%Y %H:%M %z", "05/01/2024 10:00 +0300", "2024-01-05 07:00"),
        # No hour in the format: the end of that day.
        ("%d.%m.%Y", "05.01.2024", "2024-01-05 23:00"),
        ("%Y-%m-%d 00:00:00", "2024-01-05 00:00:00", "2024-01-05 23:00"),
        # 1704448800 s = 2024-01-05 10:00 UTC; epochs have no zone to be mistaken in.
        ("epoch_s", "1704448800", "2024-01-05 10:00"),
        ("epoch_ms", "1704448800000", "2024-01-05 10:00"),
    ],
)
def test_a_format_of_the_users_own(tmp_path, form, written, in_utc):
    dataset, times = created(tmp_path, written, zone="Europe/Paris", in_leads=f'time_format = "{form}"')
    assert times == [in_utc]
    assert not dataset.findings.errors


@pytest.mark.parametrize("form", ["%Q", "yyyy-mm-dd", "epoch"])
def test_what_is_no_format(tmp_path, form):
    with pytest.raises(ConfigurationError, match="is not a format") as error:
        created(tmp_path, "2024-01-05", in_leads=f'time_format = "{form}"')
    assert "leads.csv" in error.value.message


def test_times_that_cannot_be_read_are_told(tmp_path):
    unreadable = ("05/01/2024", "2024-13-01", "yesterday", "2024-01-05 10:00 PM", "2024-01-05 10:00:00 Foo",
                  "0001-01-01T00:00:00", "24-01-05")  # fmt: skip
    dataset, times = created(tmp_path, "2024-01-05 10:00", *unreadable)
    assert times == ["2024-01-05 10:00", *[None] * 7]
    assert told(dataset, "error").startswith(
        "leads (leads.csv), column 'created_at': times that cannot be read (see `time_format`), "
        "7 rows, for example 'yesterday'"
    )


@pytest.mark.parametrize(("form", "number"), [("epoch_s", "1704448800000"), ("epoch_ms", "x")])
def test_epochs_in_the_wrong_unit_are_told_not_a_crash(tmp_path, form, number):
    with pytest.raises(DataError, match=f"cannot be read .* for example '{number}'"):
        created(tmp_path, number, in_leads=f'time_format = "{form}"')


def test_missing_times_of_creation_are_told(tmp_path):
    dataset, _ = created(tmp_path, "2024-01-05", "")
    assert "column 'created_at': times are missing, 1 rows" in told(dataset, "error")


def test_times_in_the_future_are_told(tmp_path):
    dataset, _ = created(tmp_path, "2024-12-30 10:00", "2025-01-01 00:00")
    assert "times in the future, 1 rows, for example '2025-01-01 00:00'" in told(dataset, "error")


@pytest.mark.parametrize(("written", "future"), [("2024-06-15", False), ("2024-06-16", True)])
def test_todays_date_is_not_the_future_though_its_day_has_not_ended(tmp_path, written, future):
    dataset, _ = created(tmp_path, written, now=datetime(2024, 6, 15, 12))
    assert bool(dataset.findings.errors) == future


def test_mixed_zones_are_told(tmp_path):
    dataset, _ = created(tmp_path, "2024-01-05 10:00", "2024-01-05T10:00:00Z", "2024-01-05")
    assert (
        "mixed zones: some times have an offset, these have none; write all of them one way, 1 rows, "
        "for example '2024-01-05 10:00'" in told(dataset, "error")
    )


def test_dates_without_a_time_are_noted(tmp_path):
    dataset, _ = created(tmp_path, "2024-01-05 10:00", "2024-01-05")
    assert "known at the end of their day, 1 rows" in told(dataset, "note")


def test_that_every_time_is_midnight_is_noted(tmp_path):
    midnights, _ = created(tmp_path, "2024-01-05 00:00:00", "2024-01-06 00:00:00")
    assert "every time is midnight; if these are dates" in told(midnights, "note")
    others, _ = created(tmp_path, "2024-01-05 00:00:00", "2024-01-06 09:00:00")
    assert "midnight" not in told(others, "note")


def test_a_small_share_of_bad_times_can_be_tolerated_and_is_shown(tmp_path):
    leads = "lead_id, created_at\n" + "\n".join(f"{i}, 2024-01-05T10:00" for i in range(99)) + "\n99, soon"
    for share, level in ((0.01, "left out"), (0.009, "error")):
        path = write_project(
            tmp_path, leads=leads, activities=None, outcomes="lead_id, outcome, closed_at\n1, open,",
            sections=f"[checks]\ntolerate = {share}",
        )  # fmt: skip
        assert "cannot be read (see `time_format`), 1 rows, for example 'soon'" in told(read(path), level)


@pytest.mark.parametrize(
    ("values", "in_utc"),
    [
        ([datetime(2024, 1, 5, 10)], "2024-01-05 09:00"),
        ([datetime(2024, 1, 5, 10, tzinfo=UTC)], "2024-01-05 10:00"),
        ([date(2024, 1, 5)], "2024-01-05 23:00"),
        (["2024-01-05"], "2024-01-05 23:00"),
    ],
)
def test_parquet_times_of_each_type(tmp_path, values, in_utc):
    path = write_project(
        tmp_path, project='timezone = "Europe/Paris"', activities=None,
        outcomes="lead_id, outcome, closed_at\n1, open,",
    )  # fmt: skip
    pd.DataFrame({"lead_id": [1], "created_at": values}).to_parquet(tmp_path / "leads.parquet")
    path.write_text(path.read_text().replace("leads.csv", "leads.parquet"))
    dataset = read(path)
    assert rows(dataset.tables.leads, "created_at") == [(in_utc,)]


def test_an_activity_may_be_known_later_than_it_happened_never_earlier(tmp_path):
    path = write_project(
        tmp_path,
        activities="""
            lead_id, occurred_at,      imported_at,      kind
            a,       2024-01-02T10:00, 2024-01-03T03:00, late
            a,       2024-01-02T10:00, 2024-01-01T00:00, early
            a,       2024-01-02T10:00, ,                 never
        """,
        in_activities='kind = "kind"\nknown_at = "imported_at"',
    )
    assert rows(read(path).activities_all, "kind", "occurred_at", "known_at") == [
        ("early", "2024-01-02 10:00", "2024-01-02 10:00"),
        ("late", "2024-01-02 10:00", "2024-01-03 03:00"),
        ("never", "2024-01-02 10:00", "2024-01-02 10:00"),
    ]


def test_the_wall_clock_of_an_activity_is_kept_for_hours_and_weekdays(tmp_path):
    # 23:30 UTC on Friday is 00:30 on Saturday in Paris.
    path = write_project(
        tmp_path, project='timezone = "Europe/Paris"',
        activities="lead_id, occurred_at, kind, actor\na, 2024-01-05T23:30:00Z, visit, lead",
    )  # fmt: skip
    assert rows(read(path).activities_all, "occurred_local") == [("2024-01-06 00:30",)]


def test_outcomes_cannot_be_complete_until_a_time_to_come(tmp_path):
    path = write_project(tmp_path)
    path.write_text(path.read_text() + "\n")
    for moment, fails in (("2025-01-01T00:00:00Z", True), ("2024-12-31T00:00:00Z", False)):
        path = write_project(
            tmp_path,
            in_outcomes='table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
            f"observed_until = {moment}",
        )
        if fails:
            with pytest.raises(ConfigurationError, match="lies in the future"):
                read(path)
        else:
            assert read(path).observed_until == NOW


def test_observed_until_is_the_latest_time_of_any_table_unless_given(tmp_path):
    dataset = read(write_project(tmp_path))  # the last activity
    assert (dataset.observed_until, dataset.observed_given) == (datetime(2024, 2, 1), False)


def test_aligned_text_is_plain_csv():
    assert plain(" a, b\n 1,  2") == "a,b\n1,2\n"
