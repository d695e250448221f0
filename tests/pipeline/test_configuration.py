"""What the configuration may say, and how it answers when it is not understood."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from project import write_config, write_project

from features.errors import ConfigurationError
from pipeline.configuring import read_config
from pipeline.durations import format_duration, parse_duration
from pipeline.template import TEMPLATE, write_template


def refused(folder, text: str) -> str:
    """The message with which a configuration is refused; a mistake of the user, so status 2."""
    with pytest.raises(ConfigurationError) as error:
        read_config(write_config(folder, text))
    assert error.value.exit_status == 2
    return error.value.message


WHOLE = """
    [project]
    name = "whole"
    timezone = "Europe/Paris"
    [leads]
    table = "leads.csv"
    id = "lead_id"
    created_at = "created_at"
    [[activities]]
    table = "web.csv"
    lead_id = "lead_id"
    occurred_at = "at"
    kind_is = "visit"
    [outcomes]
    table = "outcomes.csv"
    outcome = "outcome"
    closed_at = "closed_at"
    [[entities]]
    table = "accounts.csv"
    key = "id"
    lead_key = "account"
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
    [[rules]]
    name = "newsletter"
    points = 5
    activity = "newsletter"
    [snapshots]
    horizon = "2w"
    [windows]
    split = "group"
    [features]
    windows = [7]
    [model]
    seed = 1
    [[cutoffs]]
    policy = "manual"
    level = 0.5
    [decision]
    rules_mql_at = 50
    [destinations.crm]
    type = "sqlite"
    path = "crm.sqlite"
    table = "leads"
    key = "id"
    fields = { score = "propense_score" }
    [checks]
    tolerate = 0.01
"""


def test_every_section_is_read(tmp_path):
    config = read_config(write_config(tmp_path, WHOLE))
    assert config.snapshots.horizon == timedelta(days=14)
    assert config.destinations["crm"].fields == {"score": "propense_score"}
    assert config.split == "group"


@pytest.mark.parametrize(
    "section",
    ["project", "leads", "activities", "outcomes", "entities", "history", "stages", "rules", "snapshots",
     "windows", "features", "model", "cutoffs", "decision", "destinations.crm", "checks"],
)  # fmt: skip
def test_every_section_refuses_an_unknown_key(tmp_path, section):
    heading = re.search(rf"\[+{re.escape(section)}\]+\n", WHOLE)[0]
    message = refused(tmp_path, WHOLE.replace(heading, heading + "    no_such_key = 1\n"))
    assert "no_such_key is not a known key" in message


@pytest.mark.parametrize(
    ("known", "written"),
    [("timezone", "timezzone"), ("created_at", "create_at"), ("lead_key", "leadkey"),
     ("rules_mql_at", "rule_mql_at"), ("horizon", "horzion"), ("tolerate", "tolerates")],
)  # fmt: skip
def test_an_unknown_key_names_the_nearest_known_one(tmp_path, known, written):
    assert f"Did you mean '{known}'?" in refused(tmp_path, WHOLE.replace(f"{known} =", f"{written} ="))


def test_an_unknown_section_names_the_nearest_known_one(tmp_path):
    assert "Did you mean 'snapshots'?" in refused(tmp_path, WHOLE.replace("[snapshots]", "[snapshot]"))


def test_where_data_paths_start_is_no_key_of_the_file(tmp_path):
    assert "[root] is not a known key" in refused(tmp_path, 'root = "/etc"\n' + WHOLE)


def test_all_mistakes_are_told_at_once(tmp_path):
    text = WHOLE.replace('"2w"', '"soon"').replace("seed", "sead").replace('name = "whole"', "")
    message = refused(tmp_path, text)
    assert "[project] name is required" in message
    assert "sead is not a known key" in message
    assert "write a duration" in message


@pytest.mark.parametrize(
    ("written", "meant"),
    [("90m", timedelta(minutes=90)), ("1h", timedelta(hours=1)), ("30d", timedelta(days=30)),
     ("2w", timedelta(days=14)), (" 1.5 d ", timedelta(hours=36))],
)  # fmt: skip
def test_durations(written, meant):
    assert parse_duration(written) == meant
    assert parse_duration(format_duration(meant)) == meant


@pytest.mark.parametrize("written", ["30", "d", "-1d", "0d", "1y", "1d 2h", "", 30, None, "9" * 20 + "d"])
def test_what_is_no_duration(written):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("section", "line", "why"),
    [
        ("[project]", 'timezone = "Europe/Pariss"', "Did you mean 'Europe/Paris'?"),
        ("[snapshots]", "ages = []", "at least 1 item"),
        ("[snapshots]", 'ages = ["1d", "24h"]', "once only"),
        ("[[activities]]", 'kind = "kind"', "either kind (a column) or kind_is"),
        ("[[activities]]", 'actor = "by"\nactor_is = "sales"', "either actor (a column) or actor_is"),
        ("[outcomes]", 'values = { won = ["yes"], lost = ["Yes"] }', "cannot mean two outcomes"),
        ("[outcomes]", 'from_activities = { won = ["signed"] }', "either from_activities, or a table"),
        ("[[rules]]", 'email_class = "personal"', "exactly one of activity, attribute and email_class"),
        ("[[cutoffs]]", "per_week = 3", "takes level, and nothing else"),
        ("[features]", "half_lives = [0.0]", "greater than 0"),
        ("[checks]", "tolerate = 2", "less than or equal to"),
    ],
)
def test_values_that_cannot_be_meant(tmp_path, section, line, why):
    key = line.split(" =")[0]
    text = re.sub(rf"(?m)^    {key} = .*\n", "", WHOLE) if key in ("timezone", "tolerate") else WHOLE
    assert why in refused(tmp_path, text.replace(section, f"{section}\n{line}"))


SQLITE = 'type = "sqlite"\npath = "c.sqlite"\ntable = "t"\nkey = "k"\nfields = { score = "s" }\n'
POSTGRESQL = SQLITE.replace("sqlite", "postgresql", 1).replace('path = "c.sqlite"\n', "")


class TestDestinations:
    """What is wrong with where scores go is said in the words of the file, and no secret is repeated."""

    def said(self, folder, destination: str, heading: str = "[destinations.there]") -> str:
        return refused(folder, f"{WHOLE}\n{heading}\n{destination}")

    def test_an_unknown_type_names_the_nearest_and_all_there_are(self, tmp_path):
        message = self.said(tmp_path, SQLITE.replace('"sqlite"', '"sqlight"'))
        assert "[destinations there] type: there is no type 'sqlight'. Did you mean 'sqlite'?" in message
        for known in ("csv", "parquet", "duckdb", "postgresql", "tryton", "hubspot", "salesforce"):
            assert known in message

    def test_a_missing_type_is_required_and_says_what_there_is(self, tmp_path):
        message = self.said(tmp_path, SQLITE.replace('type = "sqlite"\n', ""))
        assert "[destinations there] type is required. Allowed: csv, " in message

    def test_an_unknown_key_names_the_nearest_of_its_type(self, tmp_path):
        message = self.said(tmp_path, SQLITE.replace("table", "tabel"))
        assert "[destinations there] tabel is not a known key. Did you mean 'table'?" in message
        assert "[destinations there] table is required" in message

    def test_a_destination_has_a_name(self, tmp_path):
        text = WHOLE.replace("[destinations.crm]", "[destinations]")
        assert "[destinations] key is no section: a destination has a name" in refused(tmp_path, text)

    @pytest.mark.parametrize("name", ["setup", "failures", '"../crm"', '"-x"', '"a/b"', '""', '"--json"'])
    def test_names_that_a_command_would_take_for_something_else(self, tmp_path, name):
        message = self.said(tmp_path, SQLITE, f"[destinations.{name}]")
        plain = name.strip('"')
        assert f"[destinations]: a destination cannot be named '{plain}'" in message

    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("3", '] url: write it as text, or a secret: { env = "NAME" } or { file = "path" }'),
            ('{ envv = "X" }', "url] envv is not a known key. Did you mean 'env'?"),
            ('{ env = "X", file = "y" }', '] url: a secret is { env = "NAME" } or { file = "path" }'),
            ("{}", '] url: a secret is { env = "NAME" } or { file = "path" }'),
        ],
    )
    def test_a_text_or_a_secret_is_one_mistake_in_plain_words(self, tmp_path, url, why):
        message = self.said(tmp_path, f"{POSTGRESQL}url = {url}")
        assert why in message
        assert "function-after" not in message
        assert message.count("\n  - ") == 1
        sync = refused(tmp_path, f"{WHOLE}\n[sync]\nledger = {url}")
        assert why.replace("url", "ledger") in sync
        assert sync.count("\n  - ") == 1

    def test_a_field_may_be_called_as_pydantic_calls_a_text(self, tmp_path):
        message = self.said(tmp_path, SQLITE.replace('score = "s"', "str = 3"))
        assert "[destinations there fields] str: Input should be a valid string (given: 3)" in message

    @pytest.mark.parametrize(
        "lines",
        [
            'type = "hubspot"\ntoken = "pat-eu1-verysecret"\nfields = { score = "s" }',
            f'{SQLITE}patience = "https://me:verysecret@example.com"',
        ],
    )
    def test_a_secret_in_the_wrong_place_is_not_printed(self, tmp_path, lines):
        message = self.said(tmp_path, lines)
        assert "verysecret" not in message
        assert "[destinations there] token: write it as a secret" in message or "patience: write" in message


def test_an_attribute_has_one_history(tmp_path):
    again = WHOLE + '[[history]]\n    table = "h.csv"\n    lead_id = "l"\n    known_at = "t"\n'
    assert "[[history]] gives 'job' more than once" in refused(tmp_path, again + '    attributes = ["job"]\n')


def test_a_flat_table_has_no_times(tmp_path):
    text = '[project]\nname = "flat"\n[leads]\ntable = "l.csv"\nlabel = "won"\ncreated_at = "at"\n'
    assert "flat table without times" in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("order", "split"), [("", "random"), ('order_by = "row"', "row"), ('order_by = "number"', "row")]
)
def test_how_a_flat_table_is_split(tmp_path, order, split):
    text = f'[project]\nname = "flat"\n[leads]\ntable = "l.csv"\nlabel = "won"\n{order}\n'
    assert read_config(write_config(tmp_path, text)).split == split


def test_outcomes_and_creation_are_needed(tmp_path):
    without = '[project]\nname = "x"\n[leads]\ntable = "l.csv"\nid = "id"\n'
    assert "[leads] needs created_at" in refused(tmp_path, without)
    assert "[outcomes] is missing" in refused(tmp_path, without + 'created_at = "at"\n')


@pytest.mark.parametrize("name", ['""', '"../up"', '"a/b"', "3"])
def test_a_name_that_could_not_name_a_folder(tmp_path, name):
    assert "[project] name" in refused(tmp_path, WHOLE.replace('"whole"', name))


def test_not_toml_and_not_there(tmp_path):
    assert "not valid TOML" in refused(tmp_path, "[project]\nname = whole\n")
    (tmp_path / "latin.toml").write_bytes('name = "é"'.encode("latin-1"))
    for name, said in (
        ("absent.toml", "propense init"),
        (".", "is a folder"),
        ("latin.toml", "not valid TOML"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            read_config(tmp_path / name)


def test_a_byte_order_mark_does_no_harm(tmp_path):
    path = write_config(tmp_path, WHOLE)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_config(path).project.name == "whole"


def test_data_starts_beside_the_file_or_where_propense_data_says(tmp_path, monkeypatch):
    path = write_project(tmp_path)
    monkeypatch.delenv("PROPENSE_DATA", raising=False)
    assert read_config(path).root == tmp_path
    monkeypatch.setenv("PROPENSE_DATA", str(tmp_path / "elsewhere"))
    assert read_config(path).root == tmp_path / "elsewhere"


def test_the_template_is_a_configuration(tmp_path):
    write_template(tmp_path / "propense.toml")
    assert read_config(tmp_path / "propense.toml").project.name == "my-company"


def test_the_template_with_all_that_is_commented_out(tmp_path):
    uncommented = re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", TEMPLATE)
    config = read_config(write_config(tmp_path, uncommented))
    assert config.leads.sensitive == {"age": "why training on it is justified"}
    assert [c.policy for c in config.cutoffs] == ["precision", "recall", "capacity", "value"]
    assert len(config.rules) == 3
    assert config.entities
    assert config.history
    assert config.stages
    assert config.destinations["crm"].table == "leads"
    shown = {destination.type for destination in config.destinations.values()}
    assert shown >= {"sqlite", "postgresql", "hubspot", "salesforce", "tryton", "csv"}
    assert config.sync.ledger is not None


def test_the_template_never_overwrites(tmp_path):
    (tmp_path / "propense.toml").write_text("mine")
    with pytest.raises(ConfigurationError, match="left as it is"):
        write_template(tmp_path / "propense.toml")
    assert (tmp_path / "propense.toml").read_text() == "mine"
