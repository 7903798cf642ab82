"""TLSRPT records, RFC 8460 3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_tlsrpt import Https, Mailto, Record, RecordSyntaxError
from mox_tlsrpt.record import MAX_DESTINATIONS, ours

GOOD = {
    "as in RFC 8460 3.1.1": ("v=TLSRPTv1;rua=mailto:reports@example.com", ["mailto:reports@example.com"]),
    "as in RFC 8460 3.1.2": (
        "v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt", ["https://reporting.example.com/v1/tlsrpt"],
    ),
    "two, white space": ("v=TLSRPTv1 ; rua=mailto:a@b.example \t, https://c.example/?x=y&z#f ;",
                         ["mailto:a@b.example", "https://c.example/?x=y&z#f"]),
    "extensions": ("v=TLSRPTv1; x=1; rua=mailto:a@b.example; y-z.1_=:/", ["mailto:a@b.example"]),
    "of two rua the first": ("v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@d.example", ["mailto:a@b.example"]),
    "other schemes": ("v=TLSRPTv1; rua=http://a.example,ftp:x", ["http://a.example", "ftp:x"]),
    "encoded": ("v=TLSRPTv1; rua=mailto:a%21b@c.example", ["mailto:a%21b@c.example"]),
}  # fmt: skip
BAD = {
    "nothing": ("", 0, "'v=TLSRPTv1'"),
    "another version": ("v=TLSRPTv2; rua=mailto:a@b.example", 0, "'v=TLSRPTv1'"),
    "small letters": ("v=tlsrptv1; rua=mailto:a@b.example", 0, "'v=TLSRPTv1'"),
    "no semicolon": ("v=TLSRPTv1 rua=mailto:a@b.example", 10, "semicolon"),
    "no rua": ("v=TLSRPTv1;", 11, "no rua"),
    "an empty rua": ("v=TLSRPTv1; rua=", 16, "a URI"),
    "no URI": ("v=TLSRPTv1; rua=a@b.example", 16, "a URI"),
    "an empty URI": ("v=TLSRPTv1; rua=mailto:", 16, "a URI"),
    "a comma too many": ("v=TLSRPTv1; rua=mailto:a@b.example,", 35, "a URI"),
    "an exclamation mark": ("v=TLSRPTv1; rua=mailto:a@b.example!10m", 34, "semicolon"),
    "a space in a URI": ("v=TLSRPTv1; rua=https://a.example/b c", 35, "semicolon"),
    "half an escape": ("v=TLSRPTv1; rua=mailto:a%2@b.example", 24, "semicolon"),
    "an equals sign in a value": ("v=TLSRPTv1; rua=mailto:a@b.example; x=y=z", 39, "semicolon"),
    "a second rua that is none": ("v=TLSRPTv1; rua=mailto:a@b.example; rua=x", 40, "a URI"),
    "space in front": (" v=TLSRPTv1; rua=mailto:a@b.example", 0, "'v=TLSRPTv1'"),
}


@pytest.mark.parametrize("text, rua", GOOD.values(), ids=GOOD)
def test_good(text: str, rua: list[str]) -> None:
    record = Record.parse(text)
    assert list(record.rua) == rua
    assert Record.parse(str(record)) == record
    assert Record.parse(text.encode()) == record


@pytest.mark.parametrize("text, at, why", BAD.values(), ids=BAD)
def test_bad(text: str, at: int, why: str) -> None:
    with pytest.raises(RecordSyntaxError) as caught:
        Record.parse(text)
    assert (caught.value.at, why in caught.value.why) == (at, True)


# RFC 8460 3 over RFC 6068 2: one address, perhaps encoded.
DESTINATIONS = {
    "mailto": ("mailto:a@b.example", [Mailto("a@b.example")]),
    "scheme in capitals": ("MAILTO:a@b.example", [Mailto("a@b.example")]),
    "header fields": ("mailto:a@b.example?subject=x&body=y", [Mailto("a@b.example")]),
    "encoded": ("mailto:a%2Cb%21@c.example", []),
    "encoded and quoted": ("mailto:%22a%2Cb%22@c.example", [Mailto('"a,b"@c.example')]),
    "no address": ("mailto:a", []),
    "line ends": ("mailto:a%0D%0ABcc:x@b.example", []),
    "not UTF-8": ("mailto:%FF@b.example", []),
    "https": ("https://a.example/x", [Https("https://a.example/x")]),
    "https without host": ("https:/x", []),
    "https, an empty host": ("https:///x", []),
    "https, a port": ("https://a.example:8443/", [Https("https://a.example:8443/")]),
    "https, addresses": ("https://[2001:db8::1]/", [Https("https://[2001:db8::1]/")]),
    "https, a port that is none": ("https://a:x.example/", []),
    "https, port 0": ("https://a.example:0/", []),
    "https, a large port": ("https://a.example:65536/", []),
    "https, two dots": ("https://a..example/", []),
    "https, somebody": ("https://me@a.example/", []),
    "https, half an address": ("https://[2001:db8::1/", []),
    "http": ("http://a.example/x", []),
}


@pytest.mark.parametrize("uri, want", DESTINATIONS.values(), ids=DESTINATIONS)
def test_destinations(uri: str, want: list[object]) -> None:
    assert list(Record((uri, "tel:1")).destinations) == want
    assert [str(one) for one in Record((uri, uri)).destinations] == [str(one) for one in want]


def test_destinations_are_limited() -> None:
    record = Record(tuple(f"mailto:a{number}@b.example" for number in range(100)))
    assert len(record.destinations) == MAX_DESTINATIONS


def test_only_what_can_be_written() -> None:
    for rua in ((), ("a@b.example",), ("mailto:a,b@c.example",)):
        with pytest.raises(RecordSyntaxError):
            Record(rua)


def test_which_records_count() -> None:
    texts = [b"v=TLSRPTv1; rua=mailto:a@b.example", b"v=TLSRPTv1 ;x", b"v=TLSRPTv1", b"v=TLSRPTv12;", b"v=spf1 -all"]
    assert ours(texts) == tuple(texts[:3])


def points(error: RecordSyntaxError, text: str) -> None:
    assert 0 <= error.at <= len(text)
    assert error.why in str(error)


PIECES = st.lists(
    st.sampled_from(["rua=", "mailto:", "a@b.c", ",", ";", " ", "%41", "%", "!", "x=", "=", "é"]), max_size=12
)


@given(st.one_of(st.text(max_size=60), PIECES.map(lambda pieces: "v=TLSRPTv1;" + "".join(pieces))))
def test_only_the_declared_error(text: str) -> None:
    try:
        record = Record.parse(text)
    except RecordSyntaxError as error:
        points(error, text)
    else:
        assert Record.parse(str(record)) == record
        assert len(record.destinations) <= len(record.rua)
