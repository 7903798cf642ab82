"""python -m mox_smtp: what a script sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.processes import free_port
from mox_smtp.__main__ import main

ZONE = """
a.example. MX 10 mx.a.example.
mx.a.example. A 127.0.0.1
null.example. MX 0 .
"""


@pytest.fixture
def zone(tmp_path: Path) -> str:
    (tmp_path / "zone").write_text(ZONE)
    return str(tmp_path / "zone")


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[tuple[int, Path, subprocess.Popen[str]]]:
    """A sink's port, its folder, its process."""
    command = [
        sys.executable,
        "-m",
        "mox_smtp",
        "serve-sink",
        "--listen",
        "127.0.0.1:0",
        "--directory",
        str(tmp_path / "mail"),
    ]
    process = subprocess.Popen([*command, "--refuse", "no", "--json"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["listening"][1]
    yield port, tmp_path / "mail", process
    process.kill()
    process.communicate()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    return code, capsys.readouterr().out


def test_mx(zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "mx", "a.example", "--zone", zone) == (0, "mx.a.example 127.0.0.1\n")
    assert (
        run(capsys, "mx", "a.example", "--zone", zone, "--family", "6")[1]
        == "mx.a.example no IPv6 address for mx.a.example\n"
    )
    code, out = run(capsys, "mx", "null.example", "--zone", zone, "--json")
    assert (code, json.loads(out)["status"]) == (1, "5.1.10")
    assert run(capsys, "mx", "b.example", "--zone", zone) == (1, "b.example does not exist\n")


def test_send_and_sink(
    sink: tuple[int, Path, Any], zone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, folder, process = sink
    (tmp_path / "m.eml").write_bytes(b"Subject: x\n\n.hello\n")
    common = ["send", str(tmp_path / "m.eml"), "--from", "b@c.example", "--port", str(port)]
    code, out = run(
        capsys, *common, "--to", "ann@a.example", "--zone", zone, "--notify", "NEVER", "--envid", "a=b", "--ret", "HDRS"
    )
    assert (code, out) == (0, "ann@a.example: 250 2.0.0 taken as 1\n")
    assert (folder / "1.eml").read_bytes() == b"Subject: x\r\n\r\n.hello\r\n"
    facts = json.loads((folder / "1.json").read_text())
    assert facts["parameters"] == "SIZE=22 RET=HDRS ENVID=a+3Db"
    assert facts["to"] == [{"path": "ann@a.example", "parameters": "NOTIFY=NEVER"}]
    code, out = run(capsys, *common, "--to", "ann@a.example", "--to", "no@a.example", "--host", "127.0.0.1", "--json")
    assert code == 1
    assert json.loads(out)["replies"]["no@a.example"]["code"] == 550
    code, out = run(capsys, *common, "--to", "ann@a.example", "--host", "127.0.0.1", "--explain", "--no-chunking")
    assert code == 0
    assert "C: DATA" in out
    code, out = run(capsys, *common, "--to", "ann@a.example", "--host", "127.0.0.1", "--requiretls")
    assert code == 1
    assert "5.7.10" in out
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert len(process.stdout.read().splitlines()) == 3


def test_probe(sink: tuple[int, Path, Any], zone: str, capsys: pytest.CaptureFixture[str]) -> None:
    port, _, _ = sink
    code, out = run(capsys, "probe", "a.example", "--mx", "--zone", zone, "--port", str(port), "--json")
    (found,) = json.loads(out)
    assert code == 0
    assert (found["host"], found["tls"], found["problem"]) == ("mx.a.example", None, "the host does not offer STARTTLS")
    assert "CHUNKING" in found["extensions"]
    code, out = run(capsys, "probe", "127.0.0.1", "--port", str(port), "--explain")
    assert code == 0
    assert "C: QUIT" in out


def test_nobody_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.eml").write_bytes(b"Subject: x\n\nx\n")
    port = str(free_port())
    assert run(capsys, "probe", "127.0.0.1", "--port", port)[0] == 75
    assert (
        run(capsys, "send", str(tmp_path / "m.eml"), "--to", "a@b.example", "--host", "127.0.0.1", "--port", port)[0]
        == 75
    )


USAGE = {
    "no such file": ["send", "/no/such/file", "--to", "a@b.example"],
    "no password": ["send", "/dev/null", "--to", "a@b.example", "--user", "ann", "--host", "127.0.0.1"],
    "a key without a certificate": ["serve-sink", "--key", "x"],
    "no port": ["serve-sink", "--listen", "here"],
    "no network": ["serve-sink", "--proxy-from", "everywhere"],
    "a domain that takes no mail": ["send", "/dev/null", "--to", "a@null.example", "--zone", "ZONE"],
    "NOTIFY": ["send", "/dev/null", "--to", "a@b.example", "--notify", "SOMETIMES"],
}


@pytest.mark.parametrize("arguments", USAGE.values(), ids=USAGE.keys())
def test_questions_that_make_no_sense(
    arguments: list[str], zone: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMTP_PASSWORD", raising=False)
    assert main([zone if word == "ZONE" else word for word in arguments]) == 2
    assert capsys.readouterr().err.startswith("python -m mox_smtp: ")


def test_a_port_in_use(sink: tuple[int, Path, Any]) -> None:
    port, _, _ = sink
    command = [sys.executable, "-m", "mox_smtp", "serve-sink", "--listen", f"127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), timeout=20)
    assert done.returncode == 2
    assert "in use" in done.stderr
