"""Scores as a destination is given them: what was written by ``propense score``, in plain values."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delivery.fakes import nobody, scores, settings

from features.errors import ConfigurationError, DataError
from pipeline.delivery.payload import KINDS, Scores, check_fields, cleared, read_scores, rendered
from pipeline.files import write_parquet
from pipeline.levels import Levels
from pipeline.score import EXCLUDED, SCORES

LEVELS = Levels(mql=0.5, nurture=0.2, hysteresis=0.4)
UP = {"concept": "quote", "direction": "up", "strength": 0.5, "text": "asked for a quote", "value": "1"}
DOWN = {"concept": "big", "direction": "down", "strength": 0.2, "text": "1000+ employees", "value": ""}
EVERYTHING = {name: name for name in KINDS}


def write(folder: Path, leads: dict[str, Any], **metadata: str) -> Scores:
    """Write scores, reasons by lead, as ``propense score`` does; and read them."""
    frame = pd.DataFrame(
        {
            "lead_id": list(leads), "target": "won", "as_of": pd.Timestamp("2026-06-30T10:00"),
            "propensity": 1 / 3, "propensity_low": 0.0, "propensity_high": 1.0, "score": 50, "band": "mql",
            "grade": "A1", "sales_ready": True, "fit": 0.0, "engagement": 0.0,
            "reasons": list(leads.values()), "model_version": "3", "run_id": "r",
        }
    )  # fmt: skip
    write_parquet(folder / "scores.parquet", frame, SCORES.with_metadata({"run_id": "r", **metadata}))
    return read_scores(folder)


def exclude(folder: Path, leads: dict[str, str], run: str) -> None:
    frame = pd.DataFrame({"lead_id": list(leads), "reason": list(leads.values()), "survivor_id": None})
    write_parquet(folder / "excluded.parquet", frame, EXCLUDED.with_metadata({"run_id": run}))


def row(run: Scores, sequence: int = 7, **fields: str) -> dict[str, Any]:
    """The values of the first lead, of all columns or of some."""
    found = json.loads(rendered(run.frame, fields or EVERYTHING, sequence)[0])
    assert isinstance(found, dict)
    return found


class TestReading:
    def test_reasons_are_one_text_and_their_concepts(self, tmp_path: Path) -> None:
        run = write(tmp_path, {"1": [UP, DOWN], "2": [], "3": None, "4": [DOWN]})
        assert run.frame[["lead_id", "told", "concepts"]].to_numpy().tolist() == [
            ["1", "+ asked for a quote; − 1000+ employees", "+quote,−big"],
            ["2", "", ""],
            ["3", "", ""],
            ["4", "− 1000+ employees", "−big"],
        ]

    def test_the_order_of_reasons_is_no_part_of_their_concepts(self, tmp_path: Path) -> None:
        run = write(tmp_path, {"1": [UP, DOWN], "2": [DOWN, UP]})
        assert run.frame["concepts"].nunique() == 1

    def test_what_travels_with_the_scores(self, tmp_path: Path) -> None:
        run = write(tmp_path, {"1": [], "2": []}, levels=LEVELS.write(), asked='["2"]', complete="true")
        assert not run.complete
        exclude(tmp_path, {}, run="r")
        run = read_scores(tmp_path)
        assert run.levels == LEVELS
        assert run.frame["asked"].tolist() == [False, True]
        assert (run.run_id, run.model_version, run.as_of) == ("r", "3", datetime(2026, 6, 30, 10))
        assert run.complete

    def test_scores_of_before_do_not_close_anyone(self, tmp_path: Path) -> None:
        assert not write(tmp_path, {"1": []}).complete

    def test_a_run_without_leads_says_its_moment_all_the_same(self, tmp_path: Path) -> None:
        run = write(tmp_path, {}, as_of="2026-07-01T08:00:00", model_version="4", complete="true")
        assert (run.as_of, run.model_version, len(run.frame)) == (datetime(2026, 7, 1, 8), "4", 0)

    def test_leads_that_sales_works_on_are_those_of_the_same_run(self, tmp_path: Path) -> None:
        exclude(tmp_path, {"8": "handed_over", "9": "duplicate"}, run="r")
        assert write(tmp_path, {"1": []}).working == {"8"}
        exclude(tmp_path, {"8": "handed_over"}, run="another")
        assert write(tmp_path, {"1": []}).working == frozenset()

    def test_without_the_leads_of_sales_nobody_is_closed_and_a_note_says_so(self, tmp_path: Path) -> None:
        for run in (None, "another"):
            if run:
                exclude(tmp_path, {"8": "handed_over"}, run=run)
            found = write(tmp_path, {"1": []}, complete="true")
            assert (found.complete, len(found.notes)) == (False, 1)
            assert "`propense score` again" in found.notes[0]
        exclude(tmp_path, {}, run="r")
        found = write(tmp_path, {"1": []}, complete="true")
        assert (found.complete, found.notes) == (True, ())

    @pytest.mark.parametrize(
        ("lead", "why"), [(None, "no lead_id"), ("", "no lead_id"), ("1", "a lead_id twice")]
    )
    def test_leads_without_an_id_of_their_own(self, tmp_path: Path, lead: str | None, why: str) -> None:
        write(tmp_path, {"1": [], "2": []})
        table = pq.read_table(tmp_path / "scores.parquet")
        ids = pa.array(["1", lead], pa.string())
        pq.write_table(table.set_column(0, "lead_id", ids), tmp_path / "scores.parquet")
        with pytest.raises(DataError, match=why):
            read_scores(tmp_path)

    def test_no_scores_yet(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="run `propense score` first"):
            read_scores(tmp_path)

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "scores.parquet").write_text("no parquet")
        with pytest.raises(DataError, match="cannot be read"):
            read_scores(tmp_path)

    def test_a_file_of_something_else(self, tmp_path: Path) -> None:
        pd.DataFrame({"lead_id": ["1"]}).to_parquet(tmp_path / "scores.parquet")
        with pytest.raises(DataError, match=r"lack the columns target, as_of"):
            read_scores(tmp_path)


class TestValues:
    def test_all_columns(self, tmp_path: Path) -> None:
        assert row(write(tmp_path, {"1": [UP, DOWN]})) == {
            "lead_id": "1", "target": "won", "as_of": "2026-06-30T10:00:00+00:00", "propensity": 0.333333,
            "propensity_low": 0.0, "propensity_high": 1.0, "score": 50, "band": "mql", "grade": "A1",
            "sales_ready": True, "fit": 0.0, "engagement": 0.0,
            "reasons": "+ asked for a quote; − 1000+ employees", "model_version": "3", "run_id": "r",
            "run_sequence": 7,
        }  # fmt: skip

    def test_their_types_are_plain(self, tmp_path: Path) -> None:
        types = {name: type(value) for name, value in row(write(tmp_path, {"1": [UP]})).items()}
        assert (types["score"], types["propensity"], types["sales_ready"]) == (int, float, bool)

    def test_the_names_are_the_destinations(self) -> None:
        run = scores("lead propensity\n1 0.5")
        assert row(run, propensity="p__c", run_sequence="n") == {"p__c": 0.5, "n": 7}

    @pytest.mark.parametrize("column", ["propensity_low", "fit", "grade"])
    def test_what_is_not_there_is_none_and_valid_json(self, column: str) -> None:
        run = scores("lead\n1\n2")
        frame = run.frame.assign(**{column: [math.nan, run.frame[column].iloc[1]]})
        first, second = rendered(frame, {column: "x"}, 1)
        assert first == '{"x":null}'
        assert second != first

    @pytest.mark.parametrize("text", ["\u2028 \x85 \x0c", "a\nb", '"}{"', "\\ / é − 😀", "\x1f,"])
    def test_any_text_arrives_as_it_is(self, tmp_path: Path, text: str) -> None:
        run = write(tmp_path, {"1": [{**UP, "text": text, "concept": text}], "2": [UP]})
        assert row(run, reasons="why") == {"why": f"+ {text}"}
        assert len(rendered(run.frame, {"reasons": "why"}, 1)) == 2

    def test_no_leads(self) -> None:
        assert rendered(nobody().frame, EVERYTHING, 1) == []

    def test_clearing_leaves_nothing_but_the_run(self) -> None:
        values = json.loads(cleared(scores("lead\n1"), EVERYTHING, 9))
        kept = {name: value for name, value in values.items() if value is not None}
        assert kept == {
            "target": "won", "as_of": "2026-06-30T10:00:00+00:00", "model_version": "3", "run_id": "r",
            "run_sequence": 9,
        }  # fmt: skip
        assert list(values) == list(EVERYTHING)

    def test_clearing_by_a_run_that_scored_nobody(self) -> None:
        values = json.loads(cleared(nobody(at=datetime.min), EVERYTHING, 9))
        assert (values["target"], values["as_of"], values["run_sequence"]) == (None, None, 9)


class TestFields:
    def test_all_columns_may_be_mapped(self) -> None:
        assert set(KINDS) == {*SCORES.names, "run_sequence"}
        check_fields("crm", settings(EVERYTHING))

    def test_none_are_mapped(self) -> None:
        with pytest.raises(ConfigurationError, match=r"\[destinations.crm\] names no fields"):
            check_fields("crm", settings({}))

    def test_one_that_scores_do_not_have(self) -> None:
        with pytest.raises(ConfigurationError, match=r"(?s)'propencity'.*Did you mean 'propensity'"):
            check_fields("crm", settings({"propencity": "p"}))

    def test_two_into_one(self) -> None:
        with pytest.raises(ConfigurationError, match="Two columns are written to the field 'p'"):
            check_fields("crm", settings({"propensity": "p", "score": "p"}))
