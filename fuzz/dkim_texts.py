"""Signatures and key records from hostile octets: only the declared errors, and what is read can be written and read.

python fuzz/dkim_texts.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_dkim import KeyRecord, KeyRecordSyntaxError, Signature, SignatureSyntaxError, UnusableKey
from mox_dkim.signature import salvage
from mox_dns.scanner import RecordSyntaxError


def check_place(error: RecordSyntaxError) -> None:
    """An error points into its text."""
    assert 0 <= error.at <= len(error.text)


def fuzz(data: bytes) -> None:
    """One input."""
    salvage(data)
    try:
        signature = Signature.parse(data)
    except SignatureSyntaxError as error:
        check_place(error)
    else:
        assert signature.identity_domain.within(signature.domain)
        if signature.identity.isascii():
            assert Signature.parse(signature.field().partition(b":")[2]) == signature
    try:
        record = KeyRecord.parse(data)
    except KeyRecordSyntaxError as error:
        check_place(error)
        return
    assert KeyRecord.parse(str(record)).key == record.key
    if record.type in ("rsa", "ed25519") and not record.revoked:
        try:
            record.public_key()
        except UnusableKey:
            pass


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
