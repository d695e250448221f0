"""What every destination must do: one suite over a `Peer`, run for each of them.

`Contract` is for all destinations, `ContractOfRecords` for those that have records of their own to keep,
`ContractOfServers` for those that one signs in to. A new destination is tested by a `Peer` and a class
that inherits what applies.
"""

from __future__ import annotations

import logging
import random
import socket
from pathlib import Path
from typing import Any, ClassVar

import pytest
from crm.peers import SECRETS, Peer
from crm.projects import NAME, Project, lead_of, spread
from crm.rows import SENT, accepted, opened, row, same, write

from features.errors import PropenseError
from pipeline.configuring import read_config
from pipeline.delivery.command import failures, retry, setup
from pipeline.delivery.likeness import unlike
from pipeline.delivery.payload import KINDS
from pipeline.destinations.base import Fatal, Job, Kind


class Contract:
    """For all destinations, files among them."""

    @pytest.fixture
    def project(self, peer: Peer, tmp_path: Path) -> Project:
        return peer.project(tmp_path / "project")

    def test_writes_exactly_the_given_rows(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(5)
        chances = {keys[1]: 0.25, keys[3]: 0.5, keys[4]: 0.75}
        rows = [row(project, key, chance=chance) for key, chance in chances.items()]
        assert accepted(write(project, *rows))
        assert same(peer.scores(list(chances)), {each.key: each.values for each in rows})
        for key in set(peer.records()) - set(chances):
            assert not any(peer.scores([key])[key].values())

    @pytest.mark.parametrize("columns", SENT.values(), ids=SENT)
    def test_values_come_back_as_sent(self, peer: Peer, project: Project, columns: dict[str, Any]) -> None:
        (key,) = peer.seed(1)
        sent = row(project, key, **columns)
        with opened(project) as destination:
            assert accepted(destination.write([sent], Job()))
            read = destination.read([key])[key]
        held = peer.scores([key])[key]
        assert unlike(sent.values, read.values) == unlike(sent.values, held) == []
        for column in ("reasons", "grade", "run_id"):  # texts are kept letter by letter
            name = project.fields[column]
            assert (held[name] or None) == (read.values[name] or None) == sent.values[name]

    def test_clears(self, peer: Peer, project: Project) -> None:
        first, second = peer.seed(2)
        write(project, row(project, first), row(project, second, chance=0.75))
        nothing = {column: None for column in project.fields if column not in ("run_id", "as_of")}
        cleared = row(project, first, 2, **(nothing | {"run_sequence": 2}))
        assert accepted(write(project, cleared))
        with opened(project) as destination:  # as the engine sees it: a checkbox may know no nothing
            assert not unlike(cleared.values, destination.read([first])[first].values)
        held = peer.scores([first, second])
        assert not any(value for name, value in held[first].items() if cleared.values[name] is None)
        assert same({second: held[second]}, {second: project.values(0.75)})

    def test_the_same_again_does_no_harm(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(3)
        rows = [row(project, key) for key in keys]
        assert accepted(write(project, *rows))
        before, effects = peer.records(), peer.effects()
        assert accepted(write(project, *rows))
        assert (peer.records(), peer.effects()) == (before, effects)

    def test_one_write_does_not_read_what_another_wrote_as_none(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(4)
        write(project, *(row(project, key) for key in keys[:2]))
        write(project, *(row(project, key) for key in keys[2:]))
        with opened(project) as destination:
            assert set(destination.read(keys)) == set(keys)
            assert destination.read([]) == {}

    def test_an_older_run_never_wins(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(3)
        project.score(dict.fromkeys(keys, 0.25), "old")
        assert project.sync().sequence == 1
        project.score(dict.fromkeys(keys[:2], 0.75), "new", complete=False)
        assert project.sync().exit_status == 0
        project.score(dict.fromkeys(keys, 0.4), "old")
        before = peer.records()
        account = project.sync()
        assert (account.sequence, account.sent, account.skipped) == (1, 0, {"stale": 3})
        assert peer.records() == before

    def test_an_older_run_does_not_overwrite_what_a_newer_one_wrote_under_another_name(
        self, peer: Peer, project: Project
    ) -> None:
        keys = peer.seed(3)
        project.score({keys[2]: 0.25}, "old")
        assert project.sync().sequence == 1
        project.name = "another"  # of the same ledger: the record itself says which run it holds
        project.score(dict.fromkeys(keys[:2], 0.75), "new")
        assert project.sync().sequence == 2
        project.name = NAME
        project.score(dict.fromkeys(keys, 0.4), "old")
        account = project.sync()
        assert (account.sequence, account.sent, account.skipped) == (1, 1, {"stale": 2})
        assert same(
            peer.scores(keys),
            {
                **dict.fromkeys(keys[:2], project.values(0.75, "new", 2)),
                keys[2]: project.values(0.4, "old", 1),
            },
        )

    def test_where_it_compares_it_says_what_is_newer(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(2)
        write(project, row(project, keys[0], 7, chance=0.75), row(project, keys[1], 5))
        with opened(project) as destination:
            if not destination.compares:
                return  # the engine reads first; it is tested above
            written = destination.write([row(project, key, 6, chance=0.4) for key in keys], Job())
        assert set(written.newer) == {keys[0]}
        assert not written.gone
        wanted = {keys[0]: project.values(0.75, sequence=7), keys[1]: project.values(0.4, sequence=6)}
        assert same(peer.scores(keys), wanted)

    def test_run_twice_writes_nothing_the_second_time(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(7)
        project.score(spread(keys), "one")
        assert project.sync().sent == 7
        before, effects = peer.records(), peer.effects()
        project.score(spread(keys), "two")
        account = project.sync()
        assert (account.sent, account.unchanged, account.exit_status) == (0, 7, 0)
        assert (peer.records(), peer.effects()) == (before, effects)

    def test_a_dry_run_writes_nothing(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(3)
        before, effects = peer.records(), peer.effects()
        project.score(spread(keys))
        account = project.sync(dry_run=True)
        assert (account.to_send, account.sent, len(account.changes)) == (3, 0, 3)
        assert (peer.records(), peer.effects()) == (before, effects)
        assert project.sync().sent == 3

    def test_nothing_personal_and_no_secret_is_told(
        self,
        peer: Peer,
        project: Project,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        keys = peer.seed(3)
        project.score(spread(keys))
        with caplog.at_level(logging.DEBUG):
            project.sync()
        told = capfd.readouterr()
        logged = "\n".join(record.getMessage() for record in caplog.records)
        for text in (told.out, told.err, logged):
            assert "O'Hara" not in text
            assert peer.secret is None or peer.secret not in text
            assert not any(lead_of(key) in text for key in keys)
        kept = b"".join(path.read_bytes() for path in project.output.glob("ledger*"))
        assert kept
        assert b"O'Hara" not in kept
        assert peer.secret is None or peer.secret.encode() not in kept


class ContractOfRecords(Contract):
    """For destinations with records of their own, which are updated and never created."""

    # Whether a program can create fields there.
    creates_fields: ClassVar[bool] = True

    def test_a_field_that_is_not_there_is_named_and_created(self, peer: Peer, project: Project) -> None:
        (key,) = peer.seed(1)
        with opened(project) as destination:
            assert destination.missing() == []
        field = project.fields["band"] = peer.absent("band")
        project.score({key: 0.25})
        before = peer.records()
        with pytest.raises(PropenseError, match=field) as caught:
            project.sync()
        assert f"sync setup {NAME}" in caught.value.todo
        assert peer.records() == before
        self._set_up(project, {field: KINDS["band"]})
        if self.creates_fields:
            self._check_created(project, key)

    def test_every_kind_of_field_can_be_created(self, peer: Peer, project: Project) -> None:
        (key,) = peer.seed(1)
        project.fields = {column: peer.absent(column) for column in project.fields}
        project.score({key: 0.25})
        project.configure()
        self._set_up(project, {field: KINDS[column] for column, field in project.fields.items()})
        if self.creates_fields:
            self._check_created(project, key)

    def _set_up(self, project: Project, wanted: dict[str, Kind]) -> None:
        config = read_config(project.config)
        if self.creates_fields:
            assert setup(config, NAME).created == wanted
            assert setup(config, NAME).created == {}
            return
        with pytest.raises(PropenseError) as caught:  # it says what a person is to create
            setup(config, NAME)
        assert all(field in caught.value.message for field in wanted)
        assert caught.value.todo

    def _check_created(self, project: Project, key: str) -> None:
        assert project.sync().exit_status == 0
        with opened(project) as destination:
            held = destination.read([key])[key].values
        assert not unlike(project.values(0.25), held)

    def test_creates_none_and_says_which_are_gone(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(3)
        peer.delete(keys[1])
        before = set(peer.records())
        absent = [keys[1], *peer.unknown]
        written = write(project, *(row(project, key) for key in [*keys, *peer.unknown]))
        with opened(project) as destination:
            assert set(destination.read([*keys, *peer.unknown])) == {keys[0], keys[2]}
            # A destination that does not compare is not given rows that it has no record for.
            assert set(written.gone) == set(absent) or not destination.compares
        assert set(peer.records()) == before
        there = [keys[0], keys[2]]
        assert same(peer.scores(there), dict.fromkeys(there, project.values(0.25)))

    def test_what_is_gone_holds_nothing_back(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(5)
        project.score(spread(keys), "one")
        project.sync()
        there = set(peer.records())
        peer.delete(keys[2])
        project.score(dict.fromkeys(keys, 0.75), "two")
        account = project.sync()
        left = [key for key in keys if key != keys[2]]
        assert (account.sent + account.unchanged, account.skipped) == (4, {"gone": 1})
        assert set(peer.records()) == there - {keys[2]}
        assert {record[project.fields["band"]] for record in peer.scores(left).values()} == {"mql"}
        (failure,) = failures(read_config(project.config), project.output)
        assert (failure.lead_id, failure.kind) == (lead_of(keys[2]), "gone")

    def test_what_is_not_mapped_is_not_touched(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(4)
        before = peer.rest()
        assert all(record.items() >= dict(peer.others).items() for record in before.values())
        project.score(spread(keys))
        project.sync()
        project.score(spread(keys[:2]), "two")
        assert project.sync().cleared == 2
        assert peer.rest() == before

    def test_one_poison_holds_nothing_back(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(40)
        poison = random.Random(1).choice(keys)
        peer.poison(poison)
        project.score(spread(keys))
        account = project.sync()
        assert (account.sent, account.failed, account.pending, account.exit_status) == (39, 1, 0, 6)
        self._check_poisoned(peer, project, keys, poison)
        peer.heal(poison)
        assert project.sync().sent == 0  # it was refused, and is the same since
        assert retry(read_config(project.config), project.output, NAME) == 1
        assert (project.sync().sent, project.sync().exit_status) == (1, 0)
        assert same(peer.scores(keys), {key: project.values(p) for key, p in spread(keys).items()})

    def _check_poisoned(self, peer: Peer, project: Project, keys: list[str], poison: str) -> None:
        rest = [key for key in keys if key != poison]
        assert same(peer.scores(rest), {key: project.values(spread(keys)[key]) for key in rest})
        assert not any(peer.scores([poison])[poison].values())
        (failure,) = failures(read_config(project.config), project.output)
        assert (failure.lead_id, failure.kind) == (lead_of(poison), "refused")
        assert failure.reason
        effects = peer.effects()
        assert effects is None or len(effects) == len(set(effects))


class ContractOfServers(ContractOfRecords):
    """For destinations that one signs in to."""

    @pytest.fixture(autouse=True)
    def _secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in SECRETS.items():
            monkeypatch.setenv(name, value)

    def test_credentials_that_are_wrong_stop_it_and_are_not_told(
        self, peer: Peer, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (key,) = peer.seed(1)
        wrong = self.make_wrong(peer, project, monkeypatch)
        with opened(project) as destination:
            with pytest.raises(Exception) as caught:  # noqa: PT011  (whatever it is, classify knows it)
                destination.missing()
            error = caught.value
            problem = error if isinstance(error, Fatal) else destination.classify(error)
        assert isinstance(problem, Fatal)
        project.score({key: 0.25})
        with pytest.raises(PropenseError) as told:
            project.sync()
        for text in (str(error), problem.text, problem.todo, told.value.message):
            assert wrong not in text
        assert told.value.todo
        assert not any(peer.scores([key])[key].values())

    def make_wrong(self, peer: Peer, project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
        """Let the project sign in with a secret that is wrong, and return it."""
        raise NotImplementedError

    def test_a_server_that_cannot_be_reached_leaves_all_pending(self, peer: Peer, project: Project) -> None:
        keys = peer.seed(3)
        project.score(spread(keys))
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        project.settings |= {**peer.settings(port), "patience": "0.02m"}
        assert project.sync().exit_status == 5
        project.settings |= peer.settings()
        assert (project.sync().sent, project.sync().exit_status) == (3, 0)
