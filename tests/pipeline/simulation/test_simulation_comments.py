"""Notes of salespeople: about half of the lost leads, in their own random numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipeline.simulation import simulate
from pipeline.simulation.comments import ENGLISH_NOTES, FRENCH_NOTES, SHARE

Table = Callable[[str], pd.DataFrame]


def test_about_half_of_those_with_a_reason_of_their_own_have_a_note(table: Table) -> None:
    outcomes = table("outcomes.csv")
    lost = outcomes["reason"].isin(list(ENGLISH_NOTES))
    error = (0.25 / lost.sum()) ** 0.5
    assert outcomes.loc[lost, "comment"].notna().mean() == pytest.approx(SHARE, abs=4 * error)
    assert outcomes.loc[~lost, "comment"].isna().all()  # the won, tests, spam and duplicates


def test_notes_say_what_the_code_says_mostly(table: Table) -> None:
    outcomes = table("outcomes.csv").dropna(subset="comment")
    code_of = {
        note.split("{")[0]: code
        for notes in (ENGLISH_NOTES, FRENCH_NOTES)
        for code, told in notes.items()
        for note in told
    }
    starts = sorted(code_of, key=len, reverse=True)
    told = outcomes["comment"].map(lambda text: code_of[next(s for s in starts if text.startswith(s))])
    assert 0.88 < (told == outcomes["reason"]).mean() < 0.98


def test_a_few_notes_have_something_personal(table: Table) -> None:
    notes = table("outcomes.csv")["comment"].dropna()
    for pattern, share in ((r"@", 0.03), (r"\+33 1 99 00 \d\d \d\d", 0.03), (r"\(\w+ told me\)", 0.06)):
        assert 0.4 * share < notes.str.contains(pattern).mean() < 1.7 * share
    # Some whose address is not known have none to give.
    assert 0.1 < notes.str.contains("é|ê|à").mean() < 0.4


def test_nothing_else_depends_on_the_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(400, 5, tmp_path / "with")

    def silent(outcomes: pa.Table, names: object, addresses: object, rng: object) -> pa.Table:
        return outcomes.append_column("comment", pa.nulls(outcomes.num_rows, pa.string()))

    monkeypatch.setattr(sys.modules["pipeline.simulation.simulate"], "with_comments", silent)
    simulate(400, 5, tmp_path / "without")
    for path in sorted((tmp_path / "with").rglob("*")):
        other = tmp_path / "without" / path.relative_to(tmp_path / "with")
        if path.name == "outcomes.csv":
            one, two = (pd.read_csv(p).drop(columns="comment") for p in (path, other))
            pd.testing.assert_frame_equal(one, two)
        elif path.is_file():
            assert path.read_bytes() == other.read_bytes(), path.name
