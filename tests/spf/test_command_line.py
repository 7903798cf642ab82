"""python -m mox_spf, without a network."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mox_spf.__main__ import BAD, GOOD, LATER, USAGE, main

ZONE = """\
a.example      TXT  "v=spf1 ip4:192.0.2.0/24 a:h.example -all exp=e.example"
e.example      TXT  "go\x07 away"
b.example      TXT  "v=spf1 oops +all"
c.example      TXT  TIMEOUT
f.example      TXT  "v=spf1 -all"
f.example      TXT  "v=spf1 ~all"
d.example      TXT  "v=spf1 ip4:192.0.2.0/24 -all"
"""


@pytest.fixture(name="zone")
def _zone(tmp_path: Path) -> str:
    file = tmp_path / "zone"
    file.write_text(ZONE)
    return str(file)


CHECKS = {
    "pass": (["--ip", "192.0.2.1", "--from", "u@a.example"], GOOD, "spf=pass mailfrom=a.example: 192.0.2.1 matches"),
    "fail": (["--ip", "192.0.3.1", "--from", "u@a.example"], BAD, "spf=fail mailfrom=a.example"),
    "helo": (["--ip", "192.0.2.1", "--helo", "a.example"], GOOD, "spf=pass helo=a.example"),
    "none": (["--ip", "192.0.2.1", "--from", "u@x.example"], GOOD, "spf=none"),
    "permerror": (["--ip", "192.0.2.1", "--from", "u@b.example"], BAD, "wrong at character 8"),
    "temperror": (["--ip", "192.0.2.1", "--from", "u@c.example"], LATER, "spf=temperror"),
    "explained": (["--ip", "192.0.3.1", "--from", "u@a.example", "--explain"], BAD, "a:h.example -> no match"),
    "a limit": (["--ip", "192.0.3.1", "--from", "u@a.example", "--max-lookups", "0"], BAD, "the 0 terms"),
}


@pytest.mark.parametrize("arguments, code, said", CHECKS.values(), ids=CHECKS)
def test_check(zone: str, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str) -> None:
    assert main(["check", *arguments, "--zone", zone]) == code
    assert said in capsys.readouterr().out


def test_json(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--ip", "192.0.2.1", "--from", "u@a.example", "--zone", zone, "--json"]) == GOOD
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["mechanism"]) == ("pass", "ip4:192.0.2.0/24")


WRONG = {
    "no sender": ["check", "--ip", "192.0.2.1"],
    "no address": ["check", "--ip", "x", "--from", "u@a.example"],
    "no limit": ["check", "--ip", "192.0.2.1", "--from", "u@a.example", "--max-lookups", "1000"],
    "no such file": ["check", "--ip", "192.0.2.1", "--from", "u@a.example", "--zone", "/nowhere"],
    "no domain": ["audit", "a..example"],
    "no server": ["audit", "a.example", "--server", "x"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_wrong(zone: str, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    asks = "--server" in arguments or "--zone" in arguments
    assert main(arguments if asks else [*arguments, "--zone", zone]) == USAGE
    assert capsys.readouterr().err.startswith("python -m mox_spf: ")


def test_parse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["parse", "v=spf1 mx -all"]) == GOOD
    assert capsys.readouterr().out == "v=spf1\nmx\n-all\n"
    assert main(["parse", "v=spf1 oops a/99 -all"]) == BAD
    out = capsys.readouterr().out
    assert "no such mechanism at character 8" in out
    assert "prefix length" in out
    monkeypatch.setattr("sys.stdin", io.StringIO("v=spf1 a:%{d}//64 moo=x redirect=b.example\n"))
    assert main(["parse", "-", "--json"]) == GOOD
    told = json.loads(capsys.readouterr().out)
    assert told["directives"][0]["domain"] == "%{d}"
    assert (told["redirect"], told["others"], told["mistakes"]) == ("b.example", ["moo=x"], [])


LOOKUPS = {
    "a.example": (GOOD, "v=spf1 ip4:192.0.2.0/24 a:h.example -all exp=e.example\n"),
    "b.example": (BAD, "no such mechanism at character 8"),
    "c.example": (LATER, "no answer for c.example TXT: timeout"),
    "e.example": (BAD, "e.example has no SPF record"),
    "f.example": (BAD, "f.example has 2 SPF records"),
}


@pytest.mark.parametrize("domain", LOOKUPS)
def test_lookup(zone: str, capsys: pytest.CaptureFixture[str], domain: str) -> None:
    code, said = LOOKUPS[domain]
    assert main(["lookup", domain, "--zone", zone]) == code
    assert said in capsys.readouterr().out
    assert main(["lookup", domain, "--zone", zone, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["domain"] == domain


AUDITS = {
    "a.example": (BAD, GOOD),
    "d.example": (GOOD, GOOD),
    "b.example": (BAD, BAD),
    "c.example": (LATER, LATER),
    "x.example": (BAD, BAD),
}


@pytest.mark.parametrize("domain", AUDITS)
def test_audit(zone: str, capsys: pytest.CaptureFixture[str], domain: str) -> None:
    assert main(["audit", domain, "--zone", zone]) in AUDITS[domain]
    assert capsys.readouterr().out.startswith(f"{domain}: ")
    main(["audit", domain, "--zone", zone, "--explain"])
    assert len(capsys.readouterr().out.splitlines()) >= 2
    main(["audit", domain, "--zone", zone, "--json"])
    assert json.loads(capsys.readouterr().out)["domain"] == domain


def test_received(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["received", "Received-SPF: pass (it is) helo=a.example; client-ip=::1"]) == GOOD
    assert (
        capsys.readouterr().out == "pass it is\nhelo: a.example\nclient-ip: ::1\n(a value that should be in quotes)\n"
    )
    assert main(["received", "maybe"]) == BAD
    assert "no such result" in capsys.readouterr().out
    assert main(["received", "--json", "fail"]) == GOOD
    assert json.loads(capsys.readouterr().out)["status"] == "fail"


def test_a_terminal_obeys_nobody(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "--ip", "192.0.3.1", "--from", "u@a.example", "--zone", zone, "--explain"])
    assert "\x07" not in capsys.readouterr().out


def test_as_a_program(zone: str) -> None:
    command = [sys.executable, "-m", "mox_spf", "audit", "a.example", "--zone", zone, "--explain"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("a.example: ")
    assert done.stderr == ""
    # Whoever reads may stop reading.
    reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stderr is not None
    reader.stdout.close()
    assert reader.stderr.read() == ""
    reader.stderr.close()
    reader.wait()
