"""Clients that people use: imaplib, IMAPClient, mbsync."""

from __future__ import annotations

import imaplib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.imap_rooms import CLOCK, message
from kit.imap_server import Running, running
from mox_imap import ImapConfig
from mox_imap.memory import MemoryBackend


@pytest.fixture
def server() -> Iterator[Running]:
    backend = MemoryBackend(clock=lambda: CLOCK)
    account = backend.add("ann", "secret")
    for number in range(3):
        account.deliver("Inbox", message(f"message {number}", f"body {number}"))
    with running(backend, ImapConfig(plaintext_login=True, modseqs=True)) as found:
        found.backend = backend  # type: ignore[attr-defined]
        yield found


def test_imaplib(server: Running) -> None:
    with imaplib.IMAP4("127.0.0.1", server.port, timeout=10) as client:
        assert "IMAP4REV1" in client.capabilities
        assert client.authenticate("PLAIN", lambda _: b"\0ann\0secret")[0] == "OK"
        assert client.select("INBOX") == ("OK", [b"3"])
        assert client.search(None, "UNSEEN", "SUBJECT", '"message 1"') == ("OK", [b"2"])
        status, data = client.fetch("1:*", "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert status == "OK"
        assert [one[1] for one in data if isinstance(one, tuple)] == [
            b"Subject: message %d\r\n\r\n" % n for n in range(3)
        ]
        status, data = client.fetch("2", "(RFC822)")
        assert isinstance(data[0], tuple)
        assert data[0][1] == message("message 1", "body 1")
        assert client.store("1", "+FLAGS", "(\\Deleted $Work)") == ("OK", [b"1 (FLAGS (\\Deleted $Work \\Recent))"])
        assert client.expunge() == ("OK", [b"1"])
        assert client.create("&APw-ber/Unten")[0] == "OK"
        appended = client.append("&APw-ber/Unten", "(\\Seen)", '"14-Nov-2023 22:13:20 +0000"', message("new"))
        assert appended[0] == "OK"
        assert client.copy("1", "&APw-ber/Unten")[0] == "OK"
        assert client.status("&APw-ber/Unten", "(MESSAGES UNSEEN)")[1] == [b"&APw-ber/Unten (MESSAGES 2 UNSEEN 0)"]
        assert client.list()[1] == [
            b'(\\HasNoChildren) "/" INBOX',
            b'(\\HasChildren) "/" &APw-ber',
            b'(\\HasNoChildren) "/" &APw-ber/Unten',
        ]
        client.unselect()
        assert client.enable("UTF8=ACCEPT")[0] == "OK"
        client.select("INBOX")
        assert client.append("INBOX", "", "", message("again"))[0] == "OK"
        assert client.uid("MOVE", "2", "INBOX")[0] == "OK"
        assert client.namespace()[1] == [b'(("" "/")) NIL NIL']
        client.close()


def test_imapclient(server: Running) -> None:
    imapclient = pytest.importorskip("imapclient")
    with imapclient.IMAPClient("127.0.0.1", server.port, ssl=False, timeout=10) as client:
        client.login("ann", "secret")
        client.id_({"name": "test"})
        assert client.has_capability("CONDSTORE")
        info = client.select_folder("INBOX")
        assert info[b"EXISTS"] == 3
        assert info[b"UIDVALIDITY"] == 1
        assert client.search(["UNSEEN", "FROM", "ann@a.example"]) == [1, 2, 3]
        found = client.fetch(
            [1, 2], ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "INTERNALDATE", "BODY.PEEK[TEXT]", "MODSEQ"]
        )
        assert found[1][b"ENVELOPE"].subject == b"message 0"
        assert str(found[1][b"ENVELOPE"].from_[0]) == "Ann <ann@a.example>"
        assert found[2][b"BODYSTRUCTURE"][:2] == (b"TEXT", b"PLAIN")
        assert found[2][b"BODY[TEXT]"] == b"body 1\r\n"
        assert found[2][b"MODSEQ"] == (4,)
        assert client.add_flags([1], [imapclient.SEEN, b"$Work"]) == {1: (b"\\Seen", b"$Work", b"\\Recent")}
        assert client.get_flags([1]) == {1: (b"\\Seen", b"$Work", b"\\Recent")}
        client.create_folder("Entwürfe & mehr")
        assert [name for _, _, name in client.list_folders()] == ["INBOX", "Entwürfe & mehr"]
        assert b"APPENDUID 2 1" in client.append("Entwürfe & mehr", message("draft"), [imapclient.DRAFT])
        client.move([1, 2], "Entwürfe & mehr")
        assert client.folder_status("Entwürfe & mehr", ["MESSAGES", "UIDNEXT"])[b"MESSAGES"] == 3
        client.delete_messages([3])
        client.uid_expunge([3])
        assert client.search() == []
        client.rename_folder("Entwürfe & mehr", "Ordner")
        client.unsubscribe_folder("Ordner")
        assert [name for _, _, name in client.list_sub_folders()] == ["INBOX"]
        client.delete_folder("Ordner")
        client.multiappend("INBOX", [message("one"), message("two")])
        assert client.select_folder("INBOX", readonly=True)[b"READ-ONLY"] is not None
        client.unselect_folder()


def test_imapclient_idles(server: Running) -> None:
    imapclient = pytest.importorskip("imapclient")
    backend: MemoryBackend = server.backend  # type: ignore[attr-defined]
    with imapclient.IMAPClient("127.0.0.1", server.port, ssl=False, timeout=10) as client:
        client.login("ann", "secret")
        client.select_folder("INBOX")
        client.idle()
        timer = threading.Timer(0.1, lambda: server.call(lambda: backend.accounts["ann"].deliver("Inbox", message())))
        timer.start()
        start = time.monotonic()
        assert client.idle_check(timeout=5) == [(4, b"EXISTS"), (4, b"RECENT")]
        assert time.monotonic() - start < 2
        client.idle_done()
        timer.join()


@pytest.mark.peers
def test_mbsync(server: Running, tmp_path: Path) -> None:
    if shutil.which("mbsync") is None:
        pytest.skip("mbsync (isync) is not installed")
    (tmp_path / "rc").write_text(f"""
IMAPAccount a
Host 127.0.0.1
Port {server.port}
User ann
Pass secret
SSLType None
AuthMechs *

IMAPStore far
Account a

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/Inbox
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""")
    (tmp_path / "mail").mkdir()
    backend: MemoryBackend = server.backend  # type: ignore[attr-defined]

    def sync() -> None:
        done = subprocess.run(
            ["mbsync", "-D", "-c", str(tmp_path / "rc"), "-a"], capture_output=True, text=True, timeout=20, check=False
        )
        assert done.returncode == 0, done.stderr + done.stdout

    sync()
    inbox = tmp_path / "mail" / "Inbox"
    assert len(list(inbox.glob("*/*"))) == 3
    (inbox / "cur" / "1700000000.1.host:2,S").write_bytes(message("from here").replace(b"\r\n", b"\n"))
    server.call(lambda: backend.accounts["ann"].create("Far", ""))
    sync()
    assert server.call(lambda: backend.accounts["ann"].mailbox("Inbox").messages) == 4  # type: ignore[union-attr]
    assert (tmp_path / "mail" / "Far").is_dir()
