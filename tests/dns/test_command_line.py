"""`python -m mox_dns`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mox_dns.__main__ import main

ZONE = """\
a.example TXT "v=spf1 -all\\\\"
a.example MX 10 mx.a.example
mx.a.example A 192.0.2.9
9.2.0.192.in-addr.arpa PTR mx.a.example
8.2.0.192.in-addr.arpa PTR mx.a.example
9.2.0.192.bl.example A 127.0.0.2
9.2.0.192.bl.example TXT "go away"
2.0.0.127.bl.example A 127.0.0.2
slow.example TIMEOUT
"""


@pytest.fixture
def zone(tmp_path: Path) -> str:
    file = tmp_path / "zone"
    file.write_text(ZONE)
    return str(file)


COMMANDS = {
    "lookup a.example mx": (0, "10 mx.a.example"),
    "lookup a.example TXT": (0, "v=spf1 -all\\"),
    "lookup mx.a.example": (0, "192.0.2.9"),
    "lookup 192.0.2.9": (0, "mx.a.example"),
    "lookup none.example": (1, "nxdomain"),
    "lookup slow.example": (75, "timeout"),
    "iprev 192.0.2.9": (0, "iprev=pass: 192.0.2.9 is mx.a.example"),
    "iprev 192.0.2.8": (1, "iprev=fail"),
    "iprev 192.0.2.7": (1, "iprev=permerror"),
    "dnsbl 192.0.2.9 bl.example": (1, "go away"),
    "dnsbl 192.0.2.8 bl.example": (0, "not listed"),
    "dnsbl health bl.example": (0, "bl.example: it lists 127.0.0.2 and not 127.0.0.1"),
    "dnsbl health none.example": (1, "does not list"),
}


@pytest.mark.parametrize("command, wanted", COMMANDS.items())
def test_commands(command: str, wanted: tuple[int, str], zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = wanted
    assert main([*command.split(), "--zone", zone]) == code
    assert text in capsys.readouterr().out
    assert main([*command.split(), "--zone", zone, "--json"]) == code
    assert isinstance(json.loads(capsys.readouterr().out), dict)
    assert main([*command.split(), "--zone", zone, "--explain"]) == code
    assert len(capsys.readouterr().out.splitlines()) >= 1


def test_domain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["domain", "www.Bücher.example.co.uk", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ascii": "www.xn--bcher-kva.example.co.uk",
        "unicode": "www.bücher.example.co.uk",
        "public suffix": "co.uk",
        "organizational domain": "example.co.uk",
    }
    assert main(["domain", "co.uk"]) == 0
    assert "organizational domain: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["lookup", "a..b"], ["iprev", "x"], ["domain", ""], ["lookup", "a", "--zone", "/none"]]
)
def test_what_makes_no_sense(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    assert capsys.readouterr().err.startswith("python -m mox_dns: ")


def test_foreign_text_does_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "zone"
    file.write_text('a.example TXT "\x1b[2J"\n')
    main(["lookup", "a.example", "TXT", "--zone", str(file)])
    assert capsys.readouterr().out == "\\x1b[2J\n"


def test_a_real_server(unbound: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lookup", "signed.test", "TXT", "--server", unbound, "--trust-ad", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["records"], told["authentic"]) == (["v=spf1 -all"], True)


def test_help_is_quick() -> None:
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "mox_dns", "--help"], capture_output=True, text=True, check=True)
    assert "lookup" in done.stdout
    assert time.perf_counter() - start < 5
