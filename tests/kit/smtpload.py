"""Load: Postfix's smtp-source, and DKIM-signed messages for it."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

import mox_dkim
from kit.processes import program
from mox_message import Content, Fields


def signed_message(key: object, domain: str, selector: str, size: int, seed: int = 1) -> bytes:
    """A message of about `size` octets from `domain`, DKIM-signed (RSA-2048, relaxed), with LF as smtp-source wants it."""
    rng = random.Random(seed)
    words = [
        f"{rng.choice('bcdfglmnprst')}{rng.choice('aeiou')}{rng.choice('lnrst')}{rng.choice('aeiou')}"
        for _ in range(500)
    ]
    head = (
        f"From: Sender <a@{domain}>\r\nTo: You <you@mox.test>\r\nSubject: {' '.join(rng.sample(words, 5))}\r\n"
        f"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{rng.getrandbits(64):x}@{domain}>\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    )
    body = ""
    while len(body) < size - 1100:
        body += " ".join(rng.choices(words, k=12)) + "\r\n"
    message = (head + body).encode()
    content = Content.of(message)
    field = mox_dkim.Signer(domain, selector, key).sign(Fields.parse(message), content, now=1_795_000_000)
    return (field + message).replace(b"\r\n", b"\n")


def load(address: str, port: int, message: Path, *, count: int, sessions: int, sender: str, recipient: str) -> float:
    """Sends `count` messages, one connection each, over so many sessions at a time; seconds.  Fails if one fails."""
    source = program("smtp-source", "postfix")
    command = [source, "-4", "-s", str(sessions), "-m", str(count), "-F", str(message), "-f", sender, "-t", recipient]
    began = time.monotonic()
    done = subprocess.run([*command, f"{address}:{port}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - began
