"""The Received field, both ways.

RFC 5321 4.4, 6.3 and 7.6; RFC 3848; RFC 6531 4.3."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_message import Fields
from mox_smtp import Received, ReceivedSyntaxError, count_hops, received_field, with_protocol

NOW = 1_795_000_000.0


def test_written() -> None:
    field = received_field(
        by="mx.example", protocol="ESMTPS", id="x1", now=NOW, hello="client.example", ip=ip_address("192.0.2.1"),
        host="mail.client.example", tls="TLSv1.3 TLS_AES_256_GCM_SHA384", recipient="b@mx.example",
    )  # fmt: skip
    assert field.startswith(b"Received: from client.example (mail.client.example [192.0.2.1])\r\n\t(using TLSv1.3 ")
    read = Received.parse(field.decode().partition(": ")[2].replace("\r\n", ""))
    assert (read.from_, read.by, read.with_, read.id, read.for_) == (
        "client.example", "mx.example", "ESMTPS", "x1", "b@mx.example",
    )  # fmt: skip
    assert read.date is not None
    assert read.date.timestamp() == NOW


WITH = {
    "SMTP": {"extended": False},
    "ESMTP": {"extended": True},
    "ESMTPS": {"extended": True, "tls": True},
    "ESMTPSA": {"extended": True, "tls": True, "authenticated": True},
    "UTF8SMTPA": {"extended": True, "smtputf8": True, "authenticated": True},
    "LMTPS": {"extended": True, "tls": True, "lmtp": True},
    "UTF8LMTP": {"extended": True, "smtputf8": True, "lmtp": True},
}


@pytest.mark.parametrize("word, facts", WITH.items(), ids=WITH.keys())
def test_the_word_after_with(word: str, facts: dict[str, bool]) -> None:
    assert with_protocol(**facts) == word


READ = {
    "comments in comments": ("from a (b (c) d) by e; Tue, 24 Nov 2026 10:00:00 +0000", Received("a", "e", comments=("b (c) d",))),
    "quoted": ('from "a;b" by c', Received('"a;b"', "c")),
    "qmail's": ("(qmail 1 invoked by uid 2); 3 Nov 2026 10:00:00 -0000 by x", None),
    "for": ("by a for <b@c.example> id d", Received("", "a", "", "", "d", "b@c.example")),
    "only a comment after from": (
        "from ([192.0.2.1]) by mx.example with SMTP id q", Received("", "mx.example", "", "SMTP", "q", comments=("[192.0.2.1]",)),
    ),
    "a client called by": ("from by (x) by mx.example id q", Received("by", "mx.example", id="q", comments=("x",))),
    "nothing after for": ("by a for id d", Received("", "a", id="d")),
    "a comma behind the name": ("from a, by x, id d", Received("a", "x", id="d")),
    "repeated": ("from a from b by c", Received("a", "c")),
}  # fmt: skip


@pytest.mark.parametrize("text, want", READ.values(), ids=READ.keys())
def test_read(text: str, want: Received | None) -> None:
    if want is None:
        with pytest.raises(ReceivedSyntaxError):
            Received.parse(text)
        return
    found = Received.parse(text)
    assert (found.from_, found.by, found.id, found.for_, found.comments) == (
        want.from_, want.by, want.id, want.for_, want.comments,
    )  # fmt: skip


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_a_strangers_words_stay_one_word(hello: str, host: str, recipient: str) -> None:
    field = received_field(
        by="mx.example",
        protocol="ESMTP",
        id="x",
        now=NOW,
        hello=hello,
        ip=ip_address("::1"),
        host=host,
        recipient=recipient,
    )
    assert field.count(b"\r\n") == field.count(b"\r\n\t") + 1
    assert not field.replace(b"\r\n", b"").count(b"\n")
    read = Received.parse(field.decode().partition(": ")[2].replace("\r\n", ""))
    assert (read.by, read.with_, read.id) == ("mx.example", "ESMTP", "x")


@given(st.text(st.sampled_from('()";\\<>[] \tfrombyidwith:a,'), max_size=80))
def test_any_text(text: str) -> None:
    try:
        Received.parse(text)
    except ReceivedSyntaxError:
        return


def test_hops() -> None:
    assert count_hops(Fields.parse(b"Received: by a\r\nreceived: by b\r\nX-Received: by c\r\n\r\n")) == 2
