"""What of a run is sent, and what is not: small tables, with the reason in sight."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from delivery.fakes import (
    AS_OF,
    FIELDS,
    NO_FAILURES,
    NOTHING,
    failing,
    many,
    nobody,
    own,
    scores,
    settings,
    settled,
)

from features.errors import DeliveryError
from pipeline.delivery.payload import Scores
from pipeline.delivery.plan import Plan, make_plan
from pipeline.destinations.files import CsvSettings
from pipeline.levels import Levels

ONE = "lead propensity score band    grade ready reasons\n"
BEFORE = ONE + "1 0.50 50 nurture B2 no +quote,-big"
PROPENSITY = {"propensity": "p", "band": "band"}


def plan(
    run: Scores,
    written: pd.DataFrame = NOTHING,
    failed: pd.DataFrame = NO_FAILURES,
    *,
    keys: dict[str, str] | None = None,
    sequence: int = 2,
    fields: dict[str, str] = FIELDS,
    everything: bool = False,
    allow_clearing: bool = False,
    **more: Any,
) -> Plan:
    return make_plan(
        run, own(run) if keys is None else keys, sequence, settings(fields, **more), written, failed,
        everything=everything, allow_clearing=allow_clearing,
    )  # fmt: skip


def after(text: str = BEFORE, **more: Any) -> pd.DataFrame:
    """What is written once a run, the first, was delivered."""
    return settled(plan(scores(text), sequence=1, **more))


def why(found: Plan) -> dict[str, str]:
    """What is sent, and because of what."""
    return dict(zip(found.rows["lead_id"], found.rows["why"], strict=True))


def bands(found: Plan) -> list[Any]:
    return found.rows["band"].tolist()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1 0.50 50 mql     B2 no  +quote,-big", "band"),
        ("1 0.50 50 nurture B2 yes +quote,-big", "ready for sales"),
        ("1 0.50 50 nurture B3 no  +quote,-big", "grade"),
        ("1 0.50 53 nurture B2 no  +quote,-big", "score"),
        ("1 0.50 47 nurture B2 no  +quote,-big", "score"),
        ("1 0.50 50 nurture B2 no  +quote,+big", "reasons"),
        ("1 0.50 50 nurture B2 no  +quote", "reasons"),
        ("1 0.50 50 nurture B2 no  none", "reasons"),
        ("1 0.90 90 mql     A1 yes +demo", "band, ready for sales, grade, reasons, score"),
        ("2 0.50 50 nurture B2 no  +quote,-big", "new"),
    ],
)
def test_each_of_these_alone_makes_a_write(row: str, reason: str) -> None:
    lead = row.split()[0]
    assert why(plan(scores(ONE + row), after(), closed="freeze")) == {lead: reason}


@pytest.mark.parametrize(
    "row",
    [
        "1 0.50 50 nurture B2 no +quote,-big",
        "1 0.51 50 nurture B2 no +quote,-big",  # only the propensity
        "1 0.52 52 nurture B2 no +quote,-big",  # within the tolerance of 2 points
        "1 0.48 48 nurture B2 no +quote,-big",
        "1 0.50 50 nurture B2 no -big,+quote",  # the same reasons in another order
    ],
)
def test_none_of_these_does(row: str) -> None:
    found = plan(scores(ONE + row), after())
    assert (why(found), found.unchanged) == ({}, {"1"})


def test_another_model_run_and_moment_travel_along_and_trigger_nothing() -> None:
    tomorrow = AS_OF + timedelta(days=1)
    fields = {**FIELDS, "run_id": "run_id", "target": "target"}
    before = settled(plan(scores(BEFORE, model="3"), sequence=1, fields=fields))
    assert why(plan(scores(BEFORE, run="s", model="4", at=tomorrow), before, fields=fields)) == {}
    changed = scores(BEFORE.replace("nurture", "mql"), run="s", model="4", at=tomorrow)
    payload = json.loads(plan(changed, before, fields=fields, sequence=9).rows["payload"].iloc[0])
    assert (payload["model"], payload["run_id"], payload["run"]) == ("4", "s", 9)
    assert payload["at"] == "2026-07-01T10:00:00+00:00"


def test_the_words_of_a_reason_trigger_nothing_and_their_concepts_do() -> None:
    run = scores(BEFORE)
    words = replace(run, frame=run.frame.assign(told="+ demande de devis; − grande entreprise"))
    assert why(plan(words, after())) == {}


def test_parts_that_no_field_shows_trigger_nothing() -> None:
    fields = {"band": "band"}
    other = scores(ONE + "1 0.50 90 nurture A1 yes +demo")
    assert why(plan(other, after(fields=fields), fields=fields)) == {}


def test_the_tolerance_counts_from_what_was_last_written() -> None:
    written = after(ONE + "1 0.50 50 nurture B2 no none")
    sent = []
    for sequence, score in enumerate([51, 52, 53, 54, 55, 56], 2):  # two are within it; then it adds up
        found = plan(scores(ONE + f"1 0.50 {score} nurture B2 no none"), written, sequence=sequence)
        written = settled(found, written)
        sent += found.rows["score"].tolist()
    assert sent == [53, 56]


@pytest.mark.parametrize(("tolerance", "sent"), [(0, ["score"]), (1, []), (100, [])])
def test_the_tolerance_is_a_setting(tolerance: int, sent: list[str]) -> None:
    found = plan(scores(ONE + "1 0.51 51 nurture B2 no +quote,-big"), after(), tolerance=tolerance)
    assert found.rows["why"].tolist() == sent


@pytest.mark.parametrize("column", ["propensity", "propensity_low", "fit", "engagement", "score"])
def test_a_field_with_any_number_follows_the_score(column: str) -> None:
    fields = {column: "number"}
    other = scores(ONE + "1 0.60 60 nurture B2 no +quote,-big")
    assert why(plan(other, after(fields=fields), fields=fields)) == {"1": "score"}


def test_other_fields_are_filled_for_all() -> None:
    wider = {**FIELDS, "fit": "fit"}
    assert why(plan(scores(BEFORE), after(), fields=wider)) == {"1": "other fields"}
    renamed = {**FIELDS, "band": "Band__c"}
    assert why(plan(scores(BEFORE), after(), fields=renamed)) == {"1": "other fields"}
    turned = dict(reversed(FIELDS.items()))  # their order in the file means nothing
    assert why(plan(scores(BEFORE), after(), fields=turned)) == {}


def test_another_place_under_the_same_name_is_filled_for_all() -> None:
    def of(**more: Any) -> Plan:
        given = CsvSettings(fields=FIELDS, **{"path": "a.csv", **more})
        return make_plan(scores(BEFORE), {"1": "1"}, 2, given, settled(before), NO_FAILURES)

    given = CsvSettings(fields=FIELDS, path="a.csv")
    before = make_plan(scores(BEFORE), {"1": "1"}, 1, given, NOTHING, NO_FAILURES)
    assert why(of()) == why(of(tolerance=9, closed="freeze", patience="1h")) == {}
    assert why(of(path="b.csv")) == why(of(key="id")) == {"1": "other fields"}


def test_everything_is_sent_if_asked_for() -> None:
    found = plan(scores(BEFORE), after(), everything=True)
    assert (why(found), found.unchanged) == ({"1": ""}, set())


def test_what_was_decided_before_is_told() -> None:
    row = plan(scores(ONE + "1 0.90 90 mql A1 no none\n2 0.1 10 let_go D4 no none"), after()).rows
    assert row[["lead_id", "band_before", "grade_before", "score_before"]].astype(object).fillna("").to_numpy(
        object
    ).tolist() == [["1", "nurture", "B2", 50], ["2", "", "", ""]]


class TestClosed:
    """Leads 1 and 2 were written; in the next run there is only 1."""

    BOTH = "lead propensity\n1 0.5\n2 0.5"
    FIRST = "lead propensity\n1 0.5"

    def test_a_closed_lead_is_cleared(self) -> None:
        found = plan(scores(self.FIRST, run="s"), after(self.BOTH), sequence=7)
        assert (why(found), found.unchanged, found.clears) == ({"2": "closed"}, {"1"}, 1)
        assert json.loads(found.rows["payload"].iloc[0]) == {
            "band": None, "points": None, "ready": None, "grade": None, "why": None,
            "at": "2026-06-30T10:00:00+00:00", "model": "3", "run": 7,
        }  # fmt: skip

    def test_once(self) -> None:
        first = plan(scores(self.FIRST), after(self.BOTH))
        again = plan(scores(self.FIRST), settled(first, after(self.BOTH)), sequence=3)
        assert why(again) == {}

    def test_or_frozen(self) -> None:
        assert why(plan(scores(self.FIRST), after(self.BOTH), closed="freeze")) == {}

    def test_a_lead_that_sales_works_on_keeps_its_score(self) -> None:
        assert why(plan(scores(self.FIRST, working=["2"]), after(self.BOTH))) == {}

    def test_a_file_of_leads_closes_nobody(self) -> None:
        assert why(plan(scores(self.FIRST, complete=False), after(self.BOTH))) == {}

    def test_a_lead_whose_record_is_not_known_now_is_not_closed(self) -> None:
        found = plan(scores(self.BOTH), after(self.BOTH), keys={"1": "1"})
        assert (why(found), found.skipped["2"][0]) == ({}, "unknown")

    def test_a_lead_that_is_open_again_is_written_again_even_if_the_same(self) -> None:
        cleared = settled(plan(scores(self.FIRST), after(self.BOTH)), after(self.BOTH))
        assert why(plan(scores(self.BOTH), cleared, sequence=3)) == {"2": "open again"}

    def test_all_may_close(self) -> None:
        found = plan(nobody(run="s", at=AS_OF + timedelta(days=1)), after(self.BOTH))
        assert why(found) == {"1": "closed", "2": "closed"}
        assert json.loads(found.rows["payload"].iloc[0])["at"] == "2026-07-01T10:00:00+00:00"

    def test_a_record_that_went_over_to_another_lead_is_not_cleared(self) -> None:
        run = scores("lead\n1\n3")
        found = plan(run, after(self.BOTH), keys={"1": "1", "3": "2"})
        assert why(found) == {"3": "new"}

    @pytest.mark.parametrize(
        ("leads", "closed", "refused"),
        [
            (100, 50, False),
            (101, 51, True),
            (102, 51, False),
            (60, 50, False),
            (300, 151, True),
            (6, 6, True),
            (5, 5, False),
            (6, 5, False),
        ],
    )
    def test_most_at_once_are_a_question(self, leads: int, closed: int, refused: bool) -> None:
        written = settled(plan(many(leads), sequence=1))
        left = many(leads - closed) if leads > closed else nobody()
        if refused:
            with pytest.raises(DeliveryError, match=rf"(?s){closed} of the {leads} leads.*--allow-clearing"):
                plan(left, written)
        else:
            plan(left, written)
        assert plan(left, written, allow_clearing=True).clears == closed
        assert plan(left, written, closed="freeze").clears == 0

    def test_leads_that_were_cleared_before_do_not_count(self) -> None:
        first = settled(plan(many(100), sequence=1))
        second = settled(plan(many(60), first), first)
        with pytest.raises(DeliveryError, match="55 of the 60"):
            plan(many(5), second, sequence=3)


class TestRecords:
    def test_a_lead_without_a_record_is_skipped(self) -> None:
        found = plan(scores("lead\n1\n2"), keys={"2": "x"})
        assert found.skipped == {"1": ("unknown", "no record there is named for this lead")}
        assert found.rows[["lead_id", "key"]].to_numpy().tolist() == [["2", "x"]]

    def test_of_two_leads_with_one_record_the_likelier_is_written(self) -> None:
        found = plan(scores("lead propensity\n1 0.2\n2 0.7\n3 0.2"), keys={"1": "x", "2": "x", "3": "y"})
        assert list(why(found)) == ["2", "3"]
        assert found.skipped == {"1": ("shared", "lead '2' is written to the same record")}

    def test_a_record_that_changes_hands_is_written_again_when_it_comes_back(self) -> None:
        """Lead 1 wrote it, then 2 did: what is known of lead 1 is not what the record holds."""
        keys = {"1": "x", "2": "x"}
        first, second = "lead propensity\n1 0.7\n2 0.2", "lead propensity\n1 0.7\n2 0.8"
        one = settled(plan(scores(first), sequence=1, keys=keys))
        two = settled(plan(scores(second), one, keys=keys), one)
        assert why(plan(scores(first), two, keys=keys, sequence=3)) == {"1": "other record"}

    def test_a_record_of_two_leads_that_both_closed_is_cleared_once(self) -> None:
        keys = {"1": "x", "2": "x"}
        one = settled(plan(scores("lead propensity\n1 0.7\n2 0.2"), sequence=1, keys=keys))
        two = settled(plan(scores("lead propensity\n1 0.7\n2 0.8"), one, keys=keys), one)
        end = plan(nobody(), two, sequence=3)
        assert why(end) == {"2": "closed"}
        assert why(plan(nobody(), settled(end, two), sequence=4)) == {}

    def test_another_record_is_written_though_the_decision_is_the_same(self) -> None:
        assert why(plan(scores(BEFORE), after(), keys={"1": "00Q1"})) == {"1": "other record"}

    def test_no_leads_no_rows(self) -> None:
        found = plan(nobody())
        assert (why(found), found.unchanged, dict(found.skipped)) == ({}, set(), {})


class TestFailedBefore:
    CHANGED = ONE + "1 0.50 50 mql B2 no +quote,-big"

    @pytest.mark.parametrize("kind", ["refused", "gone"])
    def test_it_is_held_until_its_decision_changes(self, kind: str) -> None:
        first = plan(scores(self.CHANGED), after())
        failed = failing(first, "1", kind)
        held = plan(scores(self.CHANGED, run="s", model="4"), after(), failed, sequence=3)
        assert (why(held), held.held, held.unchanged) == ({}, {"1"}, set())
        other = plan(scores(self.CHANGED.replace("B2", "A1")), after(), failed, sequence=3)
        assert why(other) == {"1": "band, grade"}

    @pytest.mark.parametrize("kind", ["stale", "shared", "unkept"])
    def test_what_may_be_over_by_itself_is_not_held(self, kind: str) -> None:
        first = plan(scores(self.CHANGED), after())
        assert why(plan(scores(self.CHANGED), after(), failing(first, "1", kind), sequence=3)) == {
            "1": "band"
        }

    def test_nor_what_a_person_retries(self) -> None:
        failed = failing(plan(scores(self.CHANGED), after()), "1", retry=True)
        assert why(plan(scores(self.CHANGED), after(), failed, sequence=3)) == {"1": "band"}

    def test_nor_anything_when_everything_is_sent(self) -> None:
        failed = failing(plan(scores(self.CHANGED), after()), "1")
        assert why(plan(scores(self.CHANGED), after(), failed, everything=True)) == {"1": "band"}

    def test_a_score_that_drifts_is_no_new_decision(self) -> None:
        failed = failing(plan(scores(self.CHANGED), after()), "1")
        assert plan(scores(self.CHANGED.replace("50 mql", "52 mql")), after(), failed).held == {"1"}

    def test_other_fields_are_a_reason_to_try_again(self) -> None:
        failed = failing(plan(scores(self.CHANGED), after()), "1")
        narrower = {name: FIELDS[name] for name in ("band", "run_sequence")}
        assert why(plan(scores(self.CHANGED), after(), failed, fields=narrower)) == {
            "1": "other fields, band"
        }

    def test_a_lead_that_is_as_it_was_written_is_not_held(self) -> None:
        failed = failing(plan(scores(self.CHANGED), after()), "1")
        found = plan(scores(BEFORE), after(), failed, sequence=3)
        assert (found.held, found.unchanged) == (set(), {"1"})

    def test_a_clearing_that_failed_is_held_too_and_asks_no_question_again(self) -> None:
        written = settled(plan(many(200), sequence=1))
        first = plan(many(100), written)
        failed = pd.concat(
            [failing(first, lead, "gone") for lead in first.rows["lead_id"]], ignore_index=True
        )
        found = plan(many(99), written, failed, sequence=3)
        assert (len(found.held), list(why(found))) == (100, ["00099"])


# An MQL from 0.5, nurtured from 0.2. With 0.4 log-odds of hysteresis an MQL stays one down to
# expit(logit(0.5) - 0.4) = 0.401, and nurtured stays nurtured down to expit(logit(0.2) - 0.4) = 0.144.
LEVELS = Levels(mql=0.5, nurture=0.2, hysteresis=0.4)


def at(propensity: float, **more: Any) -> Scores:
    return scores(f"lead propensity score\n1 {propensity} 50", levels=LEVELS, **more)


@pytest.mark.parametrize(
    ("last", "propensity", "band"),
    [
        ("mql", 0.45, "mql"),
        ("mql", 0.39, "nurture"),
        ("nurture", 0.45, "nurture"),
        (None, 0.45, "nurture"),
        ("nurture", 0.50, "mql"),
        ("nurture", 0.15, "nurture"),
        ("let_go", 0.15, "let_go"),
        ("nurture", 0.14, "let_go"),
        ("something else", 0.45, "nurture"),
    ],
)
def test_a_band_is_lost_further_down_than_it_is_won(last: str | None, propensity: float, band: str) -> None:
    written = after().assign(band=last)
    assert bands(plan(at(propensity), written, everything=True)) == [band]


def test_flapping_about_the_level_writes_one_band() -> None:
    written, sent = NOTHING, []
    for sequence, propensity in enumerate((0.52, 0.48, 0.51, 0.47, 0.45, 0.40, 0.48), 1):
        found = plan(at(propensity), written, sequence=sequence)
        written = settled(found, written)
        sent.append(bands(found))
    # 0.40 is below 0.401: it loses the band there, and 0.48 does not win it back.
    assert sent == [["mql"], [], [], [], [], ["nurture"], []]


def test_a_lead_that_was_cleared_has_no_last_band() -> None:
    mql = settled(plan(at(0.6), sequence=1))
    cleared = settled(plan(nobody(), mql), mql)
    assert bands(plan(at(0.45), cleared, sequence=3)) == ["nurture"]


@pytest.mark.parametrize(("asked", "ready"), [("yes", True), ("no", False)])
def test_who_is_ready_for_sales_follows_the_band_that_is_kept(asked: str, ready: bool) -> None:
    run = scores(f"lead propensity ready asked\n1 0.45 no {asked}", levels=LEVELS)
    found = plan(run, after().assign(band="mql"), everything=True)
    assert (bands(found), found.rows["sales_ready"].tolist()) == (["mql"], [ready])


def test_without_levels_the_bands_are_the_runs() -> None:
    assert bands(plan(scores("lead propensity band\n1 0.45 nurture"), after().assign(band="mql"))) == [
        "nurture"
    ]


def test_without_a_field_for_the_band_it_triggers_nothing() -> None:
    fields = {"propensity": "p"}
    written = settled(plan(at(0.6), sequence=1, fields=fields))
    assert why(plan(at(0.3), written, fields=fields)) == {}
