"""python -m mox_dane: what a script sees."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit.certificates import make
from mox_dane.__main__ import main

ROOT = make("Root", ca=True)
LEAF = make("leaf", ROOT, names=["mx.a.example"], send_root=True)


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A chain, its key, and a zone with the record that `make` makes of it."""
    _, key = LEAF.write(tmp_path)
    assert main(["make", "mx.a.example", str(key)]) == 0
    line = capsys.readouterr().out
    (tmp_path / "zone").write_text(
        f"mx.a.example A 192.0.2.1\n{line}none.example A 192.0.2.1\n"
        "old.example A 192.0.2.1\n_25._tcp.old.example TLSA 1 1 1 00\n"
        "down.example TIMEOUT\n"
    )
    return tmp_path


def test_make(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = str(folder / "server.pem")
    assert main(["make", "mx.a.example", chain, "--usage", "dane-ta", "--selector", "0", "--matching", "2"]) == 0
    assert capsys.readouterr().out.startswith("_25._tcp.mx.a.example. IN TLSA 2 0 2 ")
    assert main(["make", "mx.a.example", chain, "--port", "465", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["usage"], facts["unusable"]) == (3, "")
    assert facts["line"].startswith("_465._tcp.mx.a.example. IN TLSA 3 1 1 ")
    assert main(["make", "mx.a.example", str(folder / "zone")]) == 2
    assert "neither certificate nor key" in capsys.readouterr().err


def test_lookup(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = ["--zone", str(folder / "zone")]
    assert main(["lookup", "mx.a.example", *zone]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "dane=dane mx.a.example: mx.a.example has TLSA records"
    assert main(["lookup", "none.example", *zone]) == 0
    assert main(["lookup", "old.example", *zone, "--explain"]) == 1
    assert "7672 3.1.3" in capsys.readouterr().out
    assert main(["lookup", "gone.example", *zone]) == 1
    assert main(["lookup", "down.example", *zone]) == 75
    capsys.readouterr()
    assert main(["lookup", "mx.a.example", *zone, "--unsigned", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "insecure"


def test_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = folder / "zone"
    lines = (
        "a.example MX 10 none.example\na.example MX 5 mx.a.example\nnull.example MX 0 .\nb.example MX 1 old.example\n"
    )
    zone.write_text(zone.read_text() + lines + "c.example MX 1 down.example\nd.example MX TIMEOUT\n")
    asked = ["--zone", str(zone)]
    assert main(["check", "a.example", *asked]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a.example MX secure",
        "dane=dane mx.a.example: mx.a.example has TLSA records",
        "dane=none none.example: none.example has no TLSA records that DNSSEC vouches for",
    ]
    assert main(["check", "a.example", *asked, "--json", "--unsigned"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["mx"], {host["status"] for host in facts["hosts"]}) == ("insecure", {"insecure"})
    assert main(["check", "none.example", *asked, "--explain"]) == 0
    assert "7672 2.2.3" in capsys.readouterr().out
    assert main(["check", "null.example", *asked]) == 0
    assert main(["check", "b.example", *asked]) == 1
    assert main(["check", "c.example", *asked]) == 75
    assert main(["check", "d.example", *asked]) == 75


def test_verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone, chain = ["--zone", str(folder / "zone")], str(folder / "server.pem")
    assert main(["verify", "mx.a.example", chain, *zone]) == 0
    assert capsys.readouterr().out == "dane=pass: DNS vouches for the server's key\n"
    assert main(["verify", "none.example", chain, *zone]) == 1
    assert main(["verify", "down.example", chain, *zone]) == 75
    assert main(["verify", "mx.a.example", chain, "--record", "3 1 1 " + "ab" * 32, "--explain"]) == 1
    assert "another than DNS says" in capsys.readouterr().out
    assert main(["verify", "mx.a.example", str(folder / "zone"), *zone]) == 2


def test_verify_what_openssl_shows(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of the noise of s_client -showcerts, and for a name beside the host's."""
    shown = f"CONNECTED(3)\n 0 s:CN = leaf\n{LEAF.pem} 1 s:CN = Root\n{ROOT.pem}---\n"

    class Input:
        buffer = io.BytesIO(shown.encode())

    assert main(["make", "x.example", str(folder / "server.pem"), "--usage", "2", "--json"]) == 0
    capsys.readouterr()
    (folder / "root.pem").write_text(ROOT.pem)
    assert main(["make", "x.example", str(folder / "root.pem"), "--usage", "2", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)["line"].partition("TLSA ")[2]
    monkeypatch.setattr("sys.stdin", Input)
    assert main(["verify", "x.example", "-", "--record", record, "--name", "mx.a.example"]) == 0


def test_parse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "dane-ee spki sha2-256 " + "AB" * 32]) == 0
    assert capsys.readouterr().out == "3 1 1 " + "ab" * 32 + "\n"
    assert main(["parse", "3 1 1 00"]) == 1
    assert main(["parse", "3 1 1 0"]) == 1
    assert "even number" in capsys.readouterr().out


def test_as_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "mox_dane", "parse", "3 1 x\x1b[31m"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
