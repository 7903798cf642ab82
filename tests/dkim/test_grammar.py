"""Parsers and grammars are two readings of one RFC: they judge every text alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mox_dkim import KeyRecord, KeyRecordSyntaxError, Signature, SignatureSyntaxError
from mox_dkim.testing.texts import matches, mutated, texts
from mox_dns import Domain, DomainSyntaxError

pytestmark = pytest.mark.filterwarnings("ignore:.*:hypothesis.errors.HypothesisWarning")
QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def tags(text: str) -> dict[str, str] | None:
    """Names and values of what the grammar takes; None where a tag comes twice."""
    pairs = [part.partition("=")[::2] for part in text.split(";") if part.strip(" \t\r\n")]
    found = {name.strip(" \t\r\n"): value.strip(" \t\r\n") for name, value in pairs}
    return found if len(found) == len(pairs) else None


def signature_in_prose(text: str) -> bool:
    """RFC 6376 3.5: what the grammar does not say."""
    found = tags(text)
    if found is None or not {"v", "a", "d", "s", "h", "bh", "b"} <= set(found) or not found["b"]:
        return False
    try:
        domain, selector = Domain.parse(found["d"]), Domain.parse(found["s"])
        identity = re.sub(
            "=([0-9A-F]{2})", lambda octet: chr(int(octet[1], 16)), re.sub("[ \t\r\n]", "", found.get("i", "@"))
        )
        name = identity.rpartition("@")[2] if "i" in found else found["d"]
        if "@" not in identity or not Domain.parse(name).within(domain):
            return False
    except DomainSyntaxError:
        return False
    if "t" in found and "x" in found and int(found["x"]) <= int(found["t"]):
        return False
    return len(f"{selector}._domainkey.{domain}") <= 253


def is_signature(text: str) -> bool:
    try:
        Signature.parse(text)
    except SignatureSyntaxError:
        return False
    return True


def is_record(text: str) -> bool:
    try:
        KeyRecord.parse(text)
    except KeyRecordSyntaxError:
        return False
    return True


REQUIRED = "v=1; a=rsa-sha256; d=example.org; s=sel; h=from; bh=YWFh; b=YWFh"
NAMED = {
    "v": "v=1; ",
    "a": "a=rsa-sha256; ",
    "d": "d=example.org; ",
    "s": "s=sel; ",
    "h": "h=from; ",
    "bh": "bh=YWFh; ",
}


def completed(text: str) -> str:
    """The text with the required tags that it lacks, so that not all of them fail for that."""
    found = tags(text) or {}
    missing = "".join(tag for name, tag in NAMED.items() if name not in found)
    assume(len(text) < 200)  # the grammar is read by a parser that takes its time
    return missing + text + ("" if "b" in found else ("" if text.rstrip(" \t\r\n").endswith(";") else ";") + "b=YWFh")


@QUICK
@given(texts("signature").map(completed))
def test_signatures_of_the_grammar(text: str) -> None:
    assert matches("signature", text)
    assert is_signature(text) == signature_in_prose(text), text


@QUICK
@given(mutated("signature").map(completed))
def test_signatures_nearly_of_the_grammar(text: str) -> None:
    assert is_signature(text) == (matches("signature", text) and signature_in_prose(text)), text


@QUICK
@given(texts("signature").map(completed))
def test_signatures_written_and_read_again(text: str) -> None:
    if is_signature(text):
        signature = Signature.parse(text)
        assert Signature.parse(signature.field().partition(b":")[2]) == signature


@QUICK
@given(st.one_of(texts("record"), mutated("record")))
def test_key_records(text: str) -> None:
    found = tags(text)
    good = matches("record", text) and found is not None and "p" in found
    assert is_record(text) == good, text
    if good:
        record = KeyRecord.parse(text)
        assert KeyRecord.parse(str(record)) == record
