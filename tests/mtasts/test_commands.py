"""python -m mox_mtasts: what a script sees."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.certificates import make
from kit.policy_host import policy_host, response, says
from mox_mtasts.__main__ import main

TEXT = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 604800\n"
ZONE = """\
_mta-sts.a.example TXT "v=STSv1; id=1"
mta-sts.a.example  A   127.0.0.1
a.example          MX  10 mx.a.example
b.example          MX  10 mx.b.example
_mta-sts.c.example TXT TIMEOUT
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[list[str]]:
    """Options that lead to a zone and to a policy host."""
    root = make("Test Root", ca=True)
    (tmp_path / "root.pem").write_text(root.pem)
    (tmp_path / "zone").write_text(ZONE)
    context = make("leaf", root, names=["mta-sts.a.example"]).server_context(tmp_path)
    with policy_host(context, says(response(TEXT))) as host:
        yield ["--zone", str(tmp_path / "zone"), "--roots", str(tmp_path / "root.pem"), "--port", str(host.port)]


def test_check(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "a.example", *world]) == 0
    assert capsys.readouterr().out == "mta-sts=valid a.example: a.example has a policy\n"
    assert main(["check", "a.example", "--explain", *world]) == 0
    shown = capsys.readouterr().out
    assert "_mta-sts.a.example TXT -> id 1 (RFC 8461 3.1)" in shown
    assert "policy  mode: enforce" in shown
    assert main(["check", "a.example", "--json", *world]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["policy"]["mx"], facts["findings"]) == ("valid", ["mx.a.example"], [])


def test_check_tells_what_does_not_fit(world: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "zone").write_text(ZONE + "a.example MX 20 mx2.a.example\n")
    assert main(["check", "a.example", *world]) == 1
    assert "error: mx2.a.example is an MX of the domain, but none of the policy's mx" in capsys.readouterr().out


def test_check_elsewhere(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "b.example", *world]) == 0
    assert main(["check", "c.example", *world]) == 75
    assert main(["check", "a..example", *world]) == 2
    assert "not a domain name" in capsys.readouterr().err
    assert main(["check", "a.example", *world[:4], "--port", "1"]) == 1
    assert "Connection refused" in capsys.readouterr().out


def test_fetch(world: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "a.example", "--explain", *world]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("from 127.0.0.1 over TLSv1.3")
    assert shown.endswith("\n" + TEXT)
    assert main(["fetch", "b.example", *world]) == 1
    assert main(["fetch", "a.example", "--json", *world]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["max_age"] == 604800


def test_parse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["parse", "v=STSv1;id=1;x=y"]) == 0
    assert capsys.readouterr().out == "v=STSv1; id=1; x=y;\n"
    assert main(["parse", "v=STSv1; id=a b"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "expected a semicolon at character 14"
    monkeypatch.setattr("sys.stdin", io.StringIO("v=STSv1; id=-\n"))
    assert main(["parse", "-", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["at"] == 12


def test_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy"
    file.write_text(TEXT)
    assert main(["policy", str(file)]) == 0
    assert capsys.readouterr().out == TEXT
    assert main(["policy", str(file), "--host", "mx.a.example", "--host", "x.example"]) == 1
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["enforce", "skip"]
    file.write_text("mode: x")
    assert main(["policy", str(file)]) == 1
    assert main(["policy", str(tmp_path / "none")]) == 2


def test_make_can_be_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["make", "--mx", "mx.a.example", "--mx", "*.b.example", "--id", "7", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    (tmp_path / "policy").write_text(made["policy"], newline="")
    assert main(["policy", str(tmp_path / "policy"), "--host", "x.b.example"]) == 0
    assert main(["parse", made["record"]]) == 0
    assert main(["make"]) == 2


def test_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mox_mtasts", "parse", "v=STSv1; id=1\x1b[31m"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
