"""Bad input: each with a clear error that says what, where and what next, and with nothing lost."""

from __future__ import annotations

import pandas as pd
import pytest
from project import ACTIVITIES, LEADS, OUTCOMES, plain, read, rows, told, write_config, write_project

from features.errors import ConfigurationError, DataError


def refused(path) -> str:
    """The message with which data is refused at once; a mistake of the user, so status 2."""
    with pytest.raises(DataError) as error:
        read(path)
    assert error.value.exit_status == 2
    return error.value.message


# --- files ---


def test_a_missing_file_names_the_nearest_one(tmp_path):
    path = write_project(tmp_path)
    (tmp_path / "outcomes.csv").rename(tmp_path / "outcome.csv")
    message = refused(path)
    assert "There is no file 'outcomes.csv'" in message
    assert str(tmp_path / "outcomes.csv") in message
    assert "Did you mean 'outcome.csv'?" in message


def test_a_missing_column_names_the_nearest_one_and_all_there_are(tmp_path):
    message = refused(write_project(tmp_path, leads=LEADS.replace("created_at", "creation_at")))
    assert "no column 'created_at' (configured as created_at)" in message
    assert "leads.csv" in message
    assert "columns of the file: lead_id, creation_at" in message
    assert "Did you mean 'creation_at'?" in message


@pytest.mark.parametrize("key", ["ignore", "old_score", "engagement", "attributes"])
def test_a_column_named_in_a_list_must_be_there_or_a_slip_would_leak(tmp_path, key):
    leads = "lead_id, created_at, contract\na, 2024-01-01T00:00, x\nb, 2024-01-01T00:00, y"
    message = refused(write_project(tmp_path, leads=leads, in_leads=f'{key} = ["contact"]'))
    assert "no column 'contact'" in message
    assert "Did you mean 'contract'?" in message


@pytest.mark.parametrize(("content", "what"), [("", "is empty"), ("lead_id,created_at\n", "it has no rows")])
def test_an_empty_table(tmp_path, content, what):
    path = write_project(tmp_path)
    (tmp_path / "leads.csv").write_text(content)
    message = refused(path)
    assert what in message
    assert "leads.csv" in message


def test_a_file_that_is_not_utf8_says_so_wherever_the_letter_is(tmp_path):
    path = write_project(tmp_path)
    first = plain(
        LEADS.replace("lead_id, created_at", "lead_id, created_at, city").replace("00:00:00", "00:00, x")
    )
    for before in (0, 5000):
        more = "".join(f"{i},2024-01-01T00:00,x\n" for i in range(before))
        (tmp_path / "leads.csv").write_bytes(
            (first + more + "z,2024-01-01T00:00,Orléans\n").encode("latin-1")
        )
        message = refused(path)
        assert "UTF-8" in message or "utf-8" in message
        assert "Orl" not in message


@pytest.mark.parametrize("row", ["d", "d,2024-01-01T00:00,1,2"])
def test_a_row_with_too_few_or_too_many_cells_is_named_never_the_header_of_less(tmp_path, row):
    # DuckDB's own sniffing would take the last row for the header and skip all above it.
    path = write_project(tmp_path)
    (tmp_path / "leads.csv").write_text(plain(LEADS) + row + "\n")
    message = refused(path)
    assert "CSV Error on Line: 5" in message
    assert "Expected Number of Columns: 2" in message


def test_an_open_quotation_mark_is_named(tmp_path):
    path = write_project(tmp_path)
    (tmp_path / "leads.csv").write_text(plain(LEADS) + '"d,2024-01-01T00:00\n')
    assert "unterminated quote" in refused(path)


@pytest.mark.parametrize(("separator", "key"), [(";", ""), ("\t", ""), ("|", ""), ("#", 'separator = "#"')])
def test_separators(tmp_path, separator, key):
    path = write_project(tmp_path, in_leads=key)
    table = plain(LEADS.replace("created_at", "created_at, amount").replace("00:00:00", "00:00, x"))
    (tmp_path / "leads.csv").write_text(table.replace(",", separator).replace("x", "1,5 €"))
    assert len(rows(read(path).tables.leads, "lead_id", "created_at")) == 3


def test_a_byte_order_mark_and_windows_line_ends(tmp_path):
    path = write_project(tmp_path)
    (tmp_path / "leads.csv").write_bytes(b"\xef\xbb\xbf" + plain(LEADS).replace("\n", "\r\n").encode())
    assert rows(read(path).tables.leads, "lead_id") == [("a",), ("b",), ("c",)]


def test_a_line_break_inside_a_cell(tmp_path):
    path = write_project(tmp_path)
    (tmp_path / "leads.csv").write_text(
        'lead_id,created_at,note\na,2024-01-01T00:00,"x\ny"\nb,2024-01-01T00:00,z\n'
    )
    assert rows(read(path).tables.leads, "lead_id") == [("a",), ("b",)]


def test_a_folder_of_csv_files_is_one_table(tmp_path):
    path = write_project(tmp_path)
    folder = tmp_path / "leads"
    folder.mkdir()
    (folder / "1.csv").write_text("lead_id,created_at\na,2024-01-01T00:00\n")
    (folder / "2.csv").write_text(
        "created_at;lead_id;plan\n2024-01-01T00:00;b;gold\n2024-01-01T00:00;c;tin\n"
    )
    (folder / "readme.md").write_text("not a table")
    path.write_text(path.read_text().replace("leads.csv", "leads"))
    dataset = read(path)
    assert rows(dataset.tables.leads, "lead_id", "plan") == [("a", None), ("b", "gold"), ("c", "tin")]
    assert dataset.counts["leads"]["rows"] == 3


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    path = write_project(tmp_path)
    folder = tmp_path / "leads [new]"
    folder.mkdir()
    for name in "ab":
        at = pd.Timestamp("2024-01-01")
        pd.DataFrame({"lead_id": [name], "created_at": [at]}).to_parquet(folder / f"{name}.parquet")
    path.write_text(path.read_text().replace("leads.csv", folder.name))
    assert rows(read(path).tables.leads, "lead_id") == [("a",), ("b",)]


def test_a_folder_of_both_kinds_or_of_neither(tmp_path):
    path = write_project(tmp_path)
    folder = tmp_path / "leads"
    folder.mkdir()
    path.write_text(path.read_text().replace("leads.csv", "leads"))
    assert "holds no files that can be read" in refused(path)
    (folder / "1.csv").write_text("lead_id,created_at\na,2024-01-01T00:00\n")
    pd.DataFrame({"lead_id": ["b"]}).to_parquet(folder / "b.parquet")
    assert "holds csv and parquet files" in refused(path)


def test_a_file_that_is_no_parquet(tmp_path):
    path = write_project(tmp_path)
    (tmp_path / "leads.parquet").write_text("lead_id\n")
    path.write_text(path.read_text().replace("leads.csv", "leads.parquet"))
    assert "cannot be read as PARQUET" in refused(path)


# --- ids ---


def test_ids_that_are_repeated_or_missing(tmp_path):
    leads = LEADS + "    a, 2024-01-01T00:00:00\n    , 2024-01-01T00:00:00\n"
    found = told(read(write_project(tmp_path, leads=leads)), "error")
    assert "leads (leads.csv), column 'lead_id': ids are missing, 1 rows" in found
    assert "ids are repeated: one row a lead is expected, 1 rows, for example 'a'" in found


def test_ids_that_are_email_addresses_are_refused_without_showing_one(tmp_path):
    dataset = read(write_project(tmp_path, leads="lead_id, created_at\nann@example.org, 2024-01-01T00:00"))
    found = told(dataset, "error")
    assert "ids are e-mail addresses; name another column, or set hash_id = true, 1 rows" in found
    assert "ann" not in found


def test_hashed_ids_are_the_same_in_every_table(tmp_path):
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\nann@example.org, 2024-01-01T00:00\nbob@example.org, 2024-01-01T00:00",
        activities="lead_id, occurred_at, kind, actor\nann@example.org, 2024-01-02T00:00, visit, lead",
        outcomes="lead_id, outcome, closed_at\nann@example.org, won, 2024-01-03T00:00",
        in_leads="hash_id = true",
        sections="""
            [[history]]
            table = "history.csv"
            lead_id = "lead_id"
            known_at = "at"
            attributes = ["job"]
            [stages]
            table = "stages.csv"
            lead_id = "lead_id"
            stage = "stage"
            at = "at"
        """,
        files={
            "history.csv": "lead_id, at, job\nann@example.org, 2024-01-01T00:00, CEO\n"
            "bob@example.org, 2024-01-01T00:00, CTO",
            "stages.csv": "lead_id, stage, at\nann@example.org, mql, 2024-01-01T00:00",
        },
    )
    dataset = read(path)
    assert not dataset.findings.errors
    ids = {lead for (lead,) in rows(dataset.tables.leads, "lead_id")}
    assert len(ids) == 2
    assert not any("@" in lead for lead in ids)
    for table in (dataset.activities_all, dataset.outcomes, dataset.stages, dataset.tables.versions[0]):
        assert {lead for (lead,) in rows(table, "lead_id")} <= ids
        assert table.count().execute() > 0


def test_leading_zeros_of_an_id_are_kept(tmp_path):
    path = write_project(
        tmp_path,
        leads="lead_id, created_at\n007, 2024-01-01T00:00\n7, 2024-01-01T00:00",
        activities="lead_id, occurred_at, kind, actor\n007, 2024-01-02T00:00, visit, lead",
        outcomes="lead_id, outcome, closed_at\n7, won, 2024-01-03T00:00",
    )
    dataset = read(path)
    assert rows(dataset.tables.leads, "lead_id") == [("007",), ("7",)]
    assert rows(dataset.activities_all, "lead_id") == [("007",)]
    assert rows(dataset.outcomes, "lead_id") == [("7",)]


def test_numeric_ids_join_whatever_their_type(tmp_path):
    # 2**53 + 1 does not fit a float; as an integer and as text it must survive.
    huge = str(2**53 + 1)
    path = write_project(tmp_path, outcomes=f"lead_id, outcome, closed_at\n{huge}, won, 2024-01-03T00:00")
    at = pd.Timestamp("2024-01-01")
    pd.DataFrame({"lead_id": [1, int(huge)], "created_at": [at, at]}).to_parquet(tmp_path / "leads.parquet")
    # A missing id makes pandas write the column as floating: 1.0.
    activities = pd.DataFrame({"lead_id": [1.0, None], "occurred_at": [at, at], "kind": "x", "actor": "lead"})
    activities.to_parquet(tmp_path / "activities.parquet")
    text = path.read_text().replace("leads.csv", "leads.parquet")
    path.write_text(text.replace("activities.csv", "activities.parquet"))
    dataset = read(path)
    assert rows(dataset.activities_all, "lead_id") == [("1",)]
    assert rows(dataset.outcomes, "lead_id") == [(huge,)]
    assert "activities without a lead, 1 rows" in told(dataset, "error")


# --- rows that fit nowhere ---


def test_rows_of_unknown_leads_are_counted_left_out_and_shown(tmp_path):
    path = write_project(
        tmp_path,
        activities=ACTIVITIES
        + "    x, 2024-01-02T00:00:00, visit, lead\n    y, 2024-01-02T00:00:00, visit, lead\n",
        outcomes=OUTCOMES + "    z, won, 2024-01-10T00:00:00\n",
    )
    dataset = read(path)
    assert rows(dataset.activities_all, "lead_id") == [("a",), ("c",)]
    assert rows(dataset.outcomes, "lead_id") == [("a",), ("b",)]
    found = told(dataset, "left out")
    assert (
        "activities no. 1 (activities.csv), column 'lead_id': of leads that the leads table does not" in found
    )
    assert "2 rows, for example 'x'" in found
    assert "1 rows, for example 'z'" in found
    assert not dataset.findings.errors


def test_a_table_without_one_known_lead_is_a_mistake(tmp_path):
    activities = "lead_id, occurred_at, kind, actor\n1.0, 2024-01-02T00:00, visit, lead"
    found = told(read(write_project(tmp_path, activities=activities)), "error")
    assert "not one row is of a lead in the leads table; are the ids written the same way?" in found


def test_an_address_among_unknown_leads_is_not_shown(tmp_path):
    activities = ACTIVITIES + "    ann@example.org, 2024-01-02T00:00:00, visit, lead\n"
    found = told(read(write_project(tmp_path, activities=activities)), "left out")
    assert "an e-mail address" in found
    assert "ann@" not in found


def test_an_outcome_before_the_lead_was_created(tmp_path):
    outcomes = OUTCOMES + "    c, won, 2023-12-31T23:59:59\n"
    dataset = read(write_project(tmp_path, outcomes=outcomes))
    assert (
        "outcomes, column 'closed_at': the outcome is earlier than the lead's creation, 1 rows, "
        "for example lead 'c'" in told(dataset, "error")
    )


def test_won_on_the_day_of_creation_when_only_dates_are_known(tmp_path):
    # Known at the end of 5 January, but it may have been won at noon; it counts from the day's end.
    path = write_project(
        tmp_path, leads="lead_id, created_at\na, 2024-01-05", activities=None,
        outcomes="lead_id, outcome, closed_at\na, won, 2024-01-05T12:00",
    )  # fmt: skip
    dataset = read(path)
    assert not dataset.findings.errors
    assert rows(dataset.outcomes, "closed_at") == [("2024-01-06",)]


def test_a_decided_outcome_needs_its_time_an_open_one_does_not(tmp_path):
    outcomes = OUTCOMES + "    c, lost,\n"
    found = told(read(write_project(tmp_path, outcomes=outcomes)), "error")
    assert "column 'closed_at': outcomes without a closing time, 1 rows, for example lead 'c'" in found
    # A CRM gives open deals an expected closing date, in the future: no mistake, and no outcome.
    outcomes = OUTCOMES + "    c, open, 2027-01-01T00:00:00\n"
    dataset = read(write_project(tmp_path, outcomes=outcomes))
    assert not dataset.findings.errors
    assert rows(dataset.outcomes, "lead_id") == [("a",), ("b",)]


def test_words_that_are_no_outcome_must_be_given_a_meaning(tmp_path):
    outcomes = OUTCOMES.replace("won,", "Closed Won,")
    message = refused(write_project(tmp_path, outcomes=outcomes))
    assert "Outcomes 'Closed Won' have no meaning yet" in message
    assert "outcomes.csv, column 'outcome'" in message
    in_outcomes = (
        'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
        'values = { won = ["CLOSED won"] }'
    )
    dataset = read(write_project(tmp_path, outcomes=outcomes, in_outcomes=in_outcomes))
    assert rows(dataset.outcomes, "lead_id", "outcome") == [("a", "won"), ("b", "lost")]


def test_actors_that_are_not_mapped(tmp_path):
    activities = ACTIVITIES.replace("lead\n", "robot\n")
    with pytest.raises(ConfigurationError) as error:
        read(write_project(tmp_path, activities=activities))
    assert "Actors 'robot' are not mapped" in error.value.message
    assert "column 'actor'" in error.value.message
    mapped = 'kind = "kind"\nactor = "actor"\nactors = { robot = "marketing" }'
    dataset = read(write_project(tmp_path, activities=activities, in_activities=mapped))
    assert {actor for (actor,) in rows(dataset.activities_all, "actor")} == {"marketing"}


def test_activities_without_an_actor_are_the_leads_own_and_noted(tmp_path):
    dataset = read(write_project(tmp_path, activities=ACTIVITIES + "    b, 2024-01-05T00:00:00, visit,\n"))
    assert ("b", "lead") in rows(dataset.activities_all, "lead_id", "actor")
    assert "column 'actor': without an actor, taken as the lead's own, 1 rows" in told(dataset, "note")


def test_kinds_that_the_configuration_names_and_no_row_has_are_noted(tmp_path):
    path = write_project(
        tmp_path, in_activities='kind = "kind"\nactors = { visits = "sales" }',
        in_outcomes='table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\n'
        'activity_kinds = ["signed"]',
    )  # fmt: skip
    found = told(read(path), "note")
    assert "`actors` names the kind 'visits', which does not occur. Did you mean 'visit'?" in found
    assert "`activity_kinds` names the kind 'signed', which does not occur." in found


def test_activities_without_a_kind_or_with_text_for_a_value(tmp_path):
    path = write_project(
        tmp_path,
        activities="""
            lead_id, occurred_at,      kind,  seconds
            a,       2024-01-02T00:00, visit, 10
            a,       2024-01-02T00:00, ,      10
            b,       2024-01-02T00:00, visit, ten
        """,
        in_activities='kind = "kind"\nvalue = "seconds"',
    )
    found = told(read(path), "error")
    assert "activities without a kind, 1 rows" in found
    assert "column 'seconds': text where a number should be, 1 rows, for example 'ten'" in found


def test_an_amount_that_is_text(tmp_path):
    path = write_project(
        tmp_path, outcomes="lead_id, outcome, closed_at, amount\na, won, 2024-01-10T00:00, 5k",
        in_outcomes='table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\namount = "amount"',
    )  # fmt: skip
    assert "column 'amount': text where a number should be, 1 rows, for example '5k'" in told(
        read(path), "error"
    )


def test_all_mistakes_are_raised_as_one_message_with_what_to_do(tmp_path):
    leads = LEADS + "    a, soon\n"
    dataset = read(write_project(tmp_path, leads=leads))
    with pytest.raises(DataError) as error:
        dataset.findings.raise_errors()
    assert "2 things are wrong with the data" in error.value.message
    assert "times that cannot be read" in error.value.message
    assert "ids are repeated" in error.value.message
    assert "propense check" in error.value.todo
    assert "tolerate" in error.value.todo


# --- several tables, none, and flat ones ---


def test_several_activity_tables_are_one(tmp_path):
    path = write_project(
        tmp_path,
        sections="""
            [[activities]]
            table = "calls.csv"
            lead_id = "who"
            occurred_at = "when"
            kind_is = "call"
            actor_is = "sales"
            channel_is = "phone"
        """,
        files={"calls.csv": "when, who\n2024-01-05T00:00, b"},
    )
    dataset = read(path)
    assert rows(dataset.activities_all, "lead_id", "kind", "actor", "channel") == [
        ("a", "visit", "lead", None),
        ("b", "call", "sales", "phone"),
        ("c", "visit", "lead", None),
    ]
    assert dataset.counts["activities no. 2"]["rows"] == 1


def test_no_activities_at_all(tmp_path):
    dataset = read(write_project(tmp_path, activities=None))
    assert dataset.activities_all.count().execute() == 0
    assert not dataset.findings.errors


def flat(tmp_path, table: str, more: str = ""):
    (tmp_path / "flat.csv").write_text(plain(table))
    return write_config(
        tmp_path, f'[project]\nname = "flat"\n[leads]\ntable = "flat.csv"\nlabel = "won"\n{more}\n'
    )


def test_a_flat_table(tmp_path):
    table = "visits, won, state\n1, yes, done\n2, no, done\n3, , open\n4, , "
    path = flat(tmp_path, table, '[leads.open_when]\ncolumn = "state"\nvalues = ["open"]')
    dataset = read(path)
    assert rows(dataset.labels, "lead_id", "label", "open") == [
        ("1", 1, False), ("2", 0, False), ("3", None, True), ("4", None, False),
    ]  # fmt: skip
    assert "column 'won': neither labelled nor open, 1 rows" in told(dataset, "left out")
    assert [a.name for a in dataset.tables.attributes] == ["visits"]


def test_a_label_that_missing_values_made_floating(tmp_path):
    path = flat(tmp_path, "won\n1")
    pd.DataFrame({"won": [1.0, 0.0, None], "x": [1, 2, 3]}).to_parquet(tmp_path / "flat.parquet")
    path.write_text(path.read_text().replace("flat.csv", "flat.parquet"))
    assert rows(read(path).labels, "label") == [(0,), (1,), (None,)]


@pytest.mark.parametrize(
    ("values", "in_order"),
    [(["30", "4", "100"], ["2", "1", "3"]), (["2024-02-01", "2024-01-01", "2024-03-01"], ["2", "1", "3"])],
)
def test_rows_are_ordered_by_a_column_of_numbers_or_of_times(tmp_path, values, in_order):
    table = "won, n\n" + "\n".join(f"1, {value}" for value in values)
    labels = read(flat(tmp_path, table, 'order_by = "n"')).labels
    assert labels.order_by("position").lead_id.execute().tolist() == in_order


def test_rows_that_cannot_be_ordered_are_told(tmp_path):
    dataset = read(flat(tmp_path, "won, n\n1, 5\n0, soon", 'order_by = "n"'))
    assert "order_by needs a number or a time in every row, 1 rows, for example 'soon'" in told(
        dataset, "error"
    )
