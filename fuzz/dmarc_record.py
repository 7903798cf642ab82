"""Policy records from hostile octets: only the declared error, problems that point into the text, a verdict each time.

python fuzz/dmarc_record.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_dmarc import Pass, Record, RecordSyntaxError, Request, Status, check_sync
from mox_dns import Domain, Zone


def check_place(error: RecordSyntaxError) -> None:
    """An error points into its text."""
    assert 0 <= error.at <= len(error.text)


def fuzz(data: bytes) -> None:
    """One input."""
    text = data.decode("utf-8", "replace")
    for record_text in (text, "v=DMARC1;" + text):
        try:
            record = Record.parse(record_text)
        except RecordSyntaxError as error:
            check_place(error)
            continue
        assert all(0 <= problem.at <= len(record_text) for problem in record.problems)
        again = Record.parse(str(record))
        assert (again.p, again.sp, again.np, again.psd, again.rua) == (
            record.p,
            record.sp,
            record.np,
            record.psd,
            record.rua,
        )
    zone = Zone({"_dmarc.example.com TXT": [b"v=DMARC1;" + data], "_dmarc.com TXT": [data]})
    verdict = check_sync("a@x.example.com", [Pass("dkim", Domain("y.example.com"))], zone)
    assert verdict.status in (Status.NONE, Status.PASS, Status.FAIL)
    assert verdict.status is Status.FAIL or verdict.disposition is Request.NONE
    assert len(zone.asked) <= 9
    assert verdict.explain()


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
