"""The contract of destinations that are servers: the real ones, and the emulator."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("crm.contract")
from crm.contract import ContractOfServers  # noqa: E402
from crm.peers import Peer  # noqa: E402
from crm.projects import Project  # noqa: E402
from crm.server_peers import HubSpotPeer, PostgresPeer, SalesforcePeer, TrytonPeer  # noqa: E402
from servers.emulator import Emulator  # noqa: E402
from servers.tryton import Tryton  # noqa: E402

from pipeline.destinations import salesforce_records  # noqa: E402

WRONG = "hunter2-is-no-secret"


@pytest.mark.xdist_group("postgres")
class TestPostgreSQL(ContractOfServers):
    @pytest.fixture
    def peer(self, database: str) -> Peer:
        return PostgresPeer(database)

    def make_wrong(self, peer: Peer, project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
        url = str(peer.settings()["url"]).replace("postgres@", f"nobody:{WRONG}@")
        monkeypatch.setenv("TEST_PG_URL", url)
        project.settings["url"] = {"env": "TEST_PG_URL"}
        return WRONG


@pytest.mark.xdist_group("tryton")
class TestTryton(ContractOfServers):
    creates_fields = False

    @pytest.fixture
    def peer(self, tryton: Tryton) -> Peer:
        return TrytonPeer(tryton)

    def make_wrong(self, peer: Peer, project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("TEST_TRYTON_PASSWORD", WRONG)
        return WRONG


@pytest.mark.xdist_group("hubspot")
class TestHubSpot(ContractOfServers):
    @pytest.fixture
    def peer(self, emulator: Emulator) -> Peer:
        return HubSpotPeer(emulator)

    def make_wrong(self, peer: Peer, project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("TEST_HUBSPOT_TOKEN", WRONG)
        return WRONG


class TestHubSpotSaying403(TestHubSpot):
    """There are servers that answer to a token that they do not know with 403."""

    @pytest.fixture
    def peer(self, emulator: Emulator) -> Peer:
        emulator.set(bad_token_status=403)
        return HubSpotPeer(emulator)


@pytest.mark.xdist_group("salesforce")
class TestSalesforce(ContractOfServers):
    @pytest.fixture
    def peer(self, emulator: Emulator) -> Peer:
        return SalesforcePeer(emulator)

    def make_wrong(self, peer: Peer, project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("TEST_SF_SECRET", WRONG)
        return WRONG


@pytest.mark.xdist_group("bulk")
class TestSalesforceInBulk(TestSalesforce):
    """Every batch of more than one row is a Bulk job."""

    @pytest.fixture
    def peer(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Peer:
        monkeypatch.setattr(salesforce_records, "UPDATED", 1)  # a collection holds no more
        return SalesforcePeer(emulator, bulk_from=1)
