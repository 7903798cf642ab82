"""ARC fields from hostile octets: never an exception, never a chain that holds, and no question without a whole set.

python fuzz/dkim_arc.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_dkim import ChainStatus, verify_chain_sync
from mox_dns import Answer, Question
from mox_dns import Status as Dns

KEY = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
NAMES = (b"ARC-Seal: ", b"ARC-Message-Signature: ", b"ARC-Authentication-Results: ", b"From: ")
# What a set begins with, so that not everything ends at the first tag.
STARTS = (
    b"",
    b"i=1; ",
    b"i=1; a=ed25519-sha256; cv=none; d=a.example; s=s; b=YWFh; ",
    b"i=1; d=a.example; s=s; h=from; ",
)


class Everywhere:
    """The same key at every name."""

    def ask(self, question: Question) -> Answer:
        """One record."""
        return Answer(question, Dns.OK, (KEY,))


def fuzz(data: bytes) -> None:
    """One input: pieces between NUL octets become fields."""
    fields = []
    for piece in data.split(b"\0")[:12]:
        kind = piece[0] if piece else 0
        fields.append(NAMES[kind % 4] + STARTS[kind // 4 % 4] + piece[1:].replace(b"\n", b"") + b"\r\n")
    chain = verify_chain_sync(b"".join(fields) + b"\r\nbody\r\n", Everywhere())
    assert chain.status in (ChainStatus.NONE, ChainStatus.FAIL), chain.explain()
    assert 0 <= chain.instance <= 50
    assert chain.explain()


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
