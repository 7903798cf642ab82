"""SPF records and Received-SPF from hostile octets: only declared errors, their place within the text, write and read.

python fuzz/spf_record.py [libFuzzer options]      needs atheris"""

from __future__ import annotations

from mox_spf import ReceivedSpf, ReceivedSyntaxError, Record, RecordSyntaxError, examine


def check_places(*errors: RecordSyntaxError | ReceivedSyntaxError) -> None:
    """Errors point into their text."""
    for error in errors:
        assert 0 <= error.at <= len(error.text)
        str(error)


def fuzz(data: bytes) -> None:
    """One input, as it is and behind the version."""
    for text in (data, b"v=spf1 " + data):
        _, mistakes = examine(text)
        try:
            record = Record.parse(text)
        except RecordSyntaxError as error:
            check_places(error, *mistakes)
            assert mistakes
            continue
        assert not mistakes
        assert Record.parse(str(record)) == record
    for value in (data, b"fail (" + data, b"pass (x) receiver=y; helo=" + data):
        try:
            field = ReceivedSpf.parse(value)
        except ReceivedSyntaxError as wrong:
            check_places(wrong)
            continue
        lines = field.field().split(b"\r\n")
        assert lines[-1] == b""
        assert all(line[:1] == b"\t" for line in lines[1:-1])


if __name__ == "__main__":
    import sys

    import atheris  # type: ignore[import-untyped]

    atheris.instrument_all()
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
