"""Whole messages from hostile octets: never an exception, never a pass, the same in pieces as in one.

The first octet says where the message is cut; a key record that fits no forged signature answers every question.

    python fuzz/dkim_verify.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_dkim import Policy, Status, Verifier, plan_verify, settle_sync
from mox_dns import Answer, Question
from mox_dns import Status as Dns
from mox_message import Content, Fields

KEY = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
POLICY = Policy(allow_sha1=True, required=())


class Everywhere:
    """The same key at every name."""

    def ask(self, question: Question) -> Answer:
        """One record."""
        return Answer(question, Dns.OK, (KEY,))


def fuzz(data: bytes) -> None:
    """One input."""
    cut, message = (data[0] * 4 if data else 0), data[1:]
    whole = settle_sync(
        plan_verify(Content.of(message), Fields.parse(message), policy=POLICY, now=1_700_000_000), Everywhere()
    )
    verifier = Verifier(POLICY, now=1_700_000_000)
    verifier.feed(message[:cut])
    verifier.feed(message[cut:])
    assert settle_sync(verifier.finish(), Everywhere()) == whole
    for result in whole:
        assert result.status is not Status.PASS
        assert result.explain()


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
