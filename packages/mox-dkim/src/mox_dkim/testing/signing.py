"""What tests sign with: a key made once per process, a message, and the zone that publishes the key."""

from __future__ import annotations

from functools import cache

from mox_dkim import KeyRecord, KeyType, PrivateKey, Signer, generate
from mox_dns import Zone
from mox_message import Content, Fields

NOW = 1_700_000_000

MESSAGE = (
    b"From: Ann <ann@example.org>\r\n"
    b"To: bob@example.net\r\n"
    b"Subject: a subject\r\n"
    b"\tin two lines\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"\r\n"
    b"Hello,  Bob.\r\n"
    b"\r\n"
    b"Bye.\r\n"
)


def key(type: KeyType = KeyType.ED25519, bits: int = 2048) -> PrivateKey:
    """The same key for the same arguments."""
    return _made(type, bits)


@cache
def _made(type: KeyType, bits: int) -> PrivateKey:
    return generate(type, bits)


def signer(
    domain: str = "example.org", selector: str = "sel", type: KeyType = KeyType.ED25519, **options: object
) -> Signer:
    """A signer with that key."""
    return Signer(domain, selector, key(type), **options)  # type: ignore[arg-type]


def signed(message: bytes = MESSAGE, by: Signer | None = None, now: float = NOW) -> bytes:
    """`message` with a signature on top."""
    return (by or signer()).sign(Fields.parse(message), Content.of(message), now=now) + message


def zone(type: KeyType = KeyType.ED25519, name: str = "sel._domainkey.example.org", text: str | None = None) -> Zone:
    """A zone with one key record: `text`, or the record of the key."""
    return Zone({f"{name} TXT": [text if text is not None else str(KeyRecord.of(key(type)))]})
