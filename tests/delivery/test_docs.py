"""What `docs/delivery.md` shows is what the program does: its example of a destination, settings, words."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from small_crm import FIELDS, config_text, write_scores

from features.errors import DeliveryError
from pipeline.config import Config
from pipeline.delivery.account import Account
from pipeline.delivery.command import explained
from pipeline.delivery.engine import deliver
from pipeline.delivery.ledger import Ledger
from pipeline.delivery.ledger_tables import TABLES
from pipeline.delivery.payload import KINDS, read_scores
from pipeline.delivery.screen import KINDS as FAILURES
from pipeline.destinations import ALL
from pipeline.destinations.base import Fatal, Problem, Settings
from pipeline.destinations.hubspot_properties import TYPES
from pipeline.destinations.postgresql import PostgreSQL
from pipeline.destinations.salesforce_fields import definition
from pipeline.destinations.tryton_fields import _ENCODE

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "delivery.md").read_text("utf-8")
EXAMPLE = next(code for code in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "class JsonFile(" in code)
# Adds the example to the destinations there are, as its text says, and runs some command lines.
ADD = """
import json, sys
folder, *commands = map(json.loads, sys.argv[1:])
sys.path.insert(0, folder)
import pipeline.destinations as destinations
from example import JsonFile
destinations.ALL += (JsonFile,)
destinations.SETTINGS += (JsonFile.settings_class,)
from pipeline.cli import main
for command in commands:
    sys.argv = ["propense", "sync", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
"""


@pytest.fixture
def crm(tmp_path: Path) -> Path:
    """A CRM in a JSON file, of the leads 1 to 3, with all fields that are mapped but the reasons."""
    fields = [field for column, field in FIELDS.items() if column != "reasons"]
    records: dict[str, Any] = {number: {"name": "somebody"} for number in "123"}
    path = tmp_path / "crm.json"
    path.write_text(json.dumps({"fields": fields, "records": records}))
    return path


def change(crm: Path, **more: Any) -> None:
    held = json.loads(crm.read_text())
    crm.write_text(json.dumps({**held, **more}))


def records(crm: Path) -> dict[str, Any]:
    return json.loads(crm.read_text())["records"]


class TestTheExample:
    @pytest.fixture
    def made(self, crm: Path) -> Any:
        module = compile(EXAMPLE, "example", "exec", dont_inherit=True)
        sys.modules["example"] = type(sys)("example")
        names = sys.modules["example"].__dict__
        exec(module, names)
        settings = names["JsonFileSettings"](path=crm.name, fields=FIELDS, patience="1m")
        yield names["JsonFile"]("crm", settings, crm.parent)
        del sys.modules["example"]

    def sync(self, made: Any, crm: Path, leads: dict[str, float], run: str) -> Account:
        write_scores(crm.parent, leads, run)
        scores = read_scores(crm.parent)
        with closing(Ledger.open(f"sqlite:///{crm.parent}/ledger.sqlite")) as ledger:
            return deliver(made, ledger, scores, {lead: lead for lead in leads})

    def test_it_is_well_under_a_hundred_lines(self) -> None:
        body = next(node for node in ast.parse(EXAMPLE).body if getattr(node, "name", "") == "JsonFile")
        assert body.end_lineno is not None
        assert body.end_lineno - body.lineno < 70

    def test_it_writes_what_changed_and_creates_none(self, made: Any, crm: Path) -> None:
        with pytest.raises(Fatal, match="'why'"):
            self.sync(made, crm, {"1": 0.5}, "a")
        made.create_fields({"why": "long_text"})
        done = self.sync(made, crm, {"1": 0.5, "3": 0.25, "9": 0.1}, "b")
        assert (done.sent, done.skipped) == (2, {"gone": 1})
        assert set(records(crm)) == {"1", "2", "3"}
        assert (records(crm)["1"]["points"], records(crm)["1"]["run"]) == (50, 2)
        assert records(crm)["2"] == {"name": "somebody"}
        again = self.sync(made, crm, {"1": 0.5, "3": 0.75}, "c")
        assert (again.sent, again.unchanged) == (1, 1)

    def test_a_locked_record_holds_back_no_other(self, made: Any, crm: Path) -> None:
        made.create_fields({"why": "long_text"})
        change(crm, records={**records(crm), "2": {"locked": True}})
        done = self.sync(made, crm, {"1": 0.5, "2": 0.5, "3": 0.5}, "a")
        assert (done.sent, done.failed, done.exit_status) == (2, 1, 6)

    def test_an_older_run_never_overwrites_a_newer_one(self, made: Any, crm: Path) -> None:
        made.create_fields({"why": "long_text"})
        self.sync(made, crm, {"1": 0.5}, "a")
        self.sync(made, crm, {"1": 0.75}, "b")
        self.sync(made, crm, {"1": 0.25}, "a")
        assert (records(crm)["1"]["points"], records(crm)["1"]["run"]) == (75, 2)

    @pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("{", "is not JSON")])
    def test_its_errors_are_for_people(self, made: Any, crm: Path, content: str | None, said: str) -> None:
        crm.unlink()
        if content is not None:
            crm.write_text(content)
        with pytest.raises(Problem) as problem:
            self.sync(made, crm, {"1": 0.5}, "a")
        error = explained(problem.value, "crm")
        assert isinstance(error, DeliveryError)
        assert said in error.message

    def test_added_as_the_text_says_the_command_delivers_there(self, crm: Path) -> None:
        folder = crm.parent
        (folder / "example.py").write_text(EXAMPLE)
        (folder / "propense.toml").write_text(
            config_text(type="json_file", path=crm.name, table=None, key=None)
        )
        write_scores(folder, {"1": 0.5, "3": 0.25})

        of = ["--config", str(folder / "propense.toml"), "--output", str(folder)]
        commands = [["setup", "crm", *of], ["crm", "--json", *of]]
        done = subprocess.run(
            [sys.executable, "-c", ADD, *map(json.dumps, [str(folder), *commands])],
            capture_output=True, text=True, check=False, cwd=ROOT,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Created why (long text) in 'crm'." in done.stdout
        assert json.loads(done.stdout[done.stdout.index("{") :])["sent"] == 2
        assert records(crm)["3"]["points"] == 25


def test_the_settings_it_shows_are_understood() -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
    base = {
        "project": {"name": "p"},
        "leads": {"table": "l.csv", "id": "i", "created_at": "c"},
        "outcomes": {"outcome": "o"},
    }
    config = Config.model_validate({**base, **tomllib.loads(shown)})
    assert config.destinations["crm"].sequence_field == "propense_run"


def test_the_module_for_tryton_is_one() -> None:
    """Tryton itself takes it: in a process of its own, since it is a server."""
    module = next(code for code in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "trytond" in code)
    listing = (
        "register(); found = Pool.classes['model']['propense_score']; "
        "print([(c.__name__, sorted(n for n in vars(c) if n.startswith('propense'))) for c in found])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{module}\n{listing}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    ((name, fields),) = ast.literal_eval(done.stdout)
    assert name == "sale.opportunity"
    assert fields == ["propense_band", "propense_reasons", "propense_run", "propense_score"]


def test_every_column_that_can_be_mapped_is_explained() -> None:
    table = TEXT.split("| column | what the field has to hold |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", table)) >= set(KINDS) - {"lead_id"}


def test_every_kind_of_failure_and_every_type_is_explained() -> None:
    kinds = re.findall(r"(?m)^\| `(\w+)` \|", TEXT.split("### Failures")[1].split("### Recovery")[0])
    assert kinds == list(FAILURES)
    types = {str(destination.settings_class.model_fields["type"].default) for destination in ALL}
    table = TEXT.split("### Each destination")[1].split("\n\n")[1]
    assert {
        name for cell in re.findall(r"(?m)^\| (`[^|]*) \|", table) for name in re.findall(r"`(\w+)`", cell)
    } == types


SETTINGS = re.split(r"(?m)^`type = \"(\w+)\"`", TEXT.split("### Settings")[1].split("\n### ")[0])
BY_TYPE = {"": SETTINGS[0], **dict(zip(SETTINGS[1::2], SETTINGS[2::2], strict=True))}


def default_of(field: FieldInfo) -> str:
    """A setting's default, as the tables show it."""
    if field.is_required():
        return "required"
    if isinstance(field.default, timedelta):
        return f"`{field.default // timedelta(minutes=1)}m`"
    return "none" if field.default is None else f"`{field.default}`"


def test_the_settings_of_each_type_are_in_its_table_with_their_defaults() -> None:
    common = {name: field for name, field in Settings.model_fields.items() if name != "type"}
    expected = {"": common}
    for destination in ALL:
        fields = dict(destination.settings_class.model_fields)
        kind = str(fields.pop("type").default)
        expected[kind] = {name: field for name, field in fields.items() if name not in common}
    for kind, fields in expected.items():
        rows = re.findall(r"(?m)^\| `(\w+)` \| (\S+) \| .+ \|$", BY_TYPE[kind])
        assert dict(rows) == {name: default_of(field) for name, field in fields.items()}, kind
    assert set(BY_TYPE) == set(expected)


def test_fields_created_by_hand_are_of_the_types_that_setup_creates() -> None:
    table = TEXT.split("| column | HubSpot: type, shown as |")[1].split("\n\n")[0].splitlines()[2:]
    explained_columns: list[str] = []
    for row in table:
        first, hubspot, salesforce, postgresql, tryton = [cell.strip() for cell in row.strip("|").split("|")]
        columns = re.findall(r"`(\w+)`", first)
        explained_columns += columns
        for kind in {KINDS[column] for column in columns}:
            assert hubspot.startswith(", ".join(TYPES[kind]))
            metadata = definition("Lead.x__c", kind)["Metadata"]
            size = [str(metadata[part]) for part in ("length", "precision", "scale") if part in metadata]
            assert salesforce.startswith(metadata["type"] + (f"({', '.join(size)})" if size else ""))
            assert postgresql == PostgreSQL.types[kind]
            assert tryton.split(",")[0].lower() in _ENCODE
    assert set(explained_columns) == set(KINDS) - {"lead_id"}


def test_the_tables_of_the_ledger_that_know_leads_are_named() -> None:
    named = set(re.findall(r"DELETE FROM (\w+) WHERE lead_id", TEXT))
    assert named == {table.name for table in TABLES.sorted_tables if "lead_id" in table.c}


def test_the_promise_is_in_the_same_words_everywhere() -> None:
    for text in (TEXT, (ROOT / "README.md").read_text("utf-8")):
        assert "at-least-once sends with a single effect" in " ".join(text.split())


def test_links_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in TEXT.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif not target.startswith("https://"):
            assert (ROOT / "docs" / target).exists(), target
