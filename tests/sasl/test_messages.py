"""CRAM-MD5, the token mechanisms and the preparation of names and passwords: their texts and their limits.

RFC 2195; RFC 4616 2; RFC 7628 3.1, 3.2.2 and 3.2.3; RFC 6750 2.1; RFC 8265 3.4 and 4.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mox_sasl
from mox_sasl import CheckPassword, Failure, PreparationError, Secret, cram, oauth, prepare_name, prepare_password
from mox_sasl.oauth import BearerMessage, OAuthSyntaxError


def test_cram_md5_as_in_rfc_2195() -> None:
    said = b"<1896.697170952@postoffice.reston.mci.net>"
    assert cram.response("tim", "tanstaaftanstaaf", said) == b"tim b913a602c7eda7a495b4e6e7334d3890"
    assert cram.proves(Secret("tanstaaftanstaaf"), "x", said, "b913a602c7eda7a495b4e6e7334d3890")
    assert not cram.proves(None, "tanstaaftanstaaf", said, "b913a602c7eda7a495b4e6e7334d3890")


@pytest.mark.parametrize("data", [b"", b"tim", b"tim x", b" " + b"0" * 32, b"tim " + b"G" * 32, b"\xff " + b"0" * 32])
def test_no_answer_to_cram_md5(data: bytes) -> None:
    assert cram.read_response(data) is None


def test_a_name_with_spaces() -> None:
    assert cram.read_response(b"tim the second " + b"0" * 32) == ("tim the second", "0" * 32)


def test_oauthbearer_as_in_rfc_7628() -> None:
    said = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
        b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
    )
    read = oauth.read_oauthbearer(said)
    assert (read.name, read.host, read.port) == ("user@example.com", "server.example.com", 143)
    assert read.token == Secret("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")
    assert read.to_oauthbearer() == said


def test_xoauth2_as_google_documents_it() -> None:
    said = b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg\x01\x01"
    assert oauth.read_xoauth2(said).to_xoauth2() == said


BAD = [
    b"", b"n,,", b"n,,\x01", b"n,,\x01\x01", b"p=x,,\x01auth=Bearer x\x01\x01", b"n,b,\x01auth=Bearer x\x01\x01",
    b"n,a=x=y,\x01auth=Bearer x\x01\x01", b"n,,\x01auth=Basic x\x01\x01", b"n,,\x01auth=Bearer \x01\x01", b"n,,\x01auth=Bearer x\x01",
    b"n,,\x01auth=Bearer x y\x01\x01", b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01", b"n,,\x01port=x\x01auth=Bearer x\x01\x01",
    b"n,,\x01a b=x\x01auth=Bearer x\x01\x01", b"\xff,,\x01auth=Bearer x\x01\x01", b"n,,x\x01auth=Bearer x\x01\x01",
]  # fmt: skip


@pytest.mark.parametrize("data", BAD)
def test_no_oauthbearer(data: bytes) -> None:
    with pytest.raises(OAuthSyntaxError):
        oauth.read_oauthbearer(data)


@pytest.mark.parametrize(
    "data", [b"", b"auth=Bearer x\x01\x01", b"user=x\x01\x01", b"user=x\x01auth=Bearer x", b"x" * 20000]
)
def test_no_xoauth2(data: bytes) -> None:
    with pytest.raises(OAuthSyntaxError):
        oauth.read_xoauth2(data)


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
TOKENS = st.from_regex(r"\A[A-Za-z0-9._~+/-]{1,30}={0,2}\Z")


@given(NAMES, TOKENS, st.sampled_from(["", "mx.example"]), st.integers(0, 65535))
def test_tokens_are_written_and_read(name: str, token: str, host: str, port: int) -> None:
    message = BearerMessage(name, Secret(token), host, port)
    assert oauth.read_oauthbearer(message.to_oauthbearer()) == message
    assert oauth.read_xoauth2(message.to_xoauth2()) == BearerMessage(name, Secret(token))


@given(st.binary(max_size=100))
def test_any_octets(data: bytes) -> None:
    for read in (oauth.read_oauthbearer, oauth.read_xoauth2):
        try:
            read(data)
        except OAuthSyntaxError:
            continue
    oauth.read_error(data)
    cram.read_response(data)


def test_errors_are_read() -> None:
    assert oauth.read_error(oauth.error_text("invalid_token", "mail", "")) == "invalid_token"
    assert oauth.read_error(b"[" * 10000) == ""
    assert oauth.read_error(b"[]") == ""


# -- PRECIS

PASSWORDS = {
    "ASCII": ("pencil", "pencil"),
    "a space that is not ASCII": ("a\u00a0b", "a b"),
    "composed": ("A\u030angstro\u0308m", "\u00c5ngstr\u00f6m"),
    "case stays": ("Straße", "Straße"),
    "a ligature stays": ("\ufb01", "\ufb01"),
    "an emoji": ("\U0001f511", "\U0001f511"),
}


@pytest.mark.parametrize("password, want", PASSWORDS.values(), ids=PASSWORDS.keys())
def test_prepared_passwords(password: str, want: str) -> None:
    assert prepare_password(password) == want
    assert prepare_password(want) == want


@pytest.mark.parametrize("password", ["", "a\tb", "a\0b", "x" * 1025, "ü" * 513, "\ud800"])
def test_passwords_that_are_refused(password: str) -> None:
    with pytest.raises(PreparationError):
        prepare_password(password)


def test_what_was_set_elsewhere_is_taken_as_it_is() -> None:
    assert prepare_password("a\tb", fallback=True) == "a\tb"
    for password in ("a\0b", "\ud800", ""):
        with pytest.raises(PreparationError):
            prepare_password(password, fallback=True)


def test_prepared_names() -> None:
    assert prepare_name("Ann") == "Ann"
    assert prepare_name("ju\u0308rgen@ex\u00e4mple.de") == "jürgen@exämple.de"
    assert prepare_name("\uff41\uff42") == "ab"
    assert prepare_name("a b\u00e9") == "a b\u00e9"  # refused by PRECIS: it stays as it is


class Nobody:
    """mox_sasl.Verifier"""

    def scram(self, name: str) -> None:
        return None

    def nonce(self) -> str:
        return "n" * 18

    def secret(self) -> bytes:
        return b"s" * 32


PLAIN = {
    "two": (b"\0ann\0secret", ("ann", "secret", "")),
    "itself": (b"ann\0ann\0secret", ("ann", "secret", "")),
    "for another": (b"bob\0ann\0secret", None),
    "no name": (b"\0\0secret", None),
    "no password": (b"\0ann\0", None),
    "one NUL": (b"ann\0secret", None),
    "three NULs": (b"\0ann\0sec\0ret", None),
    "not UTF-8": (b"\0ann\0\xff", None),
    "too long": (b"\0" + b"x" * 1025 + b"\0secret", None),
}


@pytest.mark.parametrize("said, want", PLAIN.values(), ids=PLAIN.keys())
def test_plain(said: bytes, want: tuple[str, str, str] | None) -> None:
    outcome = mox_sasl.server("PLAIN", Nobody()).start(said)
    if want is None:
        assert isinstance(outcome, Failure)
    else:
        assert outcome == CheckPassword(want[0], Secret(want[1]), want[2])


def test_a_mechanism_that_nobody_knows() -> None:
    for name in ("GSSAPI", "CRAM-MD5", "SCRAM-SHA-256-PLUS", "plain"):
        with pytest.raises(KeyError):
            mox_sasl.server(name, Nobody())
    with pytest.raises(TypeError):
        mox_sasl.server("PLAIN", Nobody()).refused()
