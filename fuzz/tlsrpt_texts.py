"""Records and reports from hostile octets: only the declared errors, and what is read can be written and read.

python fuzz/tlsrpt_texts.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

import gzip

from mox_tlsrpt import (
    Limits,
    Record,
    RecordSyntaxError,
    Report,
    ReportSyntaxError,
    compose,
    read,
    read_message,
)

LIMITS = Limits(compressed=100_000, json=200_000)
HEAD = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=tlsrpt; boundary=x\r\n\r\n--x\r\n"
    b"Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: "
)
REPORT = b'{"date-range":{"start-datetime":"2026-11-25T00:00:00Z","end-datetime":"2026-11-25T23:59:59Z"},"policies":['


def check_place(error: RecordSyntaxError) -> None:
    """An error points into its text."""
    assert 0 <= error.at <= len(error.text)


def fuzz(data: bytes) -> None:
    """One input."""
    for text in (data, b"v=TLSRPTv1;rua=mailto:" + data):
        try:
            record = Record.parse(text)
            assert Record.parse(str(record)) == record
            assert len(record.destinations) <= len(record.rua)
        except RecordSyntaxError as error:
            check_place(error)
    for octets in (data, b"\x1f\x8b" + data, REPORT + data + b"]}", gzip.compress(REPORT + data + b"]}")):
        try:
            check(read(octets, LIMITS))
        except ReportSyntaxError:
            pass
    try:
        read_message(HEAD + data, LIMITS)
    except ReportSyntaxError:
        pass


def check(report: Report) -> None:
    """What is read can be told, written and sent."""
    assert report.explain()
    again = Report.parse(report.json())
    assert (again.successful, again.failed) == (report.successful, report.failed)
    made = compose(
        report, domain="a.example", submitter="b.example", sender="t@b.example", recipients=["r@a.example"],
        message_id="1@b.example", boundary="x", now=0.0,
    )  # fmt: skip
    assert b"\nbcc:" not in made.lower()
    assert read_message(made).report.failed == report.failed


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
