"""mox-message beside email of the standard library (policy default), in one run on one machine.

    python bench/message.py [--quick]

Times are CPU microseconds for one message, the least of several rounds, taken in turns with the peer; the ratio says
how many times less we need.  Memory is the peak of Python's allocations while a file is read."""

from __future__ import annotations

import base64
import email
import email.message
import email.policy
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable

from mox_message import (
    AuthenticationResults,
    Content,
    addresses,
    date,
    decode,
    decoded_subject,
    from_address,
    parse,
    preview,
    sent_date,
)

HEADER = (
    b"Return-Path: <ann@example.org>\r\nReceived: from mail.example.org (mail.example.org [192.0.2.1])\r\n"
    b"\tby mx.example.net with ESMTPS id 1\r\n\tfor <bob@example.net>; Tue, 14 Nov 2023 22:13:21 +0000\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=sel;\r\n"
    b"\th=from:to:subject:date:message-id; bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=;\r\n"
    b"\tb=BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\r\n"
    b"From: =?utf-8?q?Ann_Ex=C3=A4mple?= <ann@example.org>\r\nTo: Bob Example <bob@example.net>, carol@example.net\r\n"
    b"Subject: Minutes of the meeting, and what is to be done\r\n until the next one\r\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <20231114.221320@example.org>\r\nMIME-Version: 1.0\r\n"
)
LINE = b"This is a line of a message as people write them, with an =C3=A4 here and there.\r\n"
PLAIN = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"


def plain(size: int) -> bytes:
    """One text of about this size."""
    return HEADER + PLAIN + LINE * (size // len(LINE))


def alternative(size: int) -> bytes:
    """Text and HTML."""
    text, html = LINE * (size // 3 // len(LINE)), LINE * (size * 2 // 3 // len(LINE))
    return (
        HEADER + b'Content-Type: multipart/alternative; boundary="----=_Part_1"\r\n\r\nMIME.\r\n------=_Part_1\r\n'
        + PLAIN + text + b"\r\n------=_Part_1\r\n" + PLAIN.replace(b"plain", b"html") + html
        + b"\r\n------=_Part_1--\r\n"
    )  # fmt: skip


def attached(size: int) -> bytes:
    """Text and a file."""
    file = base64.encodebytes(os.urandom(size * 3 // 4)).replace(b"\n", b"\r\n")
    return (
        HEADER + b'Content-Type: multipart/mixed; boundary="----=_Part_1"\r\n\r\n------=_Part_1\r\n' + PLAIN + LINE * 20
        + b'\r\n------=_Part_1\r\nContent-Type: application/pdf; name="x.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="x.pdf"\r\n\r\n' + file + b"\r\n------=_Part_1--\r\n"
    )  # fmt: skip


def once(work: Callable[[], object], count: int) -> float:
    """CPU microseconds for one call."""
    start = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - start) / count * 1e6


def beside(
    ours: Callable[[], object], theirs: Callable[[], object] | None, count: int, rounds: int
) -> tuple[float, float]:
    """The least of the rounds, in turns."""
    mine, other = 1e12, 1e12
    for _ in range(rounds):
        mine = min(mine, once(ours, count))
        if theirs is not None:
            other = min(other, once(theirs, max(1, count // 20)))
    return mine, other


def stdlib(data: bytes) -> email.message.EmailMessage:
    """The peer."""
    return email.message_from_bytes(data, policy=email.policy.default)  # type: ignore[return-value]


def read_by_stdlib(data: bytes) -> object:
    """The peer, with what a mail program shows in a list."""
    message = stdlib(data)
    return [str(message[name]) for name in ("from", "to", "subject", "date")]


def read(content: Content) -> object:
    """The same, and a preview."""
    message = parse(content)
    fields = message.fields
    return (
        *(from_address(fields), addresses(fields.text("to") or ""), decoded_subject(fields)),
        *(sent_date(fields), preview(message, content)),
    )


def structure(content: Content) -> object:
    """Tree, ENVELOPE and BODYSTRUCTURE."""
    from mox_imap.structure import bodystructure, envelope

    message = parse(content)
    return envelope(message), bodystructure(message)


def messages(rounds: int, scale: int) -> None:
    """Trees, and what is made of them."""
    print(f"{'CPU, microseconds':34}{'mox-message':>12}{'email':>10}{'ratio':>8}")
    for name, data, count in (
        ("4 KB, plain", plain(3500), 2000),
        ("4 KB, alternative", alternative(3000), 2000),
        ("100 KB, attachment", attached(100_000), 400),
        ("1 MB, attachment", attached(1_000_000), 60),
        ("1 MB, alternative", alternative(1_000_000), 60),
    ):
        content = Content.of(data)
        peer = data
        jobs: tuple[tuple[str, Callable[[], object], Callable[[], object] | None], ...] = (
            ("tree", lambda c=content: parse(c), lambda d=peer: stdlib(d)),  # type: ignore[misc]
            ("tree, From To Subject Date", lambda c=content: read(c), lambda d=peer: read_by_stdlib(d)),  # type: ignore[misc]
            ("tree, ENVELOPE, BODYSTRUCTURE", lambda c=content: structure(c), None),  # type: ignore[misc]
        )
        print(f"{name}, {len(data)} octets")
        for job, ours, theirs in jobs:
            mine, other = beside(ours, theirs, max(20, count // scale), rounds)
            print(f"  {job:32}{mine:12.1f}" + (f"{other:10.0f}{other / mine:7.1f}x" if theirs is not None else ""))


def fields(rounds: int, scale: int) -> None:
    """Single values."""
    from email.utils import getaddresses, parsedate_to_datetime

    many = ", ".join(f"Person {number} <p{number}@example.org>" for number in range(100))
    moment, words = "Tue, 14 Nov 2023 22:13:20 +0000", "=?utf-8?q?Ann_Ex=C3=A4mple?= and =?utf-8?b?Wm/Dqw==?="
    results = "mx.example; dkim=pass header.d=example.org header.s=x; spf=pass smtp.mailfrom=example.org; dmarc=pass"
    header = email.header.make_header
    jobs: tuple[tuple[str, Callable[[], object], Callable[[], object] | None], ...] = (
        ("100 addresses", lambda: addresses(many), lambda: getaddresses([many])),
        ("a date", lambda: date(moment), lambda: parsedate_to_datetime(moment)),
        ("two encoded words", lambda: decode(words), lambda: str(header(email.header.decode_header(words)))),
        ("Authentication-Results", lambda: AuthenticationResults.parse(results), None),
    )
    for name, ours, theirs in jobs:
        mine, other = beside(ours, theirs, 2000 // scale, rounds)
        print(f"{name:34}{mine:12.1f}" + (f"{other:10.0f}{other / mine:7.1f}x" if theirs is not None else ""))


def memory() -> None:
    """The peak while a file is read and every part decoded."""
    for megabytes in (1, 25, 100):
        with tempfile.NamedTemporaryFile() as file:
            file.write(attached(1_000_000).partition(b"\r\n------=_Part_1--")[0])
            rest = base64.encodebytes(bytes(768_000)).replace(b"\n", b"\r\n")
            for _ in range(megabytes - 1):
                file.write(rest)
            file.write(b"\r\n------=_Part_1--\r\n")
            file.flush()
            tracemalloc.start()
            content = Content.file(file.name)
            message = parse(content)
            total = sum(len(chunk) for part in message.walk() for chunk in part.decoded(content))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        print(
            f"peak memory for a file of {content.size / 1e6:6.1f} MB ({total / 1e6:.1f} decoded): {peak / 1e6:.1f} MB"
        )


def imports() -> None:
    """What `import mox_message` costs in a new process."""
    code = "import time; s = time.process_time(); import mox_message; print(time.process_time() - s)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(5)
    ]
    print(f"import: {min(runs) * 1000:.0f} ms")


def main() -> None:
    """Measures and prints."""

    rounds, scale = (2, 4) if "--quick" in sys.argv else (5, 1)
    messages(rounds, scale)
    fields(rounds, scale)
    memory()
    imports()


if __name__ == "__main__":
    main()
