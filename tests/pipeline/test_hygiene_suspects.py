"""Test leads, employees and classes of addresses: who is left out, who is not accused, and what is told."""

from __future__ import annotations

import json
from datetime import datetime

import pandas as pd
import pytest
from project import read, rows, write_project

from features.errors import DataError
from pipeline import score
from pipeline.hygiene.account import MEASURES
from pipeline.preparation import at_moment

# mail, name, company
TESTS = [
    "test@acme.example, Ann Lee, Acme",
    "test123@gmail.com,,",
    "test.user@acme.example,,",
    "Testaccount2@acme.example,,",
    "demo@acme.example,,",
    "asdfasdf@web.de,,",
    "ann+test@acme.example, Ann Lee, Acme",
    "ann@example.com, Ann Lee, Acme",
    "ann@mail.example.org, Ann Lee, Acme",
    "ann@shop.test, Ann Lee, Acme",
    "ann@nowhere.invalid, Ann Lee, Acme",
    ", Test Test, Acme",
    ", Test User,",
    ", asdf qwertz,",
    "ann@acme-test.example, Ann Test, Acme",
    "j.lee@acme.example, Test, Test GmbH",
    "abc@test.com,,",
]
HONEST = [
    "mike@acme.example, Mike Tester, Acme",
    "claire.demont@acme.example, Claire Demont, Demont SA",
    "ann@testo.example, Ann Lee, Testo SE",
    "zack.test@acme.example, Zack Test, Acme",  # there are people of this name
    "demo.papas@acme.example, Demo Papas, Acme",
    "info@crash-test.example, , Crash Test SA",
    "ann@test.de, Ann Lee, Stiftung Warentest",
    "ann@drug-test.example, Ann Lee, Drug Test Ltd",
    "ann@democracy.example, Ann Lee, Democracy Now",
    "latest@acme.example, Ann Lee, Contest",
    "attest@greatest.example, Ann Lee, Protest",
    "ann+demo@acme.example, Ann Lee, Acme",  # a real lead's own label for what it asked for
    "ann@acme.example, Ann Lee, Test",
    "ann@shop.example, Ann Lee, Acme",
    "ann@examples.com, Ann Lee, Example Inc",
    "x@acme.example, X, Acme",
    ", , Test",
    ", ,",
]


def leads_of(people: list[str], columns: str = "mail, name, company") -> str:
    lines = [f"{i:02}, 2024-01-01T00:00:00, {who}" for i, who in enumerate(people)]
    return "\n".join([f"lead_id, created_at, {columns}", *lines])


def project(folder, people, sections="", in_leads='email = "mail"\nattributes = []', **more):
    return write_project(
        folder, leads=leads_of(people), outcomes="lead_id, outcome, closed_at\n00, open,",
        activities=None, in_leads=in_leads, sections=f"[hygiene]\nduplicates = false\n{sections}", **more,
    )  # fmt: skip


def test_tests_are_left_out_and_honest_people_are_not_accused(tmp_path):
    people = [*TESTS, *HONEST]
    dataset = read(project(tmp_path, people))
    accused = {people[int(lead)] for lead in dataset.hygiene.removed["lead_id"]}
    assert accused == set(TESTS)
    assert set(dataset.hygiene.removed["reason"]) == {"test"}
    assert dataset.hygiene["tests"].found == len(TESTS)
    assert dataset.tables.leads.count().execute() == len(HONEST)
    assert dataset.counts["leads"]["rows"] == len(people)


def test_addresses_made_anonymous_are_no_tests(tmp_path):
    """Two of four addresses in reserved domains are more than a fifth: it is how the file was made."""
    people = ["ann@example.com,,", "ben@example.org,,", "cid@acme.example,,", "dan@acme.example,,"]
    assert read(project(tmp_path, people)).hygiene["tests"].found == 0


def test_employees_by_their_domain_and_those_below_it(tmp_path):
    people = [f"ann@{d},," for d in ("own.example", "Mail.Own.example", "notown.example", "own.example.net")]
    dataset = read(project(tmp_path, people, 'own_domains = ["@Own.example"]'))
    assert rows(dataset.tables.leads, "email_domain") == [("notown.example",), ("own.example.net",)]
    assert dataset.hygiene["employees"].leads == 2
    assert set(dataset.hygiene.removed["reason"]) == {"employee"}


def test_classes_of_addresses_are_counted_and_left_out_only_where_named(tmp_path):
    people = [f"ann@{d},," for d in ("gmail.com", "gmx.de", "tum.de", "mailinator.com", "acme.example")]
    kept = read(project(tmp_path, people)).hygiene
    assert [(kept[n].found, kept[n].done, kept[n].leads) for n in ("personal", "student", "disposable")] == [
        (2, "kept as a feature", 0), (1, "kept as a feature", 0), (1, "kept as a feature", 0),
    ]  # fmt: skip
    left_out = read(project(tmp_path, people, 'leave_out = ["personal", "disposable"]'))
    assert rows(left_out.tables.leads, "email_domain") == [("acme.example",), ("tum.de",)]
    assert left_out.hygiene.removed["reason"].tolist() == [
        "personal_address", "personal_address", "disposable_address",
    ]  # fmt: skip
    assert left_out.hygiene["student"].done == "kept as a feature"


def test_each_measure_is_told_whatever_there_is_and_off_by_one_line(tmp_path):
    without = read(write_project(tmp_path)).hygiene
    assert tuple(m.name for m in without.measures) == MEASURES
    assert without["tests"].done == "not possible: no such columns"
    off = "tests = false\nbots = false\nimpossible = false"
    switched_off = read(project(tmp_path, TESTS, off)).hygiene
    assert [m.name for m in switched_off.measures if m.on] == ["personal", "student", "disposable"]
    assert switched_off["tests"].words == "Switched off: tests = false under [hygiene]."
    assert len(switched_off.removed) == 0


def test_a_column_that_the_configuration_names_must_be_there(tmp_path):
    with pytest.raises(DataError, match="'nobody'"):
        read(project(tmp_path, TESTS, 'name = ["nobody"]'))


def test_mistakes_in_the_data_come_first(tmp_path):
    """With an id twice nothing can be trained; merging by ids would only add confusion."""
    leads = "lead_id, created_at, mail\na, 2024-01-01, test@a.example\na, 2024-01-02, test@a.example"
    path = write_project(tmp_path, leads=leads, outcomes="lead_id, outcome, closed_at\na, open,",
                         in_leads='email = "mail"\nattributes = []')  # fmt: skip
    dataset = read(path)
    assert dataset.findings.errors
    assert {m.done for m in dataset.hygiene.measures} == {"not looked for"}


def test_no_address_name_or_company_is_told(tmp_path):
    people = [*TESTS, *HONEST]
    dataset = read(project(tmp_path, people))
    told = json.dumps(dataset.hygiene.to_dict())
    for cell in (cell.strip() for who in people for cell in who.split(",")):
        assert len(cell) < 5 or cell not in told.replace("a test lead", "")
    assert "@" not in told
    assert "@" not in dataset.hygiene.removed.to_csv()


OUTCOMES = """
    lead_id, outcome,      closed_at
    02,      lost,         2024-01-10T00:00:00
    05,      lost,         2024-01-09T00:00:00
"""
# 00 is honest; 01 and 02 are tests (02 was closed on the 10th), 03 and 05 repeat 00, 04 is sales'.
RAW = [
    "ann@acme.example,,", "test@acme.example,,", "test2@acme.example,,", "ann@acme.example,,",
    "eva@acme.example,,", "ann@acme.example,,",
]  # fmt: skip


@pytest.fixture
def scored(tmp_path):
    """A project's open leads at a moment, with what `score` leaves out of them; `given` leads all."""
    activities = "lead_id, occurred_at, kind, actor\n04, 2024-01-05T00:00:00, call, sales"
    path = write_project(tmp_path, leads=leads_of(RAW), outcomes=OUTCOMES, activities=activities,
                         in_leads='email = "mail"\nattributes = []')  # fmt: skip
    dataset = read(path)

    def at(as_of: datetime, *, given: bool = False) -> score.Scored:
        keys = at_moment(dataset, as_of)[1]
        scores = keys.loc[~keys["handed_over"], ["lead_id"]]
        excluded = score._excluded(dataset, keys, as_of, given=given)
        return score.Scored(scores, excluded, None, dataset, "run")  # type: ignore[arg-type]

    return at


def test_scored_and_excluded_are_all_open_leads_of_the_raw_table(scored):
    found = scored(datetime(2024, 1, 10))
    assert found.scores["lead_id"].tolist() == ["00"]
    out = found.excluded.astype(object).where(found.excluded.notna(), None)
    assert sorted(out.itertuples(index=False, name=None)) == [
        ("01", "test", None),
        ("02", "test", None),  # closed on the 10th at 00:00: still open strictly before
        ("03", "duplicate", "00"),
        ("04", "handed_over", None),
    ]  # 05 was lost on the 9th
    later = scored(datetime(2024, 1, 10, 1))
    assert sorted(later.excluded["lead_id"]) == ["01", "03", "04"]
    assert scored(datetime(2024, 1, 1)).excluded.empty  # nobody existed yet


def test_of_leads_given_every_one_is_accounted_for_once(scored):
    found = scored(datetime(2024, 2, 1), given=True)
    everyone = pd.concat([found.scores["lead_id"], found.excluded["lead_id"]])
    assert sorted(everyone) == ["00", "01", "02", "03", "04", "05"]


def test_the_story_of_a_removed_lead_is_what_happened_to_it(scored):
    found = scored(datetime(2024, 1, 10))
    with pytest.raises(DataError, match="'03' is the same person as lead '00' and was merged into it"):
        score.one_lead(found, "03")
    with pytest.raises(DataError, match="'01' is left out: test"):
        score.one_lead(found, "01")
    with pytest.raises(DataError, match="sales has taken it over"):
        score.one_lead(found, "04")
