"""Fuzz target: a DNS message from anybody.  Run `python fuzz/dns_wire.py` where atheris is installed."""

from __future__ import annotations

import sys

from mox_dns import Question, wire
from mox_dns.lookup import Answer

TYPES = ("TXT", "MX", "A", "AAAA", "PTR", "TLSA", "CNAME", "NS", "CAA", "SRV")


def fuzz(data: bytes) -> None:
    """Reads the bytes as they are, and as what follows an honest header and question."""
    if not data:
        return
    asked = wire.asked(Question("a.example", TYPES[data[0] % len(TYPES)]))
    assert asked is not None
    told(wire.read(data[1:], 0x1234, asked.wire, asked, trust_ad=True))
    message = b"\x12\x34" + data[1:11] + asked.wire + data[11:]
    told(wire.read(message, 0x1234, asked.wire, asked, trust_ad=True))
    header = b"\x12\x34\x81\xa0\0\1" + data[1:3].rjust(2, b"\0")[-2:] + b"\0\1\0\1"
    told(wire.read(header + asked.wire + data[3:], 0x1234, asked.wire, asked, trust_ad=False, tcp=True))


def told(outcome: wire.Outcome) -> None:
    """What must hold of any outcome."""
    if isinstance(outcome, Answer):
        assert 0 <= outcome.ttl <= wire.MAX_TTL
        assert not (outcome.found and outcome.failed)
        assert len(outcome.canonical) <= 4 * wire.MAX_NAME_OCTETS
        str(outcome)


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
