"""Generated messages: signed by us in every way, then left alone or spoilt; ARC chains of ours; results in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from mox_dkim import CannotSign, Form, KeyRecord, KeyType, PrivateKey, Sealer, Signer, generate, verify_chain_sync
from mox_dns import Zone
from mox_message import AuthenticationResults, Content, Fields, MethodResult

NAME = "sel._domainkey.example.org"
HEADER = (
    b"Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n\tby mx.example.net with ESMTPS id 1;\r\n"
    b"\tTue, 14 Nov 2023 22:13:21 +0000\r\nFrom: Ann Example <ann@example.org>\r\nTo: Bob <bob@example.net>\r\n"
    b"Subject:  Minutes of\r\n the   meeting \r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    b"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n\r\n"
)
BODIES = {
    "a line": b"Hello, Bob.\r\n",
    "empty": b"",
    "blank lines at the end": b"Hello\r\n\r\n\r\n\r\n",
    "only blank lines": b"\r\n\r\n",
    "no line end": b"Hello, Bob.",
    "white space": b"a \t b  \r\n \r\n\tc\t\r\n  \r\n",
    "8 bit": "Grüße\r\n".encode() * 3,
    "dots": b".\r\n..\r\n.x\r\n",
    "long lines": b"x" * 3000 + b"\r\n" + b"y " * 900 + b"\r\n",
}
# What becomes of a signed message on its way.
CHANGES = {
    "as it was": lambda m: m,
    "a field in front": lambda m: b"Received: from x\r\n\tby y; Tue, 14 Nov 2023 22:13:22 +0000\r\n" + m,
    "another subject": lambda m: m.replace(b"Minutes", b"Minuten"),
    "a field folded anew": lambda m: m.replace(b"of\r\n the   meeting ", b"of the\r\n\t meeting"),
    "a field name in capitals": lambda m: m.replace(b"\r\nTo: ", b"\r\nTO: "),
    "a second subject": lambda m: m.replace(b"\r\nTo:", b"\r\nSubject: another\r\nTo:", 1),
    "a second from": lambda m: m.replace(b"\r\nTo:", b"\r\nFrom: eve@example.net\r\nTo:", 1),
    "text at the end": lambda m: m + b"more\r\n",
    "blank lines at the end": lambda m: m + b"\r\n\r\n",
    "a space at a line's end": lambda m: m.replace(b"\r\n\r\n", b"\r\n\r\nx \r\n", 1),
    "b= spoilt": lambda m: m.replace(b"\tb=", b"\tb=BAAA", 1).replace(b" b=", b" b=BAAA", 1),
    "b= with zeros in front": lambda m: m.replace(b"; b=", b"; b=AAAA", 1).replace(b"\tb=", b"\tb=AAAA", 1),
    "another d=": lambda m: m.replace(b"d=example.org", b"d=example.com", 1),
    "another c=": lambda m: m.replace(b"c=relaxed/relaxed", b"c=simple/simple", 1),
}


@cache
def key(kind: str) -> PrivateKey:
    """A key for this run."""
    if kind == "ed25519":
        return generate(KeyType.ED25519)
    return generate(KeyType.RSA, bits=int(kind))


def signed(kind: str, body: bytes, header_form: Form, body_form: Form, **settings: Any) -> bytes:
    """A message with our signature."""
    message = HEADER + body
    signer = Signer("example.org", "sel", key(kind), header_form=header_form, body_form=body_form, **settings)
    return signer.sign(Fields.parse(message), Content.of(message), now=int(time.time())) + message


def zone(kind: str, text: str = "") -> dict[str, Any]:
    """The key's record, or another text for it."""
    return {f"{NAME} TXT": [text or str(KeyRecord.of(key(kind)))]}


def cases() -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """Name, records, message."""
    for header_form in Form:
        for body_form in Form:
            for what, body in BODIES.items():
                name = f"rsa {header_form}/{body_form}, {what}"
                yield name, zone("2048"), signed("2048", body, header_form, body_form)
            for what, change in CHANGES.items():
                made = change(signed("2048", BODIES["white space"], header_form, body_form))
                yield f"rsa {header_form}/{body_form}, then {what}", zone("2048"), made
    relaxed = Form.RELAXED, Form.RELAXED
    for what, body in BODIES.items():
        yield f"ed25519, {what}", zone("ed25519"), signed("ed25519", body, *relaxed)
    yield "rsa 1024", zone("1024"), signed("1024", b"x\r\n", *relaxed)
    yield "rsa 4096", zone("4096"), signed("4096", b"x\r\n", *relaxed)
    plain = signed("2048", b"x\r\n", *relaxed)
    yield "no key", {}, plain
    yield "not signed", {}, HEADER + b"x\r\n"
    yield "expired", zone("2048"), old(b"x\r\n")
    yield "i= below", zone("2048"), signed("2048", b"x\r\n", *relaxed, identity="@news.example.org")
    good = str(KeyRecord.of(key("2048")))
    for what, text in key_records(good).items():
        yield f"key record, {what}", zone("2048", text), plain
    yield (
        "key record, t=s and i= below",
        zone("2048", good + "; t=s"),
        signed("2048", b"x\r\n", *relaxed, identity="@news.example.org"),
    )
    yield "two signatures, one of another key", zone("2048"), two()


def old(body: bytes) -> bytes:
    """A signature whose time is over."""
    message = HEADER + body
    signer = Signer("example.org", "sel", key("2048"), lifetime=60)
    return signer.sign(Fields.parse(message), Content.of(message), now=1_700_000_000) + message


def two() -> bytes:
    """The upper signature is of a key that is not published."""
    other = Signer("example.org", "sel", generate(KeyType.RSA))
    message = signed("2048", b"x\r\n", Form.RELAXED, Form.RELAXED)
    return other.sign(Fields.parse(message), Content.of(message), now=int(time.time())) + message


def key_records(good: str) -> dict[str, str]:
    """The key written in other ways."""
    p = good.rpartition("p=")[2]
    return {
        "p= alone": f"p={p}",
        "revoked": "v=DKIM1; k=rsa; p=",
        "another version": f"v=DKIM2; p={p}",
        "version not first": f"k=rsa; v=DKIM1; p={p}",
        "another hash": f"v=DKIM1; h=sha1; p={p}",
        "two hashes": f"v=DKIM1; h=sha1:sha256; p={p}",
        "another type": f"v=DKIM1; k=ed25519; p={p}",
        "another service": f"v=DKIM1; s=tlsrpt; p={p}",
        "service email": f"v=DKIM1; s=tlsrpt:email; p={p}",
        "test mode": f"v=DKIM1; t=y; p={p}",
        "unknown flags": f"v=DKIM1; t=x:z; p={p}",
        "unknown tags": f"v=DKIM1; x=1; n=a note; p={p}",
        "white space": f"v=DKIM1 ; k = rsa ; p= {p[:20]} {p[20:]} ;",
        "broken key": f"v=DKIM1; k=rsa; p={p[:60]}",
        "no base64": "v=DKIM1; k=rsa; p=!!!!",
        "not a record": "hello",
        "a tag twice": f"v=DKIM1; p={p}; p={p}",
    }


def chains() -> Iterator[tuple[str, dict[str, Any], bytes]]:
    """ARC chains of one to three sets, left alone or spoilt."""
    records = zone("2048")
    message = signed("2048", b"Hello\r\n", Form.RELAXED, Form.RELAXED)
    found = AuthenticationResults(
        "mx.example.net", (MethodResult("dkim", "pass", "", (("header", "d", "example.org"),)),)
    )
    sealer = Sealer("example.org", "sel", key("2048"))
    for count in (1, 2, 3):
        chain = verify_chain_sync(message, Zone(records))
        try:
            prefix = sealer.seal(Fields.parse(message), Content.of(message), found, chain, now=int(time.time()))
        except CannotSign:
            return
        message = prefix + message
        yield f"{count} sets", records, message
        yield f"{count} sets, text at the end", records, message + b"more\r\n"
        yield f"{count} sets, another subject", records, message.replace(b"Minutes", b"Minuten")
        yield f"{count} sets, results changed", records, message.replace(b"dkim=pass", b"dkim=fail", 1)
        yield f"{count} sets, no key", {}, message
        yield f"{count} sets, a field in front", records, b"Received: from x by y\r\n" + message
    yield "no sets", records, signed("2048", b"Hello\r\n", Form.RELAXED, Form.RELAXED)


def results() -> Iterator[tuple[str, str]]:
    """Values of Authentication-Results."""
    written = AuthenticationResults(
        "mx.example.net",
        (
            MethodResult("spf", "pass", "", (("smtp", "mailfrom", "example.org"),)),
            MethodResult("dkim", "fail", "body was changed", (("header", "d", "example.org"), ("header", "b", "abc"))),
            MethodResult("dmarc", "none", "", (("header", "from", "example.org"),), "p=none"),
        ),
    )
    yield "ours", " ".join(written.field().decode().partition(":")[2].split())
    yield "none", "mx.example.net; none"
    yield "with a version", "mx.example.net 1; spf=pass smtp.mailfrom=example.org"
    yield "a version of the method", "mx.example.net; spf/1=pass smtp.mailfrom=example.org"
    yield "a whole address", "mx.example.net; spf=pass smtp.mailfrom=a@example.org"
    yield "a quoted value", 'mx.example.net; dkim=pass header.i="@example.org" header.s="a b"'
    yield "comments", "mx.example.net (who) ; (why) spf=pass (so) smtp.mailfrom=example.org (end)"
    yield "a comment within a comment", "mx.example.net; spf=pass (a (b) c) smtp.mailfrom=example.org"
    yield "a reason", 'mx.example.net; dkim=fail reason="it is broken" header.d=example.org'
    yield "white space", "mx.example.net ;  spf = pass   smtp . mailfrom = example.org"
    yield "capitals", "mx.example.net; SPF=Pass SMTP.MailFrom=example.org"
    yield "policy", "mx.example.net; dkim=policy policy.dkim-rules=unsigned header.d=example.org"
    yield "iprev", "mx.example.net; iprev=pass policy.iprev=192.0.2.1"
    yield "iprev with IPv6", 'mx.example.net; iprev=pass policy.iprev="2001:db8::1"'
    yield "auth", "mx.example.net; auth=pass (cram-md5) smtp.auth=ann@example.org"
    yield "a method nobody knows", "mx.example.net; x-new=good x.y=z"
    yield "no result", "mx.example.net; spf"
    yield "nothing", ""
    yield "no semicolon", "mx.example.net"
    yield "a semicolon at the end", "mx.example.net; spf=pass smtp.mailfrom=example.org;"
    yield "a comment without end", "mx.example.net; spf=pass (oops"
