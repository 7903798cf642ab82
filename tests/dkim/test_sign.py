"""RFC 6376 5: what is signed, and with what."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mox_dkim import CannotSign, Form, KeyRecord, KeyType, Signature, Signer, Status, sign, verify_sync
from mox_dkim.key import private_key
from mox_dkim.testing.signing import MESSAGE, NOW, key, signed, signer, zone
from mox_dns import Domain, Zone
from mox_message import Content, Fields


def parsed(message: bytes) -> Signature:
    return Signature.parse(Fields.parse(message)[0].value)


# RFC 6376 5.4.1, RFC 8058 4
def test_defaults() -> None:
    signature = parsed(signed())
    assert (signature.domain, signature.selector) == (Domain("example.org"), "sel")
    assert (signature.header_form, signature.body_form) == (Form.RELAXED, Form.RELAXED)
    assert (signature.signed_at, signature.expires_at, signature.length) == (NOW, None, None)
    assert signature.headers.count("from") == 2
    assert signature.headers.count("cc") == 1  # not there, and none can be added
    assert "list-id" not in signature.headers


def test_choices() -> None:
    by = signer(
        oversigned=("From", "Subject"),
        if_present=("To", "X-None"),
        header_form=Form.SIMPLE,
        body_form=Form.RELAXED,
        identity="ann@sub.example.org",
        lifetime=3600,
    )
    signature = parsed(signed(by=by))
    assert signature.headers == ("to", "from", "from", "subject", "subject")
    assert (signature.header_form, signature.body_form) == (Form.SIMPLE, Form.RELAXED)
    assert (signature.identity, signature.expires_at) == ("ann@sub.example.org", NOW + 3600)


@pytest.mark.parametrize("header", Form)
@pytest.mark.parametrize("body", Form)
@pytest.mark.parametrize("type", KeyType)
def test_round_trip(header: Form, body: Form, type: KeyType) -> None:
    message = signed(by=signer(type=type, header_form=header, body_form=body))
    (result,) = verify_sync(message, zone(type), now=NOW)
    assert result.status is Status.PASS, result.explain()


def test_several_keys_read_the_body_once() -> None:
    class Counting(Content):
        __slots__ = ("reads",)

        def __init__(self) -> None:
            self.size = len(MESSAGE)
            self.reads = 0

        def read(self, start: int = 0, stop: int | None = None) -> bytes:
            self.reads += 1
            return MESSAGE[start:stop]

    content = Counting()
    signers = [signer(), signer(selector="rsa", type=KeyType.RSA), signer(body_form=Form.SIMPLE)]
    prefix = sign(Fields.parse(MESSAGE), content, signers, now=NOW)
    assert content.reads == 1
    known = zone()
    known.add("rsa._domainkey.example.org TXT", [str(KeyRecord.of(key(KeyType.RSA)))])
    assert [r.status for r in verify_sync(prefix + MESSAGE, known, now=NOW)] == [Status.PASS] * 3


@pytest.mark.parametrize("message", [b"\r\nbody", MESSAGE.replace(b"To:", b"From:")])
def test_one_author_is_needed(message: bytes) -> None:
    with pytest.raises(CannotSign, match="From"):
        signed(message)


# RFC 6376 5.4
def test_from_is_always_signed() -> None:
    with pytest.raises(ValueError, match="From"):
        signer(oversigned=("to",))


class Elsewhere:
    """A key that is not in this process, such as one in an HSM."""

    type = KeyType.ED25519

    def sign(self, digest: bytes) -> bytes:
        assert len(digest) == 32
        return key().sign(digest)


def test_a_key_may_be_anything_that_signs() -> None:
    (result,) = verify_sync(signed(by=Signer("example.org", "sel", Elsewhere())), zone(), now=NOW)
    assert result.status is Status.PASS
    raw = Ed25519PrivateKey.generate()
    record = str(KeyRecord.of(private_key(raw)))
    (result,) = verify_sync(signed(by=Signer(Domain("example.org"), "sel", raw)), zone(text=record), now=NOW)
    assert result.status is Status.PASS


def test_repr_shows_no_key() -> None:
    assert repr(signer()) == "Signer(example.org, sel, ed25519-sha256)"


def test_an_empty_body() -> None:
    bare = MESSAGE[: MESSAGE.index(b"\r\n\r\n") + 2]
    for message in (bare, bare + b"\r\n"):
        for form in Form:
            (result,) = verify_sync(signed(message, signer(body_form=form)), zone(), now=NOW)
            assert result.status is Status.PASS, (message, form)


# RFC 8616 4
def test_international_domain() -> None:
    by = signer("bücher.example")
    known = Zone({"sel._domainkey.xn--bcher-kva.example TXT": [str(KeyRecord.of(key()))]})
    (result,) = verify_sync(signed(by=by), known, now=NOW)
    assert (result.status, result.domain) == (Status.PASS, Domain("xn--bcher-kva.example"))
