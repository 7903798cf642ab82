"""python -m mox_dmarc report: what a script sees."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest

from mox_dmarc import Format, Metadata, PolicyPublished, Request, Row, read_aggregate, to_xml
from mox_dmarc.__main__ import main
from mox_dmarc.aggregate import AggregateReport, Disposition

REPORT = AggregateReport(
    Metadata("Receiver", "a@b.example", "id1", 1_700_006_400, 1_700_092_799),
    PolicyPublished("example.com", Request.REJECT),
    (Row("192.0.2.1", 3, Disposition.REJECT, False, False, "example.com"),),
)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "report.xml.gz"
    path.write_bytes(gzip.compress(to_xml(REPORT)))
    return str(path)


def test_show(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "show", file]) == 0
    assert capsys.readouterr().out == "Receiver about example.com: 0 of 3 messages passed\n"
    assert main(["report", "show", "--explain", file]) == 0
    assert "  3 from 192.0.2.1 as example.com: fail, reject" in capsys.readouterr().out
    bad = tmp_path / "bad"
    bad.write_bytes(b"<html/>")
    assert main(["report", "show", str(bad), file]) == 1
    seen = capsys.readouterr()
    assert "not <feedback>" in seen.err
    assert "3 messages" in seen.out
    assert main(["report", "show", "--json", str(bad), file]) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert "not <feedback>" in first["problem"]
    assert second["rows"][0]["count"] == 3
    assert main(["report", "show", str(tmp_path / "nowhere")]) == 2


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    class Input:
        buffer = io.BytesIO(to_xml(REPORT))

    monkeypatch.setattr(sys, "stdin", Input())
    assert main(["report", "convert", "-", "--format", "rfc7489", "--gzip"]) == 0
    made = read_aggregate(capsysbinary.readouterr().out)
    assert (made.format, made.messages) == (Format.RFC7489, 3)


def test_convert_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad"
    path.write_bytes(b"\x1f\x8b")
    assert main(["report", "convert", str(path)]) == 1
    assert "breaks off" in capsys.readouterr().err


def test_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mail"
    path.write_bytes(
        b"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: message/feedback-report\r\n\r\nFeedback-Type: auth-failure\r\nUser-Agent: x\r\nVersion: 1\r\n"
        b"Auth-Failure: dmarc\r\nIdentity-Alignment: spf\r\nReported-Domain: example.com\r\n\r\n--b--\r\n"
    )
    assert main(["report", "failure", str(path)]) == 0
    assert capsys.readouterr().out.startswith("dmarc failed for example.com")
    assert main(["report", "failure", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["unaligned"] == ["spf"]


def test_destinations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = tmp_path / "zone"
    zone.write_text(
        '_dmarc.a.example TXT "v=DMARC1; p=none; rua=mailto:x@b.example; ruf=mailto:y@c.example"\n'
        'a.example._report._dmarc.b.example TXT "v=DMARC1"\n'
        '_dmarc.late.example TXT "v=DMARC1; p=none; rua=mailto:x@slow.example"\n'
        "late.example._report._dmarc.slow.example TXT TIMEOUT\n"
        '_dmarc.none.example TXT "v=DMARC1; p=none"\n'
    )

    def run(*more: str) -> int:
        return main(["report", "destinations", *more, "--zone", str(zone)])

    assert run("a.example") == 0
    assert capsys.readouterr().out.startswith("mailto:x@b.example: granted")
    assert run("a.example", "--failure", "--json") == 1
    assert json.loads(capsys.readouterr().out)["destinations"][0]["status"] == "refused"
    assert run("late.example") == 75
    assert run("none.example") == 1
    assert "no address to report to" in capsys.readouterr().out.splitlines()[-1]
