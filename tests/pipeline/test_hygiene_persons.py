"""Leads of one person become one lead, and no later lead changes what was known before it existed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from project import read, rows, write_project

from features.past import Past
from pipeline.configuring import read_config
from pipeline.hygiene.duplicates import NO_KEYS, assign, recognised_by
from pipeline.hygiene.identity import read_identities
from pipeline.hygiene.merging import merged_outcomes
from pipeline.preparation import at_moment
from pipeline.snapshots import episodes, group_of
from pipeline.source.engine import Engine
from pipeline.source.findings import Findings
from pipeline.source.leads import Reading

EMAIL = 'email = "mail"\nattributes = []'


def people(folder, *who: str, in_leads: str = EMAIL, **project):
    """A project whose leads are created one a day, from 1 January on; `who` is ``mail, name, company``."""
    lines = ["lead_id, created_at, mail, name, company"]
    lines += [f"{chr(97 + i)}, 2024-01-{i + 1:02}T00:00:00, {line}" for i, line in enumerate(who)]
    project = {"activities": None, "outcomes": "lead_id, outcome, closed_at\na, open,", **project}
    return read(write_project(folder, leads="\n".join(lines), in_leads=in_leads, **project))


def merged(dataset) -> dict[str, str]:
    removed = dataset.hygiene.removed
    return dict(zip(removed["lead_id"], removed["survivor_id"], strict=True))


SAME = [
    ("Ann.Lee@Acme.example,,", " ann.lee@acme.example,,"),
    ("ann@acme.example,,", "ann+news@acme.example,,"),
    ("ann.lee@gmail.com,,", "annlee@googlemail.com,,"),
    ("info@a.example, Ann Lee,", "info@a.example, Lee Ann,"),
    (", Ann Lee, Acme", ", ann  lee, ACME"),
    (", Élodie Müller, Société Dupont", ", elodie muller, societe dupont"),
    (", Lee Ann, Acme GmbH", ", Dr. Ann Lee, Acme GmbH & Co. KG"),
    (", Ann Lee, Dupont S.A.R.L.", ", Ann Lee, Dupont"),
    (", Ann Lee, Acme Ltd.", ", Ann Lee, Acme Inc."),
]
DIFFERENT = [
    ("ann.lee@acme.example,,", "annlee@acme.example,,"),  # dots matter outside Gmail
    ("ann@acme.example,,", "ann@other.example,,"),
    ("info@acme.example,,", "info@acme.example,,"),  # a mailbox that colleagues share, and no name
    ("info@acme.example, Ann Lee,", "info@acme.example, Ben Lee,"),
    ("no-reply@acme.example,,", "no-reply@acme.example,,"),
    ("nonsense,,", "nonsense,,"),
    (",,", ",,"),
    (", Ann Lee, Acme", ", Ann Lee, Nord"),
    (", Ann Lee, Acme", ", Ben Lee, Acme"),
    (", Ann Lee,", ", Ann Lee,"),
    (", , Acme", ", , Acme"),
    (", Lee, Acme", ", Lee, Acme"),  # a surname alone, at a large company
    (", Ann Lee, unknown", ", Ann Lee, unknown"),
    (", Ann Lee, n/a", ", Ann Lee, n/a"),
    (", Ann Lee, Gmbh", ", Ann Lee, AG"),
    (", Unknown Unknown, Acme", ", Unknown Unknown, Acme"),
    (", n/a n/a, Acme", ", n/a n/a, Acme"),
    (", Ann Lee, Freiberufler", ", Ann Lee, Freiberufler"),
    (", Ann Lee, Not applicable", ", Ann Lee, Not applicable"),
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> dict[str, set[str]]:
    """By what each spelling of `SAME` and `DIFFERENT` is recognised."""
    spellings = list(dict.fromkeys(who for pair in SAME + DIFFERENT for who in pair))
    folder = tmp_path_factory.mktemp("spellings")
    lines = [f"{i}, {who}" for i, who in enumerate(spellings)]
    config = read_config(
        write_project(folder, leads="\n".join(["lead_id, mail, name, company", *lines]), in_leads=EMAIL)
    )
    reading = Reading(Engine(), config, datetime(2024, 2, 1), Findings())
    who = read_identities(reading, reading.open("leads", config.leads))
    found: dict[str, set[str]] = {spelling: set() for spelling in spellings}
    for lead, key in rows(recognised_by(who.table), "lead_id", "key"):
        found[spellings[int(lead)]].add(key)
    return found


@pytest.mark.parametrize(("first", "second"), SAME)
def test_spellings_of_one_person(keys, first, second):
    assert keys[first] & keys[second]


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_what_does_not_make_two_leads_one_person(keys, first, second):
    assert not keys[first] & keys[second]


@pytest.mark.parametrize(
    ("first", "second", "one"),
    [
        ("keine@keine.de, Ann Lee, Bosch", "keine@keine.de, Max Kohl, Siemens", False),
        ("familie.x@web.de, Ann Lee,", "familie.x@web.de, Max Kohl,", False),
        ("a.lee@acme.com, Ann Lee, Acme", "a.lee@acme.com, A. Lee, Acme", True),
        ("a.lee@acme.com, Ann Lee, Acme", "a.lee@acme.com, , Acme", True),
    ],
)
def test_one_address_with_two_names_is_not_one_person(tmp_path, first, second, one):
    assert bool(merged(people(tmp_path, first, second))) is one


def test_what_too_many_share_is_no_person(tmp_path):
    """21 leads of one name at one company are a placeholder that no list has; 20 are the most that merge."""
    twenty_one = people(tmp_path, *[",Hans Muster, Musterbau"] * 21)
    assert merged(twenty_one) == {}
    assert twenty_one.hygiene["duplicates"].details["shared_by_too_many"] == 1
    assert len(merged(people(tmp_path, *[",Hans Muster, Musterbau"] * 20))) == 19


def test_a_later_lead_joins_the_earliest_but_does_not_make_two_people_one(tmp_path):
    """c has the address of b and the name of a: it is a's; that a and b are one was not known before c."""
    dataset = people(
        tmp_path, "a@x.example, Ann Lee, Acme", "b@x.example,,", "b@x.example, Ann Lee, Acme", "b@x.example,,"
    )
    assert merged(dataset) == {"c": "a", "d": "a"}


def test_first_and_last_name_in_the_columns_that_are_usual(tmp_path):
    leads = """
        lead_id, created_at,          Vorname, Nachname, Firma
        b,       2024-01-02T00:00:00, Ann,     Lee,      Acme AG
        a,       2024-01-03T00:00:00, ann,     LEE,      Acme
        c,       2024-01-02T00:00:00, Ann,     Lee,      acme ag
    """
    outcomes = "lead_id, outcome, closed_at\na, open,"
    path = write_project(
        tmp_path, leads=leads, outcomes=outcomes, activities=None, in_leads="attributes = []"
    )
    # The earliest survives, by id among those of one moment.
    assert merged(read(path)) == {"a": "b", "c": "b"}


def test_configured_columns(tmp_path):
    leads = "lead_id, created_at, x, y\na, 2024-01-01, Ann Lee, Acme\nb, 2024-01-02, Ann Lee, Acme"
    path = write_project(
        tmp_path, leads=leads, outcomes="lead_id, outcome, closed_at\na, open,", activities=None,
        in_leads="attributes = []", sections='[hygiene]\nname = ["x"]\ncompany = "y"',
    )  # fmt: skip
    assert merged(read(path)) == {"b": "a"}


def test_off_by_one_line_and_without_columns(tmp_path):
    same = ("ann@acme.example,,",) * 2
    off = people(tmp_path, *same, sections="[hygiene]\nduplicates = false")
    assert merged(off) == {}
    assert not off.hygiene["duplicates"].on
    assert off.tables.leads.count().execute() == 2
    none = read(write_project(tmp_path))
    assert none.hygiene["duplicates"].done == "not possible: no such columns"
    assert none.hygiene["duplicates"].found == 0


TWO = ("ann@acme.example,,", "other@acme.example,,", "ann@acme.example,,")  # created on 1, 2 and 3 January


def test_everything_dated_goes_to_the_survivor_and_is_not_known_before_the_duplicate_was(tmp_path):
    activities = """
        lead_id, occurred_at,         kind,  actor
        a,       2024-01-02T10:00:00, visit, lead
        c,       2024-01-01T10:00:00, visit, lead
        c,       2024-01-05T10:00:00, offer, lead
    """
    titles = """
        lead_id, at,         title, country
        a,       2024-01-01, clerk, FR
        c,       2024-01-04, chief,
    """
    dataset = people(
        tmp_path, *TWO, activities=activities, files={"titles.csv": titles}, in_leads=EMAIL,
        sections='[[history]]\ntable = "titles.csv"\nlead_id = "lead_id"\nknown_at = "at"\n'
        'attributes = ["title", "country"]',
    )  # fmt: skip
    # c's visit of 1 January, before c was created on the 3rd, happened then and is known from the 3rd on.
    assert rows(dataset.tables.activities, "lead_id", "kind", "occurred_at", "known_at") == [
        ("a", "offer", "2024-01-05 10:00", "2024-01-05 10:00"),
        ("a", "visit", "2024-01-01 10:00", "2024-01-03"),
        ("a", "visit", "2024-01-02 10:00", "2024-01-02 10:00"),
    ]
    # A date is known at the end of its day; what the second form did not ask for stays known.
    assert rows(dataset.tables.versions[0], "lead_id", "known_at", "title", "country") == [
        ("a", "2024-01-02", "clerk", "FR"),
        ("a", "2024-01-05", "chief", "FR"),
    ]
    measure = dataset.hygiene["duplicates"]
    assert (measure.found, measure.leads, measure.activities) == (1, 1, 2)
    assert dataset.counts["leads"]["rows"] == 3  # as read
    assert rows(dataset.tables.leads, "lead_id") == [("a",), ("b",)]


def test_attributes_without_times_stay_the_survivors_own(tmp_path):
    dataset = people(
        tmp_path,
        "ann@acme.example,, ",
        "ann@acme.example,, Acme",
        in_leads='email = "mail"\nattributes = ["company"]\ntypes = { company = "category" }',
    )
    assert rows(dataset.tables.leads, "lead_id", "company") == [("a", None)]


def closings(outcomes: str, records: str, reasons=("test", "spam", "duplicate")) -> list[tuple]:
    """Outcomes of one person, `day outcome [reason]` by record, from records `name day-created`."""
    lines = [line.split() for line in outcomes.strip().splitlines()]
    frame = pd.DataFrame(
        {
            "lead_id": [line[0] for line in lines],
            "outcome": [line[2] for line in lines],
            "closed_at": pd.to_datetime([f"2024-01-{line[1]}" for line in lines]).astype("datetime64[us]"),
            "reason": pd.Series([line[3] if len(line) > 3 else None for line in lines], dtype="str"),
        }
    )
    born = [line.split() for line in records.strip().splitlines()]
    theirs = pd.DataFrame({"lead_id": [b[0] for b in born], "survivor_id": born[0][0]})
    theirs["created_at"] = pd.to_datetime([f"2024-01-{b[1]}" for b in born])
    found = merged_outcomes(frame, theirs, list(reasons))
    assert set(found["lead_id"]) <= {born[0][0]}
    return [(r.closed_at.day, r.outcome, None if pd.isna(r.reason) else r.reason) for r in found.itertuples()]


CLOSINGS = {
    "a duplicate's win is the person's": ("b 09 won", "a 01\nb 02", [(9, "won", None)]),
    "closed as a duplicate says nothing": ("b 09 disqualified duplicate", "a 01\nb 02", []),
    "the survivor closed as the duplicate": ("a 09 disqualified duplicate", "a 01\nb 02", []),
    "spam is spam, but only when all is closed": ("b 09 disqualified spam", "a 01\nb 02", []),
    "lost while another record is open": ("a 05 lost", "a 01\nb 02", []),
    "lost before the other existed": ("a 05 lost", "a 01\nb 06", [(5, "lost", None)]),
    "lost in both": ("a 05 lost\nb 07 lost", "a 01\nb 02", [(7, "lost", None)]),
    "lost, then the last one a duplicate": (
        "a 05 lost budget\nb 07 disqualified duplicate", "a 01\nb 02", [(7, "lost", "budget")],
    ),
    "lost in one, won in the other": ("a 05 lost\nb 07 won", "a 01\nb 02", [(7, "won", None)]),
    "duplicates of a third": (
        "a 05 disqualified duplicate\nb 07 disqualified duplicate", "a 01\nb 02",
        [(7, "disqualified", "duplicate")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CLOSINGS)
def test_a_person_is_open_as_long_as_one_record_is_and_won_with_any(case):
    outcomes, records, expected = CLOSINGS[case]
    assert closings(outcomes, records) == expected


def test_closing_a_duplicate_does_not_close_the_survivor(tmp_path):
    outcomes = """
        lead_id, outcome,      closed_at,           reason
        c,       disqualified, 2024-01-08T00:00:00, Duplicate
        b,       lost,         2024-01-09T00:00:00, budget
    """
    reason = 'table = "outcomes.csv"\noutcome = "outcome"\nclosed_at = "closed_at"\nreason = "reason"'
    dataset = people(tmp_path, *TWO, outcomes=outcomes, in_outcomes=reason)
    assert rows(dataset.outcomes, "lead_id", "outcome") == [("b", "lost")]
    _, keys = at_moment(dataset, datetime(2024, 1, 20))
    assert keys["lead_id"].tolist() == ["a"]


def test_who_comes_back_after_being_lost_has_a_new_lead_in_the_same_group(tmp_path):
    """Merged into the lost lead the new one would never be scored."""
    dataset = people(tmp_path, *TWO, outcomes="lead_id, outcome, closed_at\na, lost, 2024-01-02T12:00:00")
    assert merged(dataset) == {}
    assert dataset.hygiene.came_back.to_numpy().tolist() == [["c", "a"]]
    assert dataset.hygiene["duplicates"].details["came_back"] == 1
    leads = dataset.tables.leads
    groups = dict(rows(leads.select("lead_id", group=group_of(leads)), "lead_id", "group"))
    assert groups["a"] == groups["c"] != groups["b"]
    _, keys = at_moment(dataset, datetime(2024, 1, 20))
    assert keys["lead_id"].tolist() == ["b", "c"]


def test_a_customer_who_fills_a_form_again_is_no_new_lead(tmp_path):
    dataset = people(tmp_path, *TWO, outcomes="lead_id, outcome, closed_at\na, won, 2024-01-02T12:00:00")
    assert merged(dataset) == {"c": "a"}


def test_a_survivor_whose_duplicate_was_won_is_accounted_for(tmp_path):
    """a is open in its own record when c is won on the 9th: not scored from then on, and not lost."""
    dataset = people(tmp_path, *TWO, outcomes="lead_id, outcome, closed_at\nc, won, 2024-01-09T00:00:00")

    def at(as_of: datetime) -> tuple[list[str], list[tuple[str, str]]]:
        out = dataset.hygiene.left_out_at(as_of)
        return at_moment(dataset, as_of)[1]["lead_id"].tolist(), list(
            zip(out["lead_id"], out["reason"], strict=True)
        )

    assert at(datetime(2024, 1, 9)) == (["a", "b"], [("c", "duplicate")])
    assert at(datetime(2024, 1, 9, 1)) == (["b"], [("a", "customer")])


def test_a_survivor_is_a_customer_from_when_its_duplicate_was(tmp_path):
    leads = """
        lead_id, created_at, since,      mail
        a,       2024-01-01, ,           ann@acme.example
        b,       2024-01-05, 2024-01-03, ann@acme.example
    """
    path = write_project(
        tmp_path, leads=leads, outcomes="lead_id, outcome, closed_at\na, open,", activities=None,
        in_leads='customer_since = "since"\nemail = "mail"\nattributes = []',
    )  # fmt: skip
    # Known of the person only since the second record exists: from the end of 5 January on.
    assert rows(read(path).tables.leads, "lead_id", "customer_since") == [("a", "2024-01-06")]


def test_records_of_a_flat_table(tmp_path):
    """Won if any was won, else open if any is open; the first row survives."""
    lines = ["id,mail,converted,phase"]
    cases = [
        ("ann", "0,done", "1,done"),
        ("ben", "0,done", ",open"),
        ("cid", "1,done", ",open"),
        ("dan", "0,done", "0,done"),
    ]
    lines += [f"{n}1,{n}@a.example,{first}" for n, first, _ in cases]
    lines += [f"{n}2,{n}@a.example,{second}" for n, _, second in cases]
    (tmp_path / "leads.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "propense.toml").write_text(
        '[project]\nname = "flat"\n[leads]\ntable = "leads.csv"\nid = "id"\nlabel = "converted"\n'
        'order_by = "row"\nemail = "mail"\nattributes = []\n'
        'open_when = { column = "phase", values = ["open"] }'
    )
    dataset = read(tmp_path / "propense.toml")
    assert rows(dataset.labels, "lead_id", "label", "open") == [
        ("ann1", 1, False), ("ben1", None, True), ("cid1", 1, False), ("dan1", 0, False),
    ]  # fmt: skip
    assert merged(dataset) == {f"{n}2": f"{n}1" for n in ("ann", "ben", "cid", "dan")}
    assert dataset.hygiene.left_out_at(datetime(2024, 1, 1))["lead_id"].tolist() == ["ben2", "cid2"]


@st.composite
def histories(draw):
    """Leads with keys from a small world, so that they meet; times in hours, and perhaps an end."""
    leads = draw(st.integers(2, 7))
    table = []
    for i in range(leads):
        created = draw(st.integers(0, 40))
        end = draw(st.none() | st.integers(created, 60))
        won = draw(st.booleans()) if end is not None else False
        keys = draw(st.sets(st.sampled_from("uvwxyz"), min_size=1, max_size=2))
        table += [(f"l{i}", key, created, end, end if won else None) for key in sorted(keys)]
    frame = pd.DataFrame(table, columns=["lead_id", "key", "created_at", "closed_at", "won_at"])
    origin = pd.Timestamp(2024, 1, 1)
    for column in ("created_at", "closed_at", "won_at"):
        frame[column] = (origin + pd.to_timedelta(frame[column].astype(float), unit="h")).astype(
            "datetime64[us]"
        )
    return (
        frame.astype({"lead_id": "str", "key": "str"})
        .assign(name=None)
        .sort_values(["created_at", "lead_id", "key"])
    )


@given(histories(), st.integers(0, 45))
@settings(max_examples=40, deadline=None)
def test_what_becomes_of_a_lead_does_not_depend_on_what_follows(table, hours):
    """Cut the world at a moment: leads created before it are merged as with the whole future known."""
    cut = pd.Timestamp(2024, 1, 1) + timedelta(hours=hours)
    before = table[table["created_at"] < cut].copy()
    for column in ("closed_at", "won_at"):
        before[column] = before[column].where(before[column] < cut)
    whole, part = assign(table), assign(before)
    for all_of_it, then in zip(whole, part, strict=True):
        same = all_of_it[all_of_it["lead_id"].isin(before["lead_id"])]
        assert same.to_numpy().tolist() == then.to_numpy().tolist()


def test_nobody_is_no_one():
    assert [len(table) for table in assign(NO_KEYS)] == [0, 0]


def test_a_later_duplicate_changes_nothing_in_an_earlier_snapshot(tmp_path):
    """The duplicate d is created at the very moment of the snapshot; it visited before, and is won after."""
    as_of = datetime(2024, 1, 8)
    seen = []
    for late in (False, True):
        leads = """
            lead_id, created_at,          mail
            a,       2024-01-01T00:00:00, ann@acme.example
            b,       2024-01-02T00:00:00, ben@acme.example
        """
        activities = """
            lead_id, occurred_at,         kind,  actor
            a,       2024-01-02T10:00:00, visit, lead
        """
        outcomes = "lead_id, outcome, closed_at\nb, lost, 2024-01-20T00:00:00"
        if late:
            leads += "\nd, 2024-01-08T00:00:00, ann@acme.example"
            activities += "\nd, 2024-01-02T11:00:00, visit, lead\nd, 2024-01-09T11:00:00, call, sales"
            outcomes += "\nd, won, 2024-01-10T00:00:00"
        path = write_project(tmp_path, leads=leads, activities=activities, outcomes=outcomes, in_leads=EMAIL)
        dataset = read(path)
        snapshots, keys = at_moment(dataset, as_of)
        known = Past(dataset.tables, snapshots)
        frames = [known.activities.to_pandas(), known.attributes.to_pandas()]
        frames = [f.sort_values(list(f.columns), ignore_index=True) for f in frames]
        spans = episodes(dataset, for_scoring=True).filter(lambda t: t.opened_at < as_of)
        seen.append((keys, *frames, rows(spans, "lead_id", "episode", "opened_at")))
    for first, second in zip(*seen, strict=True):
        if isinstance(first, list):
            assert first == second
        else:
            pd.testing.assert_frame_equal(first, second)
