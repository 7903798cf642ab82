"""Chains and records from hostile octets: no exception, and a pass only where a record is what the chain holds.

python fuzz/dane_verify.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

import warnings

from mox_dane import Outcome, TlsaSyntaxError, UnusableSource, make, parse_tlsa, verify
from mox_dane.tlsa import association
from mox_dns import Tlsa

# cryptography warns of odd certificates; that is its right.
warnings.simplefilter("ignore")


def fuzz(data: bytes) -> None:
    """One input: the first four octets say how to cut it, and which record to hold against it."""
    head, rest = data[:4].ljust(4, b"\0"), data[4:]
    at = int.from_bytes(head[:2], "big") % (len(rest) + 1)
    chain = (rest[:at], rest[at:])
    usage, selector, matching = 2 + head[2] % 2, head[3] % 2, head[3] // 2 % 3
    wanted = association(chain[head[2] // 2 % 2], selector, matching)
    for octets in (wanted, rest[:64], rest):
        record = Tlsa(usage, selector, matching, octets or b"")
        verdict = verify(chain, [record], names=["a.example"], now=1e9)
        assert verdict.explain()
        if verdict.status is Outcome.PASS and usage == 3:
            assert association(chain[0], selector, matching) == record.data
    try:
        make(rest)
    except UnusableSource:
        pass
    try:
        text = rest.decode("latin-1")
        assert parse_tlsa(str(parse_tlsa(text))) == parse_tlsa(text)
    except TlsaSyntaxError as error:
        check_place(error)


def check_place(error: TlsaSyntaxError) -> None:
    """An error points into its text."""
    assert 0 <= error.at <= len(error.text)


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
