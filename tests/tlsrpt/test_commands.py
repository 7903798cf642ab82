"""python -m mox_tlsrpt: what a script sees."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mox_tlsrpt import Policy, PolicyResult, Report, read_message
from mox_tlsrpt.__main__ import main

REPORT = Report("B", 1795564800, 1795651199, "tls@b.example", "1", (PolicyResult(Policy.none("a.example"), 5, 0),))
ZONE = '_smtp._tls.a.example TXT "v=TLSRPTv1; rua=mailto:r@a.example"\n_smtp._tls.c.example TXT TIMEOUT\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "zone").write_text(ZONE)
    (tmp_path / "report.json").write_text(REPORT.json())
    (tmp_path / "report.json.gz").write_bytes(gzip.compress(REPORT.json().encode()))
    return tmp_path


def test_lookup(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = ["--zone", str(folder / "zone")]
    assert main(["lookup", "a.example", *zone]) == 0
    assert capsys.readouterr().out == "tlsrpt=found a.example: wants reports at 1 places\nr@a.example\n"
    assert main(["lookup", "a.example", *zone, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["destinations"] == ["r@a.example"]
    assert main(["lookup", "a.example", *zone, "--explain"]) == 0
    assert "(RFC 8460 3)" in capsys.readouterr().out
    assert main(["lookup", "b.example", *zone]) == 1
    assert main(["lookup", "c.example", *zone]) == 75
    assert main(["lookup", "a..b", *zone]) == 2


def test_parse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "v=TLSRPTv1;rua=mailto:r@a.example"]) == 0
    assert capsys.readouterr().out == "v=TLSRPTv1; rua=mailto:r@a.example;\n"
    assert main(["parse", "v=TLSRPTv1;rua=r@a.example", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"at": 15, "why": "expected a URI"}


def test_report(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("report.json", "report.json.gz"):
        assert main(["report", str(folder / name)]) == 0
        assert capsys.readouterr().out.splitlines()[1] == "  no-policy-found a.example: 5 good, 0 failed"
    assert main(["report", str(folder / "report.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**REPORT.to_dict(), "problems": []}
    assert main(["report", str(folder / "zone")]) == 1
    assert "no part of the message" in capsys.readouterr().out
    assert main(["report", str(folder / "none")]) == 2


def test_compose(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mox_tlsrpt", "compose", "-", "--domain", "a.example", "--from", "tls@b.example",
         "--to", "r@a.example"],
        input=(folder / "report.json.gz").read_bytes(), capture_output=True, check=True,
    )  # fmt: skip
    received = read_message(done.stdout)
    assert (received.report, received.domain, received.submitter) == (REPORT, "a.example", "b.example")
    assert b"To: <r@a.example>\r\n" in done.stdout
