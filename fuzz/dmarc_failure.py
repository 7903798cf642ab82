"""Failure reports from hostile octets: only the declared error, bounded values.

python fuzz/dmarc_failure.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

import json

from mox_dmarc import FailureReportSyntaxError, read_failure

START = (
    b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
    b"Feedback-Type: auth-failure\r\n"
)
TEXT = b"Content-Type: text/plain\r\n\r\nSender Domain: a.example\r\nSender IP Address: 192.0.2.1\r\n"


def fuzz(data: bytes) -> None:
    """One input."""
    for source in (data, START + data, TEXT + data):
        try:
            report = read_failure(source)
        except FailureReportSyntaxError:
            continue
        assert report.explain()
        assert report.incidents >= 1
        assert report.source_port is None or 0 <= report.source_port < 1 << 16
        assert len(json.dumps(report.to_dict())) < 4_000_000


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
