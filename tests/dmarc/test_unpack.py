"""Finding the XML: archives, mails, bombs."""

from __future__ import annotations

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_dmarc import Limits, Unusable, xml_of
from mox_dmarc.testing.reports import zipped
from mox_message import Content

XML = b'<?xml version="1.0"?><feedback/>'


def read(data: bytes, limits: Limits | None = None) -> bytes:
    return b"".join(xml_of(data, limits or Limits()))


def mail(*parts: tuple[str, bytes], encoding: str = "base64") -> bytes:
    import base64

    made = [b"From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"]
    for kind, data in parts:
        made.append(f"--x\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode())
        made.append(base64.encodebytes(data).replace(b"\n", b"\r\n") if encoding == "base64" else data)
        made.append(b"\r\n")
    return b"".join(made) + b"--x--\r\n"


TEXT = ("text/plain", b"see the attachment")
GOOD = {
    "bare": XML,
    "behind white space": b"\r\n \t" + XML,
    "with a byte order mark": b"\xef\xbb\xbf" + XML,
    "gzip": gzip.compress(XML),
    "gzip in two members": gzip.compress(XML[:9]) + gzip.compress(XML[9:]),
    "gzip and rubbish": gzip.compress(XML) + b"\0\0rubbish",
    "gzip twice": gzip.compress(gzip.compress(XML)),
    "zip": zipped({"a.xml": XML}),
    "zip without compression": zipped({"a.xml": XML}, stored=True),
    "zip with something beside": zipped({"readme.txt": b"hello", "dir/": b"", "__MACOSX/a.xml": b"no", "a.xml": XML}),
    "zip of a file of any name": zipped({"report": XML}),
    "zip of gzip": zipped({"a.xml.gz": gzip.compress(XML)}),
    "zip behind a comment": zipped({"a.xml": XML}),
    "a mail with gzip": mail(TEXT, ("application/gzip", gzip.compress(XML))),
    "a mail with zip": mail(TEXT, ("application/zip", zipped({"a.xml": XML}))),
    "a mail with XML": mail(TEXT, ("text/xml", XML)),
    "a mail with octets of no type": mail(TEXT, ("application/octet-stream", gzip.compress(XML))),
    "a mail with the wrong type": mail(TEXT, ("application/zip; name=a.xml", gzip.compress(XML))),
    "a mail with a broken file and a good one": mail(
        ("application/gzip", b"\x1f\x8bbroken"), ("application/gzip", gzip.compress(XML))
    ),
    "a mail with HTML": mail(("text/html", b"<html><body>hello"), ("text/xml", XML)),
    "a mail that is the file": b"Content-Type: text/xml\r\n\r\n" + XML,
    "a mail that was forwarded": mail(("message/rfc822", mail(TEXT, ("text/xml", XML))), encoding="7bit"),
}


@pytest.mark.parametrize("data", GOOD.values(), ids=GOOD)
def test_found(data: bytes) -> None:
    assert read(data).strip() in (XML, b"\xef\xbb\xbf" + XML)


def test_a_zip_made_by_a_stream_says_its_sizes_behind() -> None:
    class Stream(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    target = Stream()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", XML)
    assert read(target.data) == XML


def with_flag(archive: bytes) -> bytes:
    at = archive.index(b"PK\x01\x02")
    return archive[: at + 8] + b"\x01\x00" + archive[at + 10 :]


def with_method(archive: bytes, method: int) -> bytes:
    at = archive.index(b"PK\x01\x02")
    return archive[: at + 10] + struct.pack("<H", method) + archive[at + 12 :]


def with_offset(archive: bytes, offset: int) -> bytes:
    at = archive.index(b"PK\x01\x02")
    return archive[: at + 42] + struct.pack("<I", offset) + archive[at + 46 :]


PLAIN = zipped({"a.xml": XML * 50})
BAD = {
    "nothing": (b"", "empty"),
    "white space": (b" \r\n\r\n", "white space"),
    "gzip with a broken block": (gzip.compress(XML)[:10] + b"\x07" * 60, "broken"),
    "gzip that breaks off": (gzip.compress(XML * 99)[:-20], "breaks off|broken"),
    "gzip that is broken": (gzip.compress(XML * 99)[:15] + b"\xff" * 60, "broken|breaks off"),
    "gzip of nothing, cut": (b"\x1f\x8b\x08", "breaks off"),
    "zip that breaks off": (PLAIN[:60], "breaks off"),
    "zip of nothing": (zipped({}), "no report|nothing|breaks off|not"),
    "zip of an empty file": (zipped({"a.xml": b""}, stored=True), "nothing in it"),
    "zip with a password": (with_flag(PLAIN), "password"),
    "zip with another compression": (with_method(PLAIN, 14), "method 14"),
    "zip that points nowhere": (with_offset(PLAIN, 7), "nowhere"),
    "zip that points behind": (with_offset(PLAIN, 2**32 - 1), "nowhere"),
    "zip with another checksum": (PLAIN.replace(struct.pack("<I", zlib.crc32(XML * 50)), b"abcd"), "checksum"),
    "zip with too many files": (zipped({f"{n}.xml": XML for n in range(40)}), "more than 16 files"),
    "archives without end": (gzip.compress(gzip.compress(gzip.compress(gzip.compress(XML)))), "within archives"),
    "a mail without": (mail(TEXT), "no report attached"),
    "a mail with a broken one": (mail(("application/gzip", b"\x1f\x8bbroken")), "no usable report"),
    "words": (b"just words", "no report attached"),
}


@pytest.mark.parametrize("data, why", BAD.values(), ids=BAD)
def test_unusable(data: bytes, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        read(data)


def test_bombs_end_at_the_limit() -> None:
    """A thousand to one, in gzip, in zip, and one in the other: the memory is that of a piece, not of the whole."""
    large = b"<a>" + b" " * 30_000_000
    limits = Limits(xml=1_000_000)
    for bomb in (gzip.compress(large), zipped({"a.xml": large}), gzip.compress(zipped({"a.xml": large}))):
        tracemalloc.start()
        with pytest.raises(Unusable, match="more than 1000000 octets"):
            read(bomb, limits)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4_000_000


def test_sizes_before_anything_is_unpacked() -> None:
    with pytest.raises(Unusable, match="archive of more than"):
        read(gzip.compress(XML * 9) + b"\0" * 2000, Limits(packed=1000))
    with pytest.raises(Unusable, match="a mail of"):
        read(mail(TEXT), Limits(message=100))
    with pytest.raises(ValueError, match="below one"):
        Limits(rows=0)


def test_a_file_is_read_in_place() -> None:
    assert b"".join(xml_of(Content.of(XML))) == XML


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(GOOD.values())), st.integers(0, 400), st.binary(max_size=6), st.integers(0, 6))
def test_only_declared_errors(data: bytes, at: int, more: bytes, cut: int) -> None:
    at %= len(data)
    try:
        read(data[:at] + more + data[at + cut :])
    except Unusable:
        pass
