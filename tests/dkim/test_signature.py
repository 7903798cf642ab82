"""RFC 6376 3.5 and 6.1.1: what a DKIM-Signature says, and which fields are none."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_dkim import Algorithm, Form, Signature, SignatureSyntaxError
from mox_dkim.signature import TagReader, fold_tags, quick_values, read_tags, salvage, with_value, without_b
from mox_dns import Domain
from mox_message import Fields

# RFC 6376 3.5, the example, with the values of A.2 in short
GOOD = (
    "v=1; a=rsa-sha256; d=example.net; s=brisbane; c=relaxed/simple; q=dns/txt; i=joe=20x@eng.example.net;"
    " t=1117574938; x=1118006938; l=12; h=from:to : subject:\r\n date; z=From:foo@eng.example.net|To:joe@example.com;"
    " bh=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=;"
    " b=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZ\r\n VoG4ZHRNiYzR"
)


def test_everything_that_can_be_said() -> None:
    signature = Signature.parse(GOOD)
    assert signature.algorithm is Algorithm.RSA_SHA256
    assert (signature.domain, signature.selector) == (Domain("example.net"), "brisbane")
    assert (signature.header_form, signature.body_form) == (Form.RELAXED, Form.SIMPLE)
    assert signature.identity == "joe x@eng.example.net"
    assert signature.identity_domain == Domain("eng.example.net")
    assert (signature.signed_at, signature.expires_at, signature.length) == (1117574938, 1118006938, 12)
    assert signature.headers == ("from", "to", "subject", "date")
    assert signature.body_hash == b"12345678901234567890123456789012"
    assert signature.prefix == "dzdVyOfA"
    assert signature.key_name == "brisbane._domainkey.example.net"


def test_defaults() -> None:
    signature = Signature.parse("v=1;a=ed25519-sha256;d=a.example;s=s;h=from;bh=;b=YWE=;")
    assert (signature.header_form, signature.body_form) == (Form.SIMPLE, Form.SIMPLE)
    assert (signature.identity, signature.length, signature.signed_at) == ("", None, None)
    assert signature.identity_domain == Domain("a.example")
    assert signature.query == ("dns/txt",)


CHANGES = {
    "no version": ("v=1; ", "", "v= is missing"),
    "another version": ("v=1;", "v=2;", "version"),
    "no algorithm": ("a=rsa-sha256; ", "", "a= is missing"),
    "unknown algorithm": ("rsa-sha256", "rsa-md5", "algorithm"),
    "no domain": ("d=example.net; ", "", "d= is missing"),
    "no domain name": ("d=example.net", "d=exa(mple.net", "d= is no domain name"),
    "no selector": ("s=brisbane; ", "", "s= is missing"),
    "empty selector": ("s=brisbane", "s=", "s= is no domain name"),
    "unknown form": ("c=relaxed/simple", "c=relaxed/nofws", "canonicalization"),
    "i= elsewhere": ("eng.example.net; t", "example.com; t", "neither d= nor below"),
    "i= looks alike": ("@eng.example.net; t", "@notexample.net; t", "neither d= nor below"),
    "i= without @": ("joe=20x@eng.example.net;", "joe;", "neither d= nor below"),
    "expires before it was made": ("x=1118006938", "x=1117574937", "not later"),
    "expires at once": ("x=1118006938", "x=1117574938", "not later"),
    "time in letters": ("t=1117574938", "t=now", "t= is not a number"),
    "other digits": ("l=12", "l=²", "l= is not a number"),
    "negative length": ("l=12", "l=-1", "l= is not a number"),
    "endless length": ("l=12", "l=" + "9" * 77, "l= is not a number"),
    "no headers": ("h=from:to : subject:\r\n date; ", "", "h= is missing"),
    "empty name in h=": ("h=from:to", "h=from::to", "no field name"),
    "space in a name": ("h=from:to :", "h=from:t o :", "no field name"),
    "no body hash": ("bh=MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI=;", "", "bh= is missing"),
    "body hash is no base64": ("bh=MTI", "bh=*TI", "bh= is not base64"),
    "signature is no base64": ("b=dzd", "b=d=d", "b= is not base64"),
    "b= twice": ("v=1;", "v=1; b=YWFh;", "b"),
    "name too long for DNS": ("s=brisbane", "s=" + ".".join(["a" * 60] * 4), "longer"),
}


# RFC 6376 6.1.1
@pytest.mark.parametrize("old, new, why", CHANGES.values(), ids=CHANGES)
def test_no_signature(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(SignatureSyntaxError, match=why.replace("(", r"\(")) as caught:
        Signature.parse(GOOD.replace(old, new, 1))
    assert 0 <= caught.value.at <= len(caught.value.text)


def test_a_missing_signature_and_a_huge_field() -> None:
    with pytest.raises(SignatureSyntaxError, match="empty"):
        Signature.parse(GOOD[: GOOD.rindex("b=")] + "b=")
    with pytest.raises(SignatureSyntaxError, match="longer than"):
        Signature.parse(GOOD + "; n=" + "x" * 70000)


def test_bytes_that_are_no_text_do_not_matter() -> None:
    with pytest.raises(SignatureSyntaxError):
        Signature.parse(b"\xff\xfe\x00")


# RFC 8616 4
def test_unicode_domains_8616() -> None:
    signature = Signature.parse(
        GOOD.replace("d=example.net", "d=bücher.example").replace("eng.example.net;", "bücher.example;")
    )
    assert signature.key_name == "brisbane._domainkey.xn--bcher-kva.example"


def test_written_and_read_again() -> None:
    signature = Signature.parse(GOOD)
    field = signature.field()
    assert field.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=example.net;\r\n ")
    assert field.endswith(b"\r\n")
    assert max(map(len, field.split(b"\r\n"))) <= 78
    (read,) = Fields.parse(field + b"\r\n")
    assert Signature.parse(read.value) == signature


def test_a_long_name_gets_its_line() -> None:
    folded = fold_tags("DKIM-Signature", [("v", "1"), ("d", "a" * 100), ("b", "")])
    assert folded == b"DKIM-Signature: v=1;\r\n d=" + b"a" * 100 + b";\r\n b=\r\n"


B_VALUES = {
    "last": (b"DKIM-Signature: v=1; b=abc\r\n", b"DKIM-Signature: v=1; b="),
    "last, folded": (b"DKIM-Signature: v=1;\r\n\tb = abc\r\n  def \r\n", b"DKIM-Signature: v=1;\r\n\tb ="),
    "in the middle": (b"DKIM-Signature: v=1; b= abc ; bh=xyz\r\n", b"DKIM-Signature: v=1; b=; bh=xyz"),
    "first": (b"DKIM-Signature:b=abc;v=1\r\n", b"DKIM-Signature:b=;v=1"),
    "only the tag b": (b"DKIM-Signature: bb=b=1; ab=2; b=3;\r\n", b"DKIM-Signature: bb=b=1; ab=2; b=;"),
    "none": (b"DKIM-Signature: v=1\r\n", b"DKIM-Signature: v=1"),
}


# RFC 6376 3.7
@pytest.mark.parametrize("raw, want", B_VALUES.values(), ids=B_VALUES)
def test_the_value_of_b_is_taken_out_3_7(raw: bytes, want: bytes) -> None:
    (field,) = Fields.parse(raw + b"\r\n")
    assert without_b(field, Form.SIMPLE) == want
    relaxed = b"dkim-signature:" + b" ".join(want.partition(b":")[2].split())
    assert without_b(field, Form.RELAXED) == relaxed


def test_what_can_be_told_of_a_broken_signature() -> None:
    assert salvage(GOOD.replace("v=1", "v=9").encode()) == (Domain("example.net"), "brisbane")
    assert salvage(b"d=(; s=x") == (None, "")
    assert salvage(b"nonsense") == (None, "")


# RFC 6376 2.11, RFC 8616 5
def test_identity_with_odd_characters() -> None:
    signature = replace(Signature.parse(GOOD), identity="a;b=c d@example.net")
    assert ("i", "a=3Bb=3Dc=20d@example.net") in signature.tags()
    assert Signature.parse(signature.field().partition(b":")[2]).identity == "a;b=c d@example.net"


@given(st.binary(min_size=1, max_size=700), st.text("abc.", min_size=1, max_size=60))
def test_the_value_of_b_put_in_later_is_folded_the_same(octets: bytes, selector: str) -> None:
    tags = [("v", "1"), ("s", selector), ("bh", "eA=="), ("b", "")]
    whole = [*tags[:-1], ("b", base64.b64encode(octets).decode())]
    assert with_value(fold_tags("DKIM-Signature", tags), octets) == fold_tags("DKIM-Signature", whole)


QUICK = {
    "folded": ("v=1; a=x;\r\n\tb=a\r\n b; c = d ;", {"v": "1", "a": "x", "b": "a b", "c": "d"}),
    "two of a name": ("a=1; a=2", None),
    "no equals sign": ("a=1; b", None),
    "an unknown name": ("a=1; y=2", None),
    "an empty tag": ("a=1;; b=2", None),
    "a bare line end": ("a=1;\n b=2", None),
    "a line end that folds nothing": ("a=1;\r\nb=2", None),
    "an empty folded line": ("a=1; \r\n b=2", None),
    "an empty folded line without a space before": ("a=1;\r\n \r\n b=2", None),
    "a control character": ("a=\x01", None),
    "a tab within": ("q=a\tb", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize("text, values", QUICK.values(), ids=QUICK)
def test_what_is_written_as_usual_is_read_quickly(text: str, values: dict[str, str] | None) -> None:
    assert quick_values(text) == values


@given(
    st.lists(st.sampled_from(["a", "b", "v", "y", "=", ";", " ", "\t", "\r\n", "\r\n ", "\r", "\n", "é", "\0", "1"]))
)
def test_the_quick_reading_and_the_closer_look_agree(pieces: list[str]) -> None:
    text = "".join(pieces)
    quick = quick_values(text)
    if quick is None:
        return
    closer = {name: tag.value for name, tag in read_tags(text).items()}
    assert quick.keys() == closer.keys()
    for name, value in closer.items():
        # Folding within a value is white space that means nothing in any tag.
        assert quick[name].split() == value.split()
    assert TagReader(text).optional("a") == quick.get("a")
