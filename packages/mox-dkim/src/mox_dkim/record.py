"""The key record at `<selector>._domainkey.<domain>`, both ways.  RFC 6376 3.6.1, RFC 8463 4, RFC 8301."""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import lru_cache

from mox_dkim.key import KeyType, PrivateKey, PublicKey, public_key
from mox_dkim.signature import octets_of, quote, unfolded, unquote
from mox_dns.scanner import RecordSyntaxError
from mox_dns.taglist import TagList, TagListSyntaxError

VERSION = "DKIM1"

# A record of more octets holds no key that anybody uses; RSA with 4096 bits takes about 800.
MAX_RECORD = 8192


class KeyRecordSyntaxError(RecordSyntaxError):
    """This is no key record: `.text`, `.at` (character offset), `.why`."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What a domain says about one of its keys.

    `key` are the octets of p=; empty, the key is revoked.  `hashes` is None where h= is absent: any will do.  `type` is
    the text of k=, known to us or not."""

    key: bytes
    type: str = "rsa"
    hashes: tuple[str, ...] | None = None
    services: tuple[str, ...] = ("*",)
    flags: tuple[str, ...] = ()
    notes: str = ""

    @classmethod
    def parse(cls, text: str | bytes) -> KeyRecord:
        """One TXT record, its strings joined.  Raises KeyRecordSyntaxError."""
        return _record(text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text)

    @classmethod
    def of(cls, key: PrivateKey | PublicKey, *, flags: tuple[str, ...] = (), notes: str = "") -> KeyRecord:
        """The record to publish for a key."""
        public = key.public() if isinstance(key, PrivateKey) else key
        return cls(public.data, public.type.value, flags=flags, notes=notes)

    @property
    def revoked(self) -> bool:
        """The domain has withdrawn this key: p= is empty."""
        return not self.key

    @property
    def testing(self) -> bool:
        """t=y: treat a failing signature as none."""
        return "y" in self.flags

    @property
    def strict(self) -> bool:
        """t=s: the domain of i= must be d= itself."""
        return "s" in self.flags

    def public_key(self) -> PublicKey:
        """The key, ready to verify.  Raises UnusableKey; ValueError of the enumeration for an unknown `type`."""
        return public_key(KeyType(self.type), self.key)

    def __str__(self) -> str:
        """The text to publish."""
        tags = [f"v={VERSION}"]
        if self.hashes is not None:
            tags.append("h=" + ":".join(self.hashes))
        if self.type != "rsa":
            tags.append(f"k={self.type}")
        if self.notes:
            tags.append("n=" + quote(self.notes))
        if self.services != ("*",):
            tags.append("s=" + ":".join(self.services))
        if self.flags:
            tags.append("t=" + ":".join(self.flags))
        tags.append("p=" + binascii.b2a_base64(self.key, newline=False).decode())
        return "; ".join(tags)


@lru_cache(maxsize=512)
def _record(text: str) -> KeyRecord:
    """RFC 6376 3.6.1, tag by tag; unknown tags (g= of RFC 4871 among them) are ignored."""
    if len(text) > MAX_RECORD:
        raise KeyRecordSyntaxError(text, MAX_RECORD, f"longer than {MAX_RECORD} characters")
    try:
        tags = TagList.parse(text)
    except TagListSyntaxError as error:
        raise KeyRecordSyntaxError(text, error.at, error.why) from None
    version = tags.by_name.get("v")
    if version is not None and (version.value != VERSION or tags.tags[0].name != "v"):
        # 3.6.1: it MUST be the first tag if it is there, and records with another value are discarded.
        raise KeyRecordSyntaxError(text, version.at, "v= is not the first tag, or not DKIM1")
    key = tags.by_name.get("p")
    if key is None:
        raise KeyRecordSyntaxError(text, len(text), "p= is missing")
    try:
        octets = octets_of(key.value)
    except ValueError:
        raise KeyRecordSyntaxError(text, key.at, "p= is not base64") from None
    value = {name: tag.value for name, tag in tags.by_name.items()}
    return KeyRecord(
        octets,
        value.get("k", "rsa").lower(),
        _names(value["h"]) if "h" in value else None,
        _names(value.get("s", "*")),
        _names(value.get("t", "")),
        unquote(unfolded(value.get("n", ""))),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple([name for part in text.split(":") if (name := part.strip(" \t\r\n").lower())])
