"""RFC 6376 3.6.1: the key record, both ways."""

from __future__ import annotations

import base64

import pytest

from mox_dkim import KeyRecord, KeyRecordSyntaxError, KeyType, UnusableKey
from mox_dkim.testing.signing import key

DATA = key().public().data
P = base64.b64encode(DATA).decode()

GOOD = {
    "only a key": (f"p={P}", KeyRecord(DATA)),
    "all": (
        f"v=DKIM1; h=sha1:SHA256; k=ed25519; n=note; s=email:x; t=y:s; p={P}",
        KeyRecord(DATA, "ed25519", ("sha1", "sha256"), ("email", "x"), ("y", "s"), "note"),
    ),
    "white space": (f" v = DKIM1 ;\tp = {P[:8]} {P[8:]} ; ", KeyRecord(DATA)),
    "revoked": ("v=DKIM1; p=", KeyRecord(b"")),
    "an unknown kind of key": ("k=dsa; p=YWFh", KeyRecord(b"aaa", "dsa")),
    "unknown tags": (f"v=DKIM1; g=*; zz=1; p={P}", KeyRecord(DATA)),
}


@pytest.mark.parametrize("text, want", GOOD.values(), ids=GOOD)
def test_records(text: str, want: KeyRecord) -> None:
    assert KeyRecord.parse(text) == want
    assert KeyRecord.parse(text.encode()) == want
    assert KeyRecord.parse(str(want)) == want


BAD = {
    "nothing": "",
    "another record": "v=spf1 -all",
    "no key": "v=DKIM1; k=rsa",
    "version not first, 3.6.1": f"p={P}; v=DKIM1",
    "another version": f"v=DKIM2; p={P}",
    "version in small letters": f"v=dkim1; p={P}",
    "p twice": f"v=DKIM1; p={P}; p={P}",
    "no base64": "v=DKIM1; p=*",
    "cut base64": "v=DKIM1; p=YWF",
    "far too long": "v=DKIM1; n=" + "x" * 9000 + "; p=",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_no_record(text: str) -> None:
    with pytest.raises(KeyRecordSyntaxError):
        KeyRecord.parse(text)


def test_flags() -> None:
    record = KeyRecord.parse(f"t=y:s; p={P}")
    assert (record.testing, record.strict, record.revoked) == (True, True, False)
    assert KeyRecord.parse("p=").revoked


def test_record_of_a_key() -> None:
    assert str(KeyRecord.of(key())) == f"v=DKIM1; k=ed25519; p={P}"
    assert str(KeyRecord.of(key(KeyType.RSA, 1024), notes="it's = mine")).startswith(
        "v=DKIM1; n=it's=20=3D=20mine; p=MI"
    )
    assert KeyRecord.of(key()).public_key() == key().public()


UNUSABLE = {
    "rsa that is none": ("k=rsa; p=YWFh", "no RSA key"),
    "rsa that is ed25519": (f"k=rsa; p={P}", "no RSA key"),
    "ed25519 too short": ("k=ed25519; p=YWFh", "32 octets"),
}


@pytest.mark.parametrize("text, why", UNUSABLE.values(), ids=UNUSABLE)
def test_keys_that_are_none(text: str, why: str) -> None:
    with pytest.raises(UnusableKey, match=why):
        KeyRecord.parse(text).public_key()
