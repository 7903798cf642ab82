"""Fuzz target: whatever a client sends, at once and in pieces.

Run `python fuzz/imap_session.py` where atheris is installed."""

from __future__ import annotations

import sys

from mox_imap import ImapConfig, ImapServer, WireLimits
from mox_imap.memory import MemoryBackend

LIMITS = WireLimits(line=4096, literal=2048, command=8192, append=4096)
CONFIG = ImapConfig(plaintext_login=True, modseqs=True, limits=LIMITS, limits_before_login=LIMITS, bad_commands=1000)
MESSAGES = (
    b"From: a@b\r\nSubject: =?utf-8?q?h=C3=A9?=\r\n\r\nhello\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n"
    b"Content-Type: message/rfc822\r\n\r\nTo: c@d\r\n\r\ntwo\r\n--x--\r\n",
)  # fmt: skip
OPENINGS = (
    b"",
    b"x LOGIN ann secret\r\n",
    b"x LOGIN ann secret\r\nx SELECT Inbox\r\n",
    b"x LOGIN ann secret\r\nx ENABLE IMAP4rev2 QRESYNC\r\nx SELECT Inbox\r\n",
    b"x LOGIN ann secret\r\nx ENABLE UIDONLY CONDSTORE\r\nx SELECT Inbox\r\n",
    b"x LOGIN ann secret\r\nx SELECT Inbox\r\nx SEARCH RETURN (UPDATE COUNT) SEEN\r\n"
    b"x SORT RETURN (UPDATE ALL) (SIZE) UTF-8 ALL\r\n",
    b"x LOGIN ann secret\r\nx NOTIFY SET (SELECTED (MessageNew (FLAGS) MessageExpunge FlagChange)) "
    b"(PERSONAL (MailboxName))\r\nx SELECT Inbox\r\n",
    b"x LOGIN ann secret\r\nx SELECT Inbox\r\nx APPEND Inbox CATENATE (TEXT {3+}\r\nabc ",
)


def session(opening: bytes) -> ImapServer:
    """A session that has said `opening`."""
    backend = MemoryBackend()
    account = backend.add("ann", "secret")
    for one in MESSAGES:
        account.deliver("Inbox", one)
    server = ImapServer(CONFIG, backend, now=0.0, clock=lambda: 0.0)
    talk(server, [opening])
    return server


def talk(server: ImapServer, pieces: list[bytes]) -> bytes:
    """All that is answered; an exception is a finding."""
    out = b""
    for piece in pieces:
        server.receive(piece, 1.0)
        while True:
            server.run()
            out += server.outgoing()
            if server.wants_tls:
                server.tls_started()
            elif not server.busy:
                break
        server.news()
        out += server.outgoing()
    return out


def fuzz(data: bytes) -> None:
    """The first octet picks an opening and where to cut; both ways the answers are the same, line by line."""
    if not data:
        return
    opening, cut = OPENINGS[data[0] & 7], data[0] >> 3
    whole = talk(session(opening), [data[1:]])
    pieces = talk(session(opening), [data[1 : 1 + cut], data[1 + cut :]])
    assert whole == pieces or b"STARTTLS" in data.upper(), (whole, pieces)
    assert whole == b"" or whole.endswith(b"\r\n")


if __name__ == "__main__":
    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
