"""The suites' messages, sent by SMTP and by APPEND, read back byte for byte."""

from __future__ import annotations

import re
import smtplib
from typing import Any

import pytest
from imapclient import IMAPClient
from imapclient.response_types import BodyData

from kit.server import PASSWORD, Moxd
from kit.suitemail import suite_messages
from kit.world import trusting

pytestmark = [pytest.mark.xdist_group("messages through"), pytest.mark.timeout(120)]

# Why a message may be refused; everything else has to come through.
REFUSALS = re.compile(rb"From|DMARC|authentic", re.IGNORECASE)
BATCH = 50


def client(server: Moxd) -> IMAPClient:
    made = IMAPClient(server.address, server.ports["imaps"], ssl_context=trusting(server), timeout=30)
    made.login("you@mox.test", PASSWORD)
    return made


def leaves(body: Any, number: str = "") -> list[tuple[str, Any]]:
    """(section, structure) of every leaf part."""
    if body.is_multipart:
        found = []
        for index, part in enumerate(body[0], 1):
            found += leaves(part, f"{number}.{index}" if number else str(index))
        return found
    return [(number or "1", body)]


@pytest.fixture(scope="module")
def sent(server: Moxd) -> dict[str, bytes]:
    """Everything that was taken by SMTP, in the order of delivery."""
    taken: dict[str, bytes] = {}
    with smtplib.SMTP(server.address, server.ports["smtp"], timeout=30) as smtp:
        smtp.ehlo("mx.sender.test")
        for name, data in suite_messages().items():
            smtp.mail("a@sender.test", ["BODY=8BITMIME"])
            assert smtp.rcpt("you@mox.test")[0] == 250
            code, reply = smtp.data(data)
            if code == 250:
                taken[name] = data
            else:
                assert code == 550, (name, code, reply)
                assert REFUSALS.search(reply), (name, code, reply)
    return taken


def test_most_come_through(sent: dict[str, bytes]) -> None:
    assert len(sent) > 180, len(sent)


def fetched(imap: IMAPClient, uids: list[int], *items: str) -> dict[int, dict[bytes, Any]]:
    found: dict[int, dict[bytes, Any]] = {}
    for at in range(0, len(uids), BATCH):
        found.update(imap.fetch(uids[at : at + BATCH], list(items)))
    return found


def check(imap: IMAPClient, wanted: dict[str, bytes], prefixed: bool) -> None:
    uids = imap.search("ALL")
    assert len(uids) == len(wanted)
    rows = fetched(
        imap,
        uids,
        "BODY.PEEK[]",
        "RFC822.SIZE",
        "BODYSTRUCTURE",
        "BODY",
        "ENVELOPE",
        "BODY.PEEK[HEADER]",
        "BODY.PEEK[TEXT]",
    )
    for uid, (name, data) in zip(uids, wanted.items(), strict=True):
        row = rows[uid]
        whole = row[b"BODY[]"]
        if prefixed:
            assert whole.startswith(
                b"Delivered-To: you@mox.test\r\nReturn-Path: <a@sender.test>\r\nAuthentication-Results:"
            ), name
            assert whole.endswith(data), name
            assert b"by mx.mox.test with ESMTP id " in whole[: -len(data)], name
        else:
            assert whole == data, name
        assert row[b"RFC822.SIZE"] == len(whole), name
        assert row[b"BODY[HEADER]"] + row[b"BODY[TEXT]"] == whole, name
        assert row[b"ENVELOPE"] is not None
        assert isinstance(row[b"BODYSTRUCTURE"], BodyData)
        assert isinstance(row[b"BODY"], BodyData)
        numbers = leaves(row[b"BODYSTRUCTURE"])
        sections = [f"BODY.PEEK[{number}]" for number, _ in numbers[:20]]
        parts = imap.fetch([uid], sections)[uid]
        for number, leaf in numbers[:20]:
            assert len(parts[f"BODY[{number}]".encode()] or b"") == leaf[6], (name, number, leaf)


def test_smtp_read_back_byte_for_byte(server: Moxd, sent: dict[str, bytes]) -> None:
    with client(server) as imap:
        imap.select_folder("INBOX", readonly=True)
        junk = imap.folder_status("Junk", ["MESSAGES"])[b"MESSAGES"] if imap.folder_exists("Junk") else 0
        assert junk == 0, "nothing here is junk"
        check(imap, sent, prefixed=True)


def test_append_read_back_byte_for_byte(server: Moxd) -> None:
    with client(server) as imap:
        imap.create_folder("Suite")
        for data in suite_messages().values():
            imap.append("Suite", data)
        imap.select_folder("Suite", readonly=True)
        check(imap, suite_messages(), prefixed=False)


def test_every_record_explains(server: Moxd, sent: dict[str, bytes]) -> None:
    with client(server) as imap:
        imap.select_folder("INBOX", readonly=True)
        last = imap.search("ALL")[-1]
        whole = imap.fetch([last], ["BODY.PEEK[]"])[last][b"BODY[]"]
    found = re.search(rb"by mx\.mox\.test with ESMTP id (\w{13})", whole)
    assert found is not None
    done = server.command("message", "explain", found[1].decode())
    assert done.returncode == 0, done.stderr
    assert "accept: delivered to you, Inbox" in done.stdout
