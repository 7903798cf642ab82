"""python -m mox_imap: what a script sees."""

from __future__ import annotations

import imaplib
import io
import json
import signal
import subprocess
import sys

import pytest

from mox_imap.__main__ import main


def test_parse(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "a UID FETCH 1:* (FLAGS BODY[1.2])"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["tag      a", "command  FETCH"]
    assert main(["parse", "--json", "a LOGIN ann {6+}\\r\\nsecret"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["words"] == ["a", "LOGIN", "ann", "secret"]
    assert found["error"] is None


def test_parse_points_at_the_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "a FETCH 1 (FLAGS NONSENSE)"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "no such item NONSENSE"
    assert said[2].index("^") == said[1].index(")")
    assert main(["parse", "--json", ""]) == 1
    assert json.loads(capsys.readouterr().out)["error"]


def test_structure(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"Subject: x\r\n\r\nhi"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["structure"]) == 0
    assert capsysbinary.readouterr().out.splitlines()[0] == b'ENVELOPE (NIL "x" NIL NIL NIL NIL NIL NIL NIL NIL)'
    assert main(["structure", "/nowhere/at/all"]) == 2


def test_help_is_quick() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mox_imap", "--help"], capture_output=True, text=True, check=True
    )
    assert "serve-demo" in done.stdout
    assert "mox_imap.memory" not in done.stderr


def test_serve_demo() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "mox_imap", "serve-demo", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            port = int(line.split("/")[2].split(":")[1])
            said = subprocess.run(
                [sys.executable, "-m", "mox_imap", "look", "127.0.0.1", "--port", str(port), "--plain", "--user", "demo",
                 "--password-file", "/dev/stdin", "--json"],
                input="demo\n", capture_output=True, text=True, check=True,
            )  # fmt: skip
            found = json.loads(said.stdout)
            assert "IMAP4REV2" in found["capabilities"]
            assert found["mailboxes"][0]["name"] == "Inbox"
            assert found["mailboxes"][0]["status"]["MESSAGES"] == 1
            with imaplib.IMAP4("127.0.0.1", port, timeout=10) as client:
                client.login("demo", "demo")
                assert client.select("INBOX") == ("OK", [b"1"])
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
