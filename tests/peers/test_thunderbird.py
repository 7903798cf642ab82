"""Thunderbird from Debian: finds its settings by autoconfig, logs in, shows the Inbox, marks, moves, deletes, sends."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.processes import answers
from kit.server import PASSWORD, Moxd, configure, moxd
from kit.stubdns import stub_dns
from kit.thunderbird import Marionette, screenshot, thunderbird
from kit.world import STANDARD, mailbox, until

pytestmark = [pytest.mark.peers, pytest.mark.xdist_group("world"), pytest.mark.timeout(240)]
HOSTS = ("mox.test", "autoconfig.mox.test", "mx.mox.test")
SHARED = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = MailServices.accounts.accounts.find(a => a.incomingServer?.type == "imap");
const root = account?.incomingServer.rootFolder;
const inbox = root?.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const header = subject => [...inbox.messages].find(h => h.mime2DecodedSubject == subject);
"""
FIND = """
const { FetchConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/FetchConfig.sys.mjs");
const { AccountConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/AccountConfig.sys.mjs");
const { CreateInBackend } = ChromeUtils.importESModule("resource:///modules/accountcreation/CreateInBackend.sys.mjs");
const config = await FetchConfig.fromISP("mox.test", "you@mox.test", new AbortController().signal);
AccountConfig.replaceVariables(config, "You", "you@mox.test", PASSWORD);
config.rememberPassword = true;
const found = [config.incoming, config.outgoing].map(s => [s.type, s.hostname, s.port, s.socketType, s.username]);
await CreateInBackend.createAccountInBackend(config);
return found;
"""
SEND = """
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.from = "You <you@mox.test>";
fields.to = "other@mox.test";
fields.subject = "from Thunderbird";
fields.body = "Grüße\\r\\n";
const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
params.composeFields = fields;
params.identity = account.defaultIdentity;
params.type = Ci.nsIMsgCompType.New;
params.format = Ci.nsIMsgCompFormat.PlainText;
const compose = MailServices.compose.initCompose(params);
await compose.sendMsg(Ci.nsIMsgSend.nsMsgDeliverNow, account.defaultIdentity, account.key, null, null);
return true;
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moxd]:
    if os.geteuid() != 0:
        pytest.skip("port 443, which autoconfig is asked at, needs root")
    if any(answers(port) for port in (443, 993)):
        pytest.skip("port 443 or 993 of this machine is taken")
    folder = tmp_path_factory.mktemp("thunderbird") / "moxd"
    with stub_dns({}) as dns:
        ports = {**STANDARD, "http": 80, "https": 443}
        configure(folder, dns=dns, ports=ports, web=True, names=HOSTS, extra="connections_per_minute = 0")
        with moxd(folder, ports) as running:
            yield running


def fill(server: Moxd) -> None:
    with mailbox(server) as imap:
        for name in ("Hello", "To be moved", "To be deleted", "Grüße"):
            text = f"From: Kim <kim@sender.test>\r\nTo: you@mox.test\r\nSubject: {name}\r\n\r\nThis is {name}.\r\n"
            assert imap.append("Inbox", "", None, text.encode())[0] == "OK"


def wait(control: Marionette, script: str, good: Callable[[Any], bool] = bool) -> Any:
    return until(lambda: v if good(v := control.run(SHARED + script)) else None, 60)


def flags_of(server: Moxd, subject: str, name: str = "INBOX") -> str | None:
    with mailbox(server, name) as imap:
        found = imap.uid("SEARCH", "SUBJECT", f'"{subject}"')[1][0].split()
        return imap.uid("FETCH", found[0].decode(), "(FLAGS)")[1][0].decode() if found else None


def test_thunderbird(server: Moxd, tmp_path: Path) -> None:
    fill(server)
    with thunderbird(tmp_path / "thunderbird", server.ca, ",".join(HOSTS)) as (control, display):
        found = control.run(FIND.replace("PASSWORD", json.dumps(PASSWORD)))
        # 3: TLS from the first octet.
        assert found == [
            ["imap", "mx.mox.test", 993, 3, "you@mox.test"],
            ["smtp", "mx.mox.test", 465, 3, "you@mox.test"],
        ]
        control.run(SHARED + "account.incomingServer.performExpand(null);")
        wait(control, "return !!inbox;")
        control.run(SHARED + "inbox.updateFolder(null);")
        wait(control, "return inbox.getTotalMessages(false) == 4 && [...inbox.messages].length == 4;")
        subjects = wait(control, "return [...inbox.messages].map(h => h.mime2DecodedSubject).sort();")
        assert subjects == ["Grüße", "Hello", "To be deleted", "To be moved"]

        show = """
        const window = Services.wm.getMostRecentWindow("mail:3pane");
        const pane = window?.document.getElementById("tabmail")?.currentAbout3Pane;
        if (!pane?.displayFolder || !inbox) { return false; }
        pane.displayFolder(inbox.URI);
        if (!pane.gDBView?.rowCount) { return false; }
        pane.threadTree.selectedIndex = 0;
        return true;
        """
        wait(control, show)
        wait(control, "return true;")
        picture = tmp_path / "thunderbird.png"
        screenshot(display, picture)
        assert picture.stat().st_size > 10_000
        if keep := os.environ.get("MOX_SCREENSHOTS"):
            shutil.copy(picture, Path(keep) / picture.name)

        control.run(SHARED + 'inbox.markMessagesRead([header("Hello")], true);')
        control.run(SHARED + 'inbox.markMessagesFlagged([header("Hello")], true);')
        until(
            lambda: (
                {"\\Seen", "\\Flagged"}
                <= set((flags_of(server, "Hello") or "").replace("(", " ").replace(")", " ").split())
            )
        )
        move = """
        const archive = root.getChildNamed("Archive");
        MailServices.copy.copyMessages(inbox, [header("To be moved")], archive, true, null, null, false);
        """
        control.run(SHARED + move)
        until(lambda: flags_of(server, "To be moved", "Archive"))
        assert flags_of(server, "To be moved") is None
        control.run(SHARED + 'inbox.deleteMessages([header("To be deleted")], null, false, true, null, false);')
        until(lambda: flags_of(server, "To be deleted", "Trash"))
        control.run(SHARED + SEND)
        until(lambda: sent(server))
        until(lambda: flags_of(server, "from Thunderbird", "Sent"))
    assert "Traceback" not in server.log
    assert re.search(r"moxd\.login +login account=you", server.log), server.log[-3000:]


def sent(server: Moxd) -> bool:
    with mailbox(server, login="other@mox.test") as imap:
        return imap.search(None, "SUBJECT", '"from Thunderbird"')[1] != [b""]
