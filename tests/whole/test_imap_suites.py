"""ImapTest's scripts and James' transcripts against a whole moxd, over TLS; what is judged otherwise, and why, is in
tests/imap/test_suites.py, where the same scripts meet the session core."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import mox_store
from imap.test_suites import IMAPTEST, OTHERWISE, UNJUDGED, plan
from kit import imaptest_script, james_script
from kit.play_imap import Client
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.suites import suite
from kit.wire import Wire
from kit.world import trusting
from moxd.login import make_credentials

pytestmark = [pytest.mark.xdist_group("imap suites"), pytest.mark.timeout(120)]

DOMAIN = "mox.test"
JAMES = sorted(name for name, entry in plan().items() if not entry["state"].startswith("greeting"))
ACCOUNTS = [*(f"t{number}" for number in range(len(IMAPTEST))), *(f"j{number}" for number in range(len(JAMES))), "bob"]

# One script is for a server that does not know of this.
LESS = {f"j{JAMES.index(name)}": 'imap_without = ["CONDSTORE"]\n' for name in JAMES if name == "CondstoreDisable"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moxd]:
    """A moxd of two workers, with an account for every script."""
    folder = tmp_path_factory.mktemp("moxd") / "moxd"
    with stub_dns({}) as dns:
        ports = configure(folder, dns=dns, workers=2, extra="connections_per_minute = 0")
        with (folder / "domains.toml").open("a") as file:
            for name in ACCOUNTS:
                file.write(f'\n[accounts.{name}]\naddresses = ["{name}@{DOMAIN}"]\n{LESS.get(name, "")}')
        credentials = make_credentials(PASSWORD, os.urandom(16)).to_text()
        with closing(mox_store.Store(folder / "data" / "accounts", clock=time.time)) as store:
            for name in ACCOUNTS:
                with store.open(name).write() as tx:
                    tx.set_credential("password", credentials)
        with moxd(folder, ports) as running:
            yield running


class Room:
    """Connections to a server, closed when the test is over."""

    def __init__(self, server: Moxd) -> None:
        self._server = server
        self._wires: list[Wire] = []

    def session(self) -> Client:
        """A connection that has heard the greeting."""
        wire = Wire(self._server.address, self._server.ports["imaps"], trusting(self._server), "localhost")
        self._wires.append(wire)
        client = Client(wire)
        client.said.clear()
        return client

    def close(self) -> None:
        """Hangs up."""
        for wire in self._wires:
            wire.close()


@pytest.fixture
def room(server: Moxd) -> Iterator[Room]:
    found = Room(server)
    yield found
    found.close()


@pytest.mark.parametrize("name", IMAPTEST)
def test_imaptest_suite(room: Room, name: str) -> None:
    script = imaptest_script.Script.read(suite("imap-imaptest"), name)
    user, quoted = f"t{IMAPTEST.index(name)}@{DOMAIN}", f'"{PASSWORD}"'
    client = room.session()
    client.ask(f"a LOGIN {user} {quoted}")
    missing = script.capabilities - set(client.ask("b CAPABILITY")[0].upper().split())
    assert not missing, "moxd announces all that these scripts want"
    run = imaptest_script.Run(script, room.session, user, quoted, sorted(UNJUDGED.get(name, ())), f"bob@{DOMAIN}")
    assert run.play() > 0
    assert (run.skipped > 0) == (name in UNJUDGED)


@pytest.mark.parametrize("name", JAMES)
def test_james_suite(room: Room, name: str) -> None:
    folder: Path = suite("imap-james")
    entry, otherwise = plan()[name], OTHERWISE.get(name, {})
    if "" in otherwise:
        return  # wholly otherwise: the session core's test says why
    run = james_script.Run(room.session)
    login = f'login LOGIN j{JAMES.index(name)}@{DOMAIN} "{PASSWORD}"'
    if entry["state"].startswith("selected"):
        run.play(folder / "SelectedStateSetup.test", login)
    run.play(folder / entry["script"], login)
    unknown = [(said, why) for said, why in run.failures if not any(said.startswith(one) for one in otherwise)]
    assert not unknown, unknown
