"""IMAP sessions on a backend in memory, logged in or not, ready for kit.play_imap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kit.play_imap import Client
from mox_imap import ImapConfig, ImapServer, Notified
from mox_imap.memory import MemoryAccount, MemoryBackend

CLOCK = 1_700_000_000.0  # 14-Nov-2023 22:13:20 UTC
MESSAGE = (
    b"From: Ann <ann@a.example>\r\nTo: bob@b.example\r\nSubject: %s\r\n"
    b"Date: Tue, 14 Nov 2023 22:00:00 +0100\r\n\r\n%s\r\n"
)


def message(subject: str = "hello", body: str = "How are you?") -> bytes:
    """A small message."""
    return MESSAGE % (subject.encode(), body.encode())


class Room:
    """A backend with one account, `ann` with password `secret`."""

    def __init__(self, *messages: bytes, **config: Any) -> None:
        self.backend = MemoryBackend(clock=lambda: CLOCK)
        self.account: MemoryAccount = self.backend.add("ann", "secret")
        self.config = ImapConfig(**{"plaintext_login": True, "modseqs": True, "hostname": "imap.example", **config})
        for one in messages:
            self.account.deliver("Inbox", one)
        self.nothing_recent()

    def nothing_recent(self, name: str = "Inbox") -> None:
        """Somebody has been notified of what is there (RFC 3501 2.3.2)."""
        mailbox = self.account.open(name, lambda: None)
        assert isinstance(mailbox, Notified)
        mailbox.notified(mailbox.uidnext() - 1)
        mailbox.close()

    def session(self, *, tls: bool = False) -> Client:
        """A connection that has heard the greeting."""
        client = Client(ImapServer(self.config, self.backend, now=0.0, tls=tls, clock=lambda: CLOCK))
        client.said.clear()
        return client

    def logged_in(self) -> Client:
        """A connection that has logged in."""
        client = self.session()
        client.ask("x LOGIN ann secret")
        return client

    def selected(self, *before: str, name: str = "Inbox") -> Client:
        """A connection that has opened a mailbox."""
        client = self.logged_in()
        for line in (*before, f"SELECT {name}"):
            said = client.ask(f"x {line}")
            assert said[-1].startswith("x OK"), said
        return client


def numbered(count: int, **config: Any) -> Room:
    """A room with messages whose subjects are `message 1` and so on."""
    return Room(*[message(f"message {number}", f"body {number}") for number in range(1, count + 1)], **config)


def untagged(said: Sequence[str]) -> list[str]:
    """The untagged ones, without the star."""
    return [line[2:] for line in said if line.startswith("* ")]
