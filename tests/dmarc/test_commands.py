"""python -m mox_dmarc: what a script sees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mox_dmarc.__main__ import main


@pytest.fixture
def zone(tmp_path: Path) -> list[str]:
    path = tmp_path / "zone"
    path.write_text('_dmarc.example.com TXT "v=DMARC1; p=reject"\n_dmarc.slow.example TXT TIMEOUT\n')
    return ["--zone", str(path)]


def test_check(zone: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a@example.com", "--dkim", "mail.example.com", *zone]) == 0
    assert capsys.readouterr().out == "dmarc=pass disposition=none: mail.example.com belongs to example.com\n"
    assert main(["check", "a@example.com", "--spf", "example.net", "--explain", *zone]) == 1
    assert "spf example.net: not aligned" in capsys.readouterr().out
    assert main(["check", "a@example.com", "--json", *zone]) == 1
    assert json.loads(capsys.readouterr().out)["disposition"] == "reject"
    assert main(["check", "slow.example", *zone]) == 75
    assert main(["check", "other.example", *zone]) == 0
    assert main(["check", "a@example.com", "--temporary", *zone]) == 75


def test_parse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "v=DMARC1; p=none; t=y"]) == 0
    assert capsys.readouterr().out == "v=DMARC1; p=none; t=y\n"
    assert main(["parse", "v=DMARC1; p=none; adkim=x"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2][lines[3].index("^") :] == "adkim=x"
    assert main(["parse", "--json", "v=DMARC1; p=none; adkim=x"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["at"] == 18
    assert main(["parse", "v=spf1 -all"]) == 1
    assert "no DMARC record" in capsys.readouterr().out


def test_lookup(zone: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lookup", "a.example.com", *zone]) == 0
    assert "_dmarc.example.com: v=DMARC1; p=reject" in capsys.readouterr().out
    assert main(["lookup", "example.net", "--json", *zone]) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "none"
    assert main(["lookup", "slow.example", *zone]) == 75
    assert main(["lookup", "-", *zone]) == 2


def test_help_is_quick() -> None:
    done = subprocess.run([sys.executable, "-m", "mox_dmarc", "--help"], capture_output=True, text=True, check=True)
    assert "lookup" in done.stdout
