"""Scores reach exactly the leads they are of, once; nothing else in the CRM is touched: the whole way."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from small_crm import AS_OF, AT, WHY, execute, rows, write_config, write_crm, write_scores

from features.errors import ConfigurationError, DataError, DeliveryError, PropenseError
from pipeline.delivery.account import Account, Options
from pipeline.delivery.command import failures, retry, setup, sync
from pipeline.delivery.ledger import Ledger
from pipeline.delivery.place import ledger_url
from pipeline.levels import Levels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CRM of the leads 1, 2 and 3, and scores of the leads 1 and 3."""
    write_crm(tmp_path)
    write_scores(tmp_path, {"1": 0.25, "3": 0.5})
    return tmp_path


def deliver(folder: Path, options: Options = Options(), more: str = "", **destination: Any) -> Account:  # noqa: B008
    return sync(write_config(folder, more, **destination), folder, "crm", options)


def failed(folder: Path, **destination: Any) -> list[tuple[str, str]]:
    """The leads that were not delivered, each with the kind of failure."""
    return [(f.lead_id, f.kind) for f in failures(write_config(folder, **destination), folder)]


class TestUpdates:
    def test_exactly_the_leads_that_have_scores(self, folder: Path) -> None:
        done = deliver(folder)
        assert (done.sent, done.skipped, done.failed, done.pending, done.exit_status) == (2, {}, 0, 0, 0)
        assert rows(folder) == [
            ("1", "Ann", 0.25, 25, "mql", 1, WHY, AT, 1),
            ("2", "Ben", 0.9, None, None, None, None, None, None),
            ("3", "Cleo", 0.5, 50, "mql", 1, WHY, AT, 1),
        ]

    def test_values_have_the_types_of_a_database(self, folder: Path) -> None:
        deliver(folder)
        types = "typeof(p), typeof(points), typeof(ready), typeof(why), typeof(run)"
        assert rows(folder, types)[0] == ("real", "integer", "integer", "text", "integer")

    def test_twice_is_as_once(self, folder: Path) -> None:
        deliver(folder)
        once = rows(folder)
        again = deliver(folder)
        assert (again.sent, again.unchanged) == (0, 2)
        assert rows(folder) == once

    def test_none_is_created_and_the_ones_that_are_not_there_are_named(self, folder: Path) -> None:
        write_scores(folder, {"1": 0.25, "9": 0.5})
        done = deliver(folder)
        assert (done.sent, done.skipped, done.exit_status) == (1, {"gone": 1}, 0)
        assert failed(folder) == [("9", "gone")]
        assert [row[0] for row in rows(folder)] == ["1", "2", "3"]

    @pytest.mark.parametrize(("type_", "key"), [("INTEGER", "PRIMARY KEY"), ("INTEGER", ""), ("TEXT", "")])
    def test_the_key_may_be_a_number_and_have_no_index(self, folder: Path, type_: str, key: str) -> None:
        write_crm(folder, type_, key)
        assert deliver(folder).sent == 2
        assert [row[0] for row in rows(folder, "p")] == [0.25, 0.9, 0.5]

    def test_no_scores_no_updates(self, folder: Path) -> None:
        before = rows(folder)
        write_scores(folder, {})
        assert deliver(folder).sent == 0
        assert rows(folder) == before

    def test_a_record_is_found_by_a_column_of_the_leads(self, folder: Path) -> None:
        (folder / "leads.csv").write_text("id,at,name in crm\n1,2026-01-01,Cleo\n3,2026-01-01,\n")
        done = deliver(folder, key="name", record="name in crm")
        assert (done.sent, done.skipped) == (1, {"unknown": 1})
        assert rows(folder, "points") == [(None,), (None,), (25,)]
        assert failed(folder) == [("3", "unknown")]

    def test_of_two_leads_with_one_record_the_likelier_is_written(self, folder: Path) -> None:
        (folder / "leads.csv").write_text("id,at,crm\n1,2026-01-01,2\n3,2026-01-01,2\n")
        done = deliver(folder, record="crm")
        assert (done.sent, done.skipped) == (1, {"shared": 1})
        assert rows(folder, "points") == [(None,), (50,), (None,)]
        assert failed(folder) == [("1", "shared")]


class TestNothingIsWritten:
    """After each of these the CRM is as it was."""

    @pytest.fixture(autouse=True)
    def unchanged(self, folder: Path):
        before = rows(folder)
        yield
        assert rows(folder) == before

    def test_when_no_id_is_the_crms(self, folder: Path) -> None:
        with pytest.raises(DeliveryError, match=r"(?s)None of the 2 leads.*correct `key`"):
            deliver(folder, key="name")

    def test_unknown_destination(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="Did you mean 'crm'"):
            sync(write_config(folder), folder, "cmr")

    def test_no_scores_yet(self, folder: Path) -> None:
        (folder / "scores.parquet").unlink()
        with pytest.raises(DataError, match="propense score"):
            deliver(folder)

    def test_unknown_field(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"(?s)'propencity'.*Did you mean 'propensity'"):
            deliver(folder, fields={"propencity": "p"})

    def test_two_columns_into_one_field(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="Two columns are written to the field 'p'"):
            deliver(folder, fields={"propensity": "p", "score": "p"})

    def test_no_fields(self, folder: Path) -> None:
        with pytest.raises(ConfigurationError, match="fields"):
            deliver(folder, fields={})

    def test_a_column_that_the_crm_lacks(self, folder: Path) -> None:
        with pytest.raises(DeliveryError, match=r"(?s)'chance'.*destination 'crm'.*propense sync setup crm"):
            deliver(folder, fields={"propensity": "chance"})

    def test_a_table_that_the_crm_lacks(self, folder: Path) -> None:
        with pytest.raises(DeliveryError, match="no table 'people'"):
            deliver(folder, table="people")

    def test_names_are_no_sql(self, folder: Path) -> None:
        with pytest.raises(DeliveryError, match="no field"):
            deliver(folder, fields={"propensity": 'p" = 1 --'})

    def test_no_database_is_not_made(self, folder: Path) -> None:
        with pytest.raises(DeliveryError, match=r"no database .*other\.sqlite"):
            deliver(folder, path="other.sqlite")
        assert not (folder / "other.sqlite").exists()

    def test_a_file_that_is_no_database(self, folder: Path) -> None:
        (folder / "text.sqlite").write_text("no database" * 200)
        with pytest.raises(DeliveryError, match="not a database"):
            deliver(folder, path="text.sqlite")

    def test_in_a_dry_run_which_says_what_would_be(self, folder: Path) -> None:
        done = deliver(folder, Options(dry_run=True))
        assert (done.to_send, done.sent, done.exit_status) == (2, 0, 0)
        assert [(change["lead_id"], change["why"]) for change in done.changes] == [("1", "new"), ("3", "new")]
        assert done.example == {
            "p": 0.25, "points": 25, "band": "mql", "ready": True, "why": WHY, "at": AT, "run": 1,
        }  # fmt: skip

    @pytest.mark.parametrize(
        "ledger",
        ["postgresql://me:verysecret@127.0.0.1/ledger", "postgresql://me@127.0.0.1/l?password=verysecret"],
    )
    def test_a_password_in_the_configuration_is_refused_and_not_repeated(
        self, folder: Path, ledger: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=r"holds a password") as refused:
            deliver(folder, more=f'[sync]\nledger = "{ledger}"')
        assert "verysecret" not in refused.value.message

    def test_a_ledger_whose_secret_is_not_there(self, folder: Path) -> None:
        with pytest.raises(DeliveryError, match=r"(?s)A secret is.*\[sync\] ledger.*NO_SUCH_SECRET"):
            deliver(folder, more='[sync]\nledger = { env = "NO_SUCH_SECRET" }')


class TestRefused:
    """The CRM refuses one lead, and that holds back no other."""

    @pytest.fixture(autouse=True)
    def frozen(self, folder: Path) -> None:
        execute(
            folder,
            "CREATE TRIGGER closed BEFORE UPDATE ON \"le ads\" WHEN old.id = '3' "
            "BEGIN SELECT RAISE(ABORT, 'lead is frozen'); END",
        )

    def test_the_other_is_written_and_the_reason_is_kept(self, folder: Path) -> None:
        done = deliver(folder)
        assert (done.sent, done.failed, done.exit_status) == (1, 1, 6)
        assert [row[0] for row in rows(folder, "points")] == [25, None, None]
        (failure,) = failures(write_config(folder), folder, "crm")
        assert (failure.lead_id, failure.kind) == ("3", "refused")
        assert "lead is frozen" in failure.reason

    def test_it_is_tried_again_when_somebody_says_so_and_not_before(self, folder: Path) -> None:
        deliver(folder)
        execute(folder, "DROP TRIGGER closed")
        again = deliver(folder)
        assert (again.sent, again.skipped, again.exit_status) == (0, {"refused before": 1}, 0)
        assert retry(write_config(folder), folder, "crm", ["3"]) == 1
        assert deliver(folder).sent == 1
        assert failed(folder) == []
        assert [row[0] for row in rows(folder, "points")] == [25, None, 50]

    def test_or_when_its_decision_changes(self, folder: Path) -> None:
        deliver(folder)
        execute(folder, "DROP TRIGGER closed")
        write_scores(folder, {"1": 0.25, "3": 0.5}, "second", band=["mql", "nurture"])
        assert deliver(folder).sent == 1
        assert [row[0] for row in rows(folder, "band")] == ["mql", None, "nurture"]

    def test_only_what_failed_can_be_retried(self, folder: Path) -> None:
        deliver(folder)
        with pytest.raises(ConfigurationError, match=r"Nothing failed of '1'"):
            retry(write_config(folder), folder, "crm", ["1"])
        with pytest.raises(ConfigurationError, match="no destination"):
            retry(write_config(folder), folder, "cmr")

    def test_failures_are_listed_by_destination_and_lead(self, folder: Path) -> None:
        deliver(folder)
        config = write_config(folder)
        assert [f.lead_id for f in failures(config, folder)] == ["3"]
        assert [f.lead_id for f in failures(config, folder, "crm", ["1", "3"])] == ["3"]
        assert failures(config, folder, "crm", ["1"]) == []
        with pytest.raises(ConfigurationError, match="Did you mean 'crm'"):
            failures(config, folder, "cmr")


class TestOnlyWhatChanged:
    @pytest.fixture(autouse=True)
    def written(self, folder: Path) -> None:
        deliver(folder)

    def test_a_new_run_that_decides_the_same_writes_nothing(self, folder: Path) -> None:
        before = rows(folder)
        write_scores(folder, {"1": 0.26, "3": 0.5}, "second", model_version="4")
        done = deliver(folder)
        assert (done.sent, done.unchanged) == (0, 2)
        assert rows(folder) == before

    @pytest.mark.parametrize(
        ("columns", "why"),
        [
            ({"band": "nurture"}, "band"),
            ({"grade": "B2"}, ""),  # it is mapped to no field
            ({"sales_ready": False}, "ready for sales"),
            ({"reasons": [[], []]}, "reasons"),
            ({"score": [28, 53]}, "score"),  # more than two points
            ({"score": [27, 52]}, ""),
        ],
    )
    def test_what_makes_a_change(self, folder: Path, columns: dict[str, Any], why: str) -> None:
        write_scores(folder, {"1": 0.25, "3": 0.5}, "second", **columns)
        done = deliver(folder, Options(dry_run=True))
        assert [change["why"] for change in done.changes] == ([why] * 2 if why else [])

    def test_all_writes_what_did_not_change(self, folder: Path) -> None:
        execute(folder, 'UPDATE "le ads" SET points = 1, run = NULL')  # restored from a backup
        assert deliver(folder, Options(everything=True)).sent == 2
        assert [row[0] for row in rows(folder, "points")] == [25, 1, 50]

    def test_a_closed_lead_is_cleared_and_the_run_that_did_it_stays(self, folder: Path) -> None:
        write_scores(folder, {"1": 0.25}, "second")
        done = deliver(folder)
        assert (done.sent, done.cleared) == (1, 1)
        assert rows(folder, where="id = 3") == [("3", "Cleo", None, None, None, None, None, AT, 2)]

    def test_or_frozen(self, folder: Path) -> None:
        write_scores(folder, {"1": 0.25}, "second")
        assert deliver(folder, closed="freeze").sent == 0
        assert rows(folder, "points", "id = 3") == [(50,)]

    def test_a_lead_that_is_not_in_a_file_of_leads_is_not_closed(self, folder: Path) -> None:
        write_scores(folder, {"1": 0.25}, "second", complete=False)
        assert deliver(folder).sent == 0
        assert rows(folder, "points", "id = 3") == [(50,)]


class TestRuns:
    """The run's place in the sequence decides what is newer, and where it comes from."""

    def test_a_later_run_in_the_crm_is_never_overwritten(self, folder: Path) -> None:
        deliver(folder)
        execute(folder, "UPDATE \"le ads\" SET run = 2, band = 'let_go' WHERE id = '3'")
        config = write_config(folder)
        with closing(Ledger.open(ledger_url(config, folder))) as ledger:
            assert ledger.register("a later one", AS_OF, "3") == 2
        write_scores(folder, {"1": 0.9, "3": 0.9})  # of the first run
        done = deliver(folder)
        assert (done.sent, done.skipped) == (1, {"stale": 1})
        assert rows(folder, "band, run", "id = 3") == [("let_go", 2)]

    def test_scores_of_another_ledger_stop_the_run_until_they_are_adopted(self, folder: Path) -> None:
        deliver(folder)
        execute(folder, "UPDATE \"le ads\" SET run = 40 WHERE id = '3'")
        for path in folder.glob("ledger.sqlite*"):
            path.unlink()
        before = rows(folder)
        with pytest.raises(DeliveryError, match=r"(?s)holds scores of run 40.*propense sync crm --adopt"):
            deliver(folder)
        assert rows(folder) == before
        assert deliver(folder, Options(adopt=True)).sent == 2
        assert rows(folder, "run") == [(41,), (None,), (41,)]

    def test_the_ledger_may_be_elsewhere_and_relative_to_the_configuration(self, folder: Path) -> None:
        deliver(folder, more='[sync]\nledger = "sqlite:///state/all.sqlite"')
        assert (folder / "state" / "all.sqlite").is_file()
        assert not (folder / "ledger.sqlite").exists()

    def test_or_in_a_secret(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LEDGER", f"sqlite:///{folder}/secret.sqlite\n")
        deliver(folder, more='[sync]\nledger = { env = "LEDGER" }')
        assert (folder / "secret.sqlite").is_file()

    def test_two_at_once_and_one_of_them_refuses(self, folder: Path) -> None:
        config = write_config(folder)
        with closing(Ledger.open(ledger_url(config, folder))) as ledger, ledger.writer("crm"):
            with pytest.raises(PropenseError, match="Another run is writing to 'crm'") as busy:
                sync(config, folder, "crm")
            assert busy.value.exit_status == 5


class TestSetup:
    def test_it_creates_what_is_missing_and_then_nothing(self, folder: Path) -> None:
        fields = {"propensity": "p", "score": "new points", "band": "new_band", "run_sequence": "new_run"}
        config = write_config(folder, fields=fields)
        done = setup(config, "crm")
        assert done.created == {"new points": "integer", "new_band": "choice", "new_run": "integer"}
        assert done.there == ["p"]
        assert setup(config, "crm").created == {}
        assert sync(config, folder, "crm").sent == 2
        assert rows(folder, '"new points", new_band, new_run', "id = 1") == [(25, "mql", 1)]

    def test_of_a_destination_that_is_not_there(self, folder: Path) -> None:
        with pytest.raises(DeliveryError, match="no table 'people'"):
            setup(write_config(folder, table="people"), "crm")
        with pytest.raises(ConfigurationError, match="no destination 'cmr'"):
            setup(write_config(folder), "cmr")


# An MQL from 0.5, nurtured from 0.2. With 0.4 log-odds of hysteresis an MQL stays one down to
# expit(logit(0.5) - 0.4) = 0.401, and nurtured stays nurtured down to expit(logit(0.2) - 0.4) = 0.144.
LEVELS = Levels(mql=0.5, nurture=0.2, hysteresis=0.4)


@pytest.mark.parametrize(
    ("last", "propensity", "written"),
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
def test_a_band_is_lost_further_down_than_it_is_won(folder, last, propensity, written):
    write_scores(folder, {"1": propensity}, levels=LEVELS)
    execute(folder, 'UPDATE "le ads" SET band = ? WHERE id = 1', last)
    deliver(folder)
    assert rows(folder, "band", "id = 1") == [(written,)]


def test_flapping_about_the_level_writes_one_band(folder):
    written = []
    for number, propensity in enumerate((0.52, 0.48, 0.51, 0.47, 0.45, 0.40, 0.48)):
        write_scores(folder, {"1": propensity}, f"run {number}", levels=LEVELS)
        deliver(folder)
        written += [row[0] for row in rows(folder, "band", "id = 1")]
    # 0.40 is below 0.401: it loses the band there, and 0.48 does not win it back.
    assert written == ["mql"] * 5 + ["nurture"] * 2


def test_a_destination_without_a_band_has_no_last_one(folder):
    write_scores(folder, {"1": 0.45}, levels=LEVELS)
    assert deliver(folder, fields={"propensity": "p"}).sent == 1


def test_without_a_field_for_the_run_the_account_says_what_that_means(folder):
    done = deliver(folder, fields={"propensity": "p"})
    assert "run_sequence" in done.notes[0]
    with closing(sqlite3.connect(folder / "crm.sqlite")) as crm:
        assert crm.execute('SELECT count(*) FROM "le ads" WHERE run IS NULL').fetchone() == (3,)
