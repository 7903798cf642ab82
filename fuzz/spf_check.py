"""check_host() and an audit in a world of hostile records: a result each time, and the limits hold.

The input is cut at NUL into the sender, the greeting, and TXT records that the names a.example, b.example … have in
turn.

python fuzz/spf_check.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_dns import Answer, Question, Zone
from mox_spf import LIMITS, Status, audit_sync, check_sync


class World(Zone):
    """Every name has an address, an MX and a name; texts in turn."""

    def __init__(self, texts: list[bytes]) -> None:
        super().__init__()
        self.texts = texts

    def ask(self, question: Question) -> Answer:
        """One answer."""
        self.asked.append(question)
        assert question.name.isascii()
        assert 0 < len(question.name) <= 253
        assert all(0 < len(label) < 64 for label in question.name.split("."))
        values = {"A": ["192.0.2.1"], "AAAA": [], "MX": ["1 a.example", "2 b.example"], "PTR": ["a.example"]}
        if question.type == "TXT":
            text = self.texts[(ord(question.name[0]) - ord("a")) % len(self.texts)] if self.texts else b""
            return Zone({f"{question.name} TXT": [text]}).ask(question)
        return Zone({f"{question.name} {question.type}": values[question.type]}).ask(question)


def fuzz(data: bytes) -> None:
    """One world."""
    sender, _, rest = data.partition(b"\0")
    helo, _, rest = rest.partition(b"\0")
    texts = [b"v=spf1 " + text for text in rest.split(b"\0")[:8]]
    for mail_from in (sender.decode("utf-8", "replace"), "u@a.example"):
        world = World(texts)
        result = check_sync("192.0.2.9", mail_from, helo.decode("latin-1"), world, now=0)
        assert result.lookups <= LIMITS.lookups + 1
        assert len(world.asked) <= (LIMITS.lookups + 1) * (LIMITS.mx + LIMITS.ptr + 4) + 30
        assert result.explanation == "" or (result.status is Status.FAIL and result.explanation.isprintable())
        assert result.explain()
    world = World(texts)
    found = audit_sync("a.example", world)
    assert len(world.asked) < 2000
    assert all(finding.at is None or 0 <= finding.at <= len(finding.text) for finding in found.findings)
    assert found.explain()


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
