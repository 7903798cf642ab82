"""Records and policies from hostile octets: only the declared errors, and what is read can be written and read.

python fuzz/mtasts_texts.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_dns import Answer, RecordSyntaxError, Zone
from mox_mtasts import Fetch, Fetched, Policy, PolicySyntaxError, Record, Status, judge_host, plan_check
from mox_mtasts import RecordSyntaxError as StsRecordSyntaxError


def check_place(error: RecordSyntaxError) -> None:
    """An error points into its text."""
    assert 0 <= error.at <= len(error.text)


def fuzz(data: bytes) -> None:
    """One input."""
    for text in (data, b"v=STSv1;" + data):
        try:
            record = Record.parse(text)
            assert Record.parse(str(record)) == record
        except StsRecordSyntaxError as error:
            check_place(error)
    for text in (data, b"version: STSv1\nmode: enforce\nmax_age: 1\n" + data):
        try:
            policy = Policy.parse(text)
            assert Policy.parse(str(policy)) == policy
            judge_host(policy, data.decode("latin-1"))
        except PolicySyntaxError as error:
            check_place(error)
    check(data)


def check(data: bytes) -> None:
    """A whole check, both texts hostile."""
    half = len(data) // 2
    zone = Zone({"_mta-sts.a.example TXT": [b"v=STSv1;" + data[:half]], "mta-sts.a.example A": ["192.0.2.1"]})
    plan = plan_check("a.example", None, now=0.0)
    try:
        wanted = next(plan)
        while True:
            sent: tuple[Answer, ...] | Fetched
            sent = Fetched(data[half:]) if isinstance(wanted, Fetch) else tuple(map(zone.ask, wanted))
            wanted = plan.send(sent)
    except StopIteration as stop:
        result = stop.value
    assert (result.status is Status.VALID) == (result.policy is not None)
    assert result.explain().isprintable() or "\n" in result.explain()


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
