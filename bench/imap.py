"""Rates of the IMAP session core over the backend in memory: no sockets, no disk, one session.

    python bench/imap.py [messages]             the core alone
    python bench/imap_peer.py [messages]        over sockets, beside Dovecot

CPU of the core alone: bytes in, bytes out, as the driver would call it.  One line compares FETCH with the same answer
made message by message, text first and bytes after, as one writes it at first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from mox_imap import ImapConfig, ImapServer
from mox_imap.memory import MemoryBackend

HEADER = (
    "Received: from mail{n}.example.org by mx.example.com with ESMTPS id {n:08x}; Tue, 14 Nov 2023 22:00:00 +0000\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=a; h=from:to:subject; bh={x}; b={x}{x}\r\n"
    "Return-Path: <sender{n}@example.org>\r\n"
    "From: Sender Number {n} <sender{n}@example.org>\r\nTo: Ann <ann@example.com>, Bob <bob@example.com>\r\n"
    "Cc: list@example.net\r\nSubject: message {n} about something\r\nDate: Tue, 14 Nov 2023 22:00:00 +0000\r\n"
    "Message-ID: <{n}.{x}@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
)
BODY = "A line of text that says something, or other, {n} times.\r\n" * 60


def fill(count: int) -> MemoryBackend:
    """An account `ann` with an Inbox of `count` messages of some 4 KB."""
    backend = MemoryBackend(clock=lambda: 1_700_000_000.0)
    account = backend.add("ann", "secret")
    for n in range(count):
        text = (HEADER + BODY).format(n=n, x="k" * 40)
        account.deliver("Inbox", text.encode(), ("\\Seen",) if n % 3 else ())
    return backend


class Session:
    """A session, driven as aio drives it."""

    def __init__(self, backend: MemoryBackend) -> None:
        self.core = ImapServer(ImapConfig(plaintext_login=True, modseqs=True), backend, now=0.0)
        self.size = 0
        self.ask(b"a LOGIN ann secret")

    def ask(self, line: bytes) -> int:
        """Octets that were answered."""
        core, size = self.core, 0
        core.receive(line + b"\r\n", 0.0)
        while True:
            core.run()
            size += len(core.outgoing())
            if not core.busy:
                return size


def best(work: Callable[[], object], times: int = 5) -> float:
    """Seconds of CPU, the best of several."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def naive(backend: MemoryBackend) -> float:
    """UID, FLAGS and ENVELOPE of every message, one by one, as text."""
    mailbox = backend.accounts["ann"].open("Inbox", lambda: None)

    def work() -> list[bytes]:
        lines = []
        for number, (uid, _, bits) in enumerate(mailbox.entries(), 1):
            row = next(iter(mailbox.rows([uid])))
            flags = " ".join(mailbox.flag_names(bits))
            lines.append(f"* {number} FETCH (UID {uid} FLAGS ({flags}) ENVELOPE {row.envelope.decode()})\r\n".encode())
        return lines

    return best(work)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    backend = fill(count)
    session = Session(backend)
    session.ask(b"a SELECT Inbox")
    print(f"{count} messages of {len(BODY) + 800} octets; CPU of the core")
    print(f"{'':44} {'messages/s':>12} {'us each':>9} {'MB/s':>8}")
    commands = [
        b"FETCH 1:* FLAGS",
        b"FETCH 1:* (UID FLAGS RFC822.SIZE MODSEQ)",
        b"FETCH 1:* (UID FLAGS ENVELOPE)",
        b"FETCH 1:* ALL",
        b"FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE)",
        b"FETCH 1:* BODY",
        b"UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)])",
        b"FETCH 1:* BODY.PEEK[HEADER]",
        b"FETCH 1:* BODY.PEEK[1]",
        b"FETCH 1:* BODY.PEEK[]",
        b"SEARCH UNSEEN",
        b"SEARCH UNSEEN SMALLER 4000 NOT FLAGGED",
        b"SEARCH FROM sender77",
        b"SEARCH SUBJECT something UNSEEN",
        b"SEARCH BODY zzzz",
        b"SEARCH TEXT zzzz",
        b"UID STORE 1:* +FLAGS.SILENT (\\Flagged)",
        b"UID STORE 1:* -FLAGS (\\Flagged)",
    ]
    for command in commands:
        size = 0

        def work(line: bytes = b"a " + command) -> None:
            nonlocal size
            size = session.ask(line)

        seconds = best(work, 3)
        rate, each = count / seconds, seconds / count * 1e6
        print(f"{command.decode():44.60} {rate:12,.0f} {each:9.2f} {size / seconds / 1e6:8.0f}")
    ours = best(lambda: session.ask(b"a FETCH 1:* (UID FLAGS ENVELOPE)"))
    print(f"one by one, as text: {naive(backend) / ours:.1f} times as long as FETCH (UID FLAGS ENVELOPE)")
    print(f"{'':44} {'us each':>12}")
    for line, times in [
        (b"NOOP", 2000), (b"STATUS Inbox (MESSAGES UNSEEN)", 200), (b"SELECT Inbox", 200),
        (b"FETCH 7 FLAGS", 2000), (b"UID FETCH 7 (FLAGS BODY.PEEK[])", 2000), (b"UID STORE 7 +FLAGS (\\Answered)", 1),
        (b"SEARCH UID 7 UNSEEN", 2000),
    ]:  # fmt: skip

        def several(line: bytes = b"a " + line, times: int = times) -> None:
            for _ in range(times):
                session.ask(line)

        print(f"{line.decode():44} {best(several) / times * 1e6:12.1f}")


if __name__ == "__main__":
    main()
