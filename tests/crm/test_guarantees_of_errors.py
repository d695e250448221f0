"""What is promised of a delivery when the other side refuses, fails, hangs, or says yes and does not do it.

Each class is a row of the table of guarantees in docs/evidence.md, which its docstring names.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("crm.stages")
from crm.projects import lead_of, spread  # noqa: E402
from crm.rows import same  # noqa: E402
from crm.server_peers import PostgresPeer  # noqa: E402
from crm.stages import ALL, ROWS, Stage, across, stage_, until  # noqa: E402, F401
from servers.emulator import Emulator  # noqa: E402
from servers.faults import Fault, answers, delays, drops, hangs, resets  # noqa: E402
from servers.tryton import SCORER, Tryton  # noqa: E402

HTTP = ("tryton", "hubspot", "salesforce", "bulk")
EMULATED = ("hubspot", "salesforce")
SHORT = "0.1m"  # patience of a run that is to give up


def resumes(stage: Stage, keys: list[str]) -> None:
    """The next run writes what is pending, and nothing twice."""
    outcome = stage.sync()
    assert (outcome.status, outcome.account["pending"]) == (0, 0), outcome.said
    stage.check_arrived(keys)


def halted(stage: Stage, *words: str) -> int:
    """The run halts part of the way, with what is left pending; return how much that is."""
    outcome = stage.sync()
    assert (outcome.status, bool(outcome.account["stopped"])) == (5, True), outcome.said
    told = outcome.account["stopped"]["problem"] + outcome.account["stopped"]["next"]
    assert all(word in told for word in words), told
    assert stage.peer.secret is None or stage.peer.secret not in told
    stage.check_once()
    return int(outcome.account["pending"])


class TestErrors:
    """5xx, hang, reset"""

    @across(*HTTP)
    @pytest.mark.parametrize(
        "faults",
        [(answers(503), answers(502, page=True), hangs()), (resets(), resets(forwarded=True), drops())],
        ids=["5xx, a page, hang", "reset, reset after, drop"],
    )
    def test_pass_over(self, stage: Stage, faults: tuple[Fault, ...]) -> None:
        keys = stage.seed()
        stage.project.settings["timeout"] = 5
        stage.proxy.set(*(fault.on(stage.peer.writes) for fault in faults))
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (0, {"sent": ROWS}), outcome.said
        # A job that has its upload after all is not given it again.
        assert len(stage.proxy.hits()) in ((2, 3) if stage.name == "bulk" else (3,))
        stage.check_arrived(keys)
        stage.expected_again = stage.again()

    @across("postgresql")
    def test_resets_pass_over(self, stage: Stage) -> None:
        keys = stage.seed()
        again = stage.peer.writes
        stage.proxy.set(resets(again), resets(again, forwarded=True), resets("COMMIT", behind=again))
        assert stage.sync().counts == {"sent": ROWS}
        assert len(stage.proxy.hits("reset")) == 3
        stage.check_arrived(keys)

    @across(*ALL)
    def test_that_do_not_end_leave_the_rest_pending(self, stage: Stage) -> None:
        keys = stage.seed()
        stage.project.settings["patience"] = SHORT
        broken = resets if stage.name == "postgresql" else lambda match, **how: answers(503, match, **how)
        stage.proxy.set(
            broken(stage.peer.writes, times=None, skip=int(stage.name in ("tryton", "hubspot", "salesforce")))
        )
        pending = halted(stage)
        batches = {"postgresql": 0, "tryton": 500, "hubspot": 100, "salesforce": 200, "bulk": 0}
        assert pending in (ROWS, ROWS - batches[stage.name])
        times = [seen.at for seen in stage.proxy.hits()]
        assert 2 <= len(times) <= 12  # again and again, further and further apart, and not for longer
        assert times[-1] - times[0] <= 6
        stage.proxy.clear()
        resumes(stage, keys)
        stage.expected_again = stage.again()


class TestPartialFailure:
    """a partial failure"""

    @across(*ALL)
    def test_one_poison_in_560(self, stage: Stage) -> None:
        keys = stage.seed()
        stage.peer.poison(keys[333])
        self.check(stage, keys, 333)

    @across("hubspot")
    @pytest.mark.parametrize("how", ["conflict", "batch"], ids=["whole-batch 409", "whole-batch 400"])
    def test_that_refuses_its_batch(self, stage: Stage, emulator: Emulator, how: str) -> None:
        keys = stage.seed()
        emulator.fault("poison", record=keys[333], how=how)
        self.check(stage, keys, 333)

    def check(self, stage: Stage, keys: list[str], place: int) -> None:
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (6, {"sent": ROWS - 1, "failed": 1}), outcome.said
        (failure,) = stage.failures()
        assert (failure["lead_id"], failure["kind"]) == (lead_of(keys[place]), "refused")
        chances = spread(keys)
        del chances[keys[place]]
        wanted = {key: stage.project.values(chance) for key, chance in chances.items()}
        assert same(stage.peer.scores(list(chances)), wanted)
        stage.expected_again = stage.again()
        stage.peer.heal(keys[place])
        stage.failures("--retry")
        assert stage.sync().counts == {"sent": 1, "unchanged": ROWS - 1}
        stage.check_arrived(keys)
        assert not stage.failures()


class TestErrorInside200:
    """an error inside a 200"""

    @across(*EMULATED)
    def test_that_passes_over(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        emulator.fault("error_inside", path="update|sobjects$", body='(?i)"id"', after=1, times=2)
        assert stage.sync().counts == {"sent": ROWS}
        stage.check_arrived(keys)
        stage.expected_again = stage.again()

    @across(*EMULATED)
    def test_that_stays(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        stage.project.settings["patience"] = SHORT
        emulator.fault("error_inside", path="update|sobjects$", body='(?i)"id"', after=1, times=None)
        assert halted(stage) == ROWS - (100 if stage.name == "hubspot" else 200)
        emulator.clear_faults()
        resumes(stage, keys)
        stage.expected_again = stage.again()


class TestSilentSuccess:
    """silent success"""

    @across(*EMULATED)
    def test_accepted_with_an_empty_result(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        emulator.fault("hollow", times=2, body='(?i)"id"')
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (0, {"sent": ROWS}), outcome.said
        stage.check_arrived(keys)
        stage.expected_again = stage.again()

    @across(*EMULATED, "bulk")
    def test_a_field_is_dropped(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        emulator.fault("drop", field=stage.project.fields["band"])
        halted(stage, stage.project.fields["band"])
        emulator.clear_faults()
        resumes(stage, keys)
        stage.expected_again = stage.again()

    @across("hubspot", "salesforce")
    def test_a_success_that_was_made_up(self, stage: Stage, emulator: Emulator) -> None:
        """Nothing is written, and the answer says that all of it was."""
        keys = stage.seed()
        emulator.fault("hollow", times=1, pretend=True, body='(?i)"id"')
        outcome = stage.sync()
        assert outcome.status in (0, 5)
        if outcome.status == 5:
            resumes(stage, keys)
        stage.check_arrived(keys)

    @across("postgresql")
    def test_a_trigger_keeps_what_was_there(self, stage: Stage) -> None:
        peer = stage.peer
        assert isinstance(peer, PostgresPeer)
        keys = stage.seed()
        peer.execute(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.band = OLD.band; RETURN NEW; END $$"
        )
        peer.execute('CREATE TRIGGER a_keep BEFORE UPDATE ON "Le ads" FOR EACH ROW EXECUTE FUNCTION keep()')
        stage.project.settings["patience"] = SHORT
        halted(stage)
        peer.execute('DROP TRIGGER a_keep ON "Le ads"')
        resumes(stage, keys)


class TestGone:
    """a lead is deleted or merged"""

    @across(*ALL)
    def test_deleted(self, stage: Stage) -> None:
        keys = stage.seed(250)
        assert stage.sync().status == 0
        there = set(stage.peer.records())
        for key in keys[100:103]:
            stage.peer.delete(key)
        stage.project.score(dict.fromkeys(keys, 0.995), "run-2")
        outcome = stage.sync()
        assert (outcome.status, outcome.account["skipped"]) == (0, {"gone": 3}), outcome.said
        assert {failure["lead_id"] for failure in stage.failures()} == {lead_of(k) for k in keys[100:103]}
        assert set(stage.peer.records()) == there - set(keys[100:103])
        left = keys[:100] + keys[103:240]  # the last few had nearly that score
        bands = {record[stage.project.fields["band"]] for record in stage.peer.scores(left).values()}
        assert bands == {"mql"}

    @across(*EMULATED)
    def test_merged_into_nobodys(self, stage: Stage, emulator: Emulator) -> None:
        (survivor,), keys = stage.peer.seed(1), stage.seed(250)
        emulator.merge(stage.peer.object, survivor, keys[7], new=False)  # type: ignore[attr-defined]
        outcome = stage.sync()
        assert (outcome.status, outcome.counts) == (0, {"sent": 250}), outcome.said
        wanted = {key: stage.project.values(chance) for key, chance in spread(keys).items()}
        wanted[survivor] = wanted.pop(keys[7])
        assert same(stage.peer.scores(list(wanted)), wanted)
        assert set(stage.peer.records()) == set(wanted)
        stage.check_once()
        stage.expected_again = stage.again(250)

    @across(*EMULATED)
    def test_merged_into_another_leads(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed(250)
        emulator.merge(stage.peer.object, keys[8], keys[7], new=False)  # type: ignore[attr-defined]
        outcome = stage.sync()
        assert (outcome.status, outcome.account["skipped"]) == (0, {"shared": 1}), outcome.said
        wanted = {key: stage.project.values(chance) for key, chance in spread(keys).items() if key != keys[7]}
        assert same(stage.peer.scores(list(wanted)), wanted)
        stage.check_once()

    @across("salesforce", "bulk")
    def test_converted(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed(250)
        contacts = [emulator.convert(key) for key in keys[3:6]]
        assert stage.sync().counts == {"sent": 250}
        held = emulator.records("Contact")
        chances = spread(keys)
        for key, contact in zip(keys[3:6], contacts, strict=True):
            assert same({contact: held[contact]}, {contact: stage.project.values(chances[key])})
            assert not any(stage.peer.scores([key])[key].values())


class TestHalts:
    """a field removed, a sign-in revoked mid-run"""

    @across(*EMULATED)
    def test_a_field_is_removed(self, stage: Stage, emulator: Emulator) -> None:
        keys, field = stage.seed(), stage.project.fields["grade"]
        kinds = ("contacts",) if stage.name == "hubspot" else ("Lead", "Contact")
        for kind in kinds:
            emulator.fault(
                "remove_field", object=kind, field=field, path="update|sobjects$", body='(?i)"id"', after=1
            )
        assert 0 < halted(stage, field) < ROWS
        for kind in kinds:
            emulator.add_field(kind, field, "string", **({} if kind == "contacts" else {"length": 10}))
        outcome = stage.sync("--all")  # what was written before has lost the field with its values
        assert outcome.status == 0
        wanted = {key: stage.project.values(chance) for key, chance in spread(keys).items()}
        assert same(stage.peer.scores(keys), wanted)

    @across(*EMULATED)
    @pytest.mark.parametrize("status", [401, 403])
    def test_the_sign_in_is_revoked(self, stage: Stage, emulator: Emulator, status: int) -> None:
        keys = stage.seed()
        emulator.set(bad_token_status=status)
        emulator.fault("revoke", for_good=True, path="update|sobjects$", body='(?i)"id"', after=1)
        assert 0 < halted(stage) < ROWS
        emulator.set(sf_user_inactive=False)
        emulator._tell("/tokens/add", {"token": emulator.hubspot_token, "vendor": "hubspot"})
        resumes(stage, keys)
        stage.expected_again = stage.again()

    @across(*EMULATED)
    def test_the_daily_quota_is_used_up(self, stage: Stage, emulator: Emulator) -> None:
        keys = stage.seed()
        emulator.set(hubspot_daily_limit=14, sf_daily_limit=11)
        assert 0 < halted(stage) < ROWS
        assert len(stage.proxy.log) < 20  # it is parked, and does not ask again
        emulator.set(hubspot_daily_limit=650_000, sf_daily_limit=100_000)
        resumes(stage, keys)
        stage.expected_again = stage.again()

    @across("tryton")
    def test_rights_are_taken_away(self, stage: Stage, tryton: Tryton) -> None:
        keys = stage.seed()
        groups = tryton.call("model.res.group.search", [["name", "=", "Sale Opportunity"]], 0, None, None)
        stage.proxy.set(delays(3, stage.peer.writes, skip=1, forwarded=False))
        process = stage.start()
        until(lambda: stage.proxy.hits("delay"))
        tryton.write_user(SCORER, groups=[["remove", groups]])
        outcome = stage.finish(process)
        assert (outcome.status, outcome.counts) == (5, {"sent": 500, "pending": 60}), outcome.said
        tryton.write_user(SCORER, groups=[["add", groups]])
        resumes(stage, keys)
        stage.expected_again = stage.again()

    @across("tryton")
    def test_sessions_end(self, stage: Stage, tryton: Tryton) -> None:
        """What a fresh sign-in helps against stops nothing."""
        keys = stage.seed()
        stage.proxy.set(delays(2, stage.peer.writes, skip=1, forwarded=False))
        process = stage.start()
        until(lambda: stage.proxy.hits("delay"))
        tryton.sign_out_everybody()
        assert stage.finish(process).counts == {"sent": ROWS}
        stage.check_arrived(keys)

    @across("postgresql")
    def test_a_column_is_removed(self, stage: Stage) -> None:
        peer = stage.peer
        assert isinstance(peer, PostgresPeer)
        keys = stage.seed()
        stage.proxy.set(delays(3, "BEGIN", skip=2, forwarded=False))  # after the checks, before the write
        process = stage.start()
        until(lambda: stage.proxy.hits("delay"))
        peer.execute('ALTER TABLE "Le ads" DROP COLUMN grade')
        outcome = stage.finish(process)
        assert (outcome.status, outcome.counts) == (5, {"pending": ROWS}), outcome.said
        assert "grade" in outcome.account["stopped"]["problem"]
        peer.execute('ALTER TABLE "Le ads" ADD COLUMN grade TEXT')
        resumes(stage, keys)
