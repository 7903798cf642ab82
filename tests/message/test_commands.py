"""The command line, as a script sees it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mox_message import arf, dsn
from mox_message.__main__ import main

MESSAGE = (
    b"From: =?utf-8?q?Zo=C3=AB?= <zoe@example.org>\nTo: g: a@b.example, Bob <b@b.example>;\nSubject: Re: =?utf-8?q?=C3=A4?=\n"
    b"Date: Tue, 14 Nov 2023 22:13:20 +0000\nMessage-ID: <1@example.org>\n"
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nhello\n\n--b\nContent-Type: application/pdf; name=x.pdf\n"
    b"Content-Transfer-Encoding: base64\n\nYWJj\n--b--\n"
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "m.eml").write_bytes(MESSAGE)
    return str(tmp_path / "m.eml")


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code
    return capsys.readouterr().out


def facts(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    return json.loads(run(capsys, *arguments, "--json", code=code))


def test_parse(capsys: pytest.CaptureFixture[str], path: str) -> None:
    out = run(capsys, "parse", path).splitlines()
    assert out[0] == "From: Zoë <zoe@example.org>"
    assert out[1] == "To: a@b.example, Bob <b@b.example>"
    assert "Attachment: 2 application/pdf x.pdf" in out
    assert out[-1] == "hello"
    told = facts(capsys, "parse", path)
    assert (told["from"], told["subject"], told["date"]) == ("zoe@example.org", "Re: ä", "2023-11-14T22:13:20+00:00")
    assert told["attachments"][0]["filename"] == "x.pdf"
    assert told["to"]["entries"][0]["members"][1]["name"] == "Bob"


def test_structure_headers_and_parts(
    capsys: pytest.CaptureFixture[str], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = run(capsys, "structure", path).splitlines()
    assert [line.split()[:2] for line in out] == [
        ["-", "multipart/mixed"],
        ["1", "text/plain"],
        ["2", "application/pdf"],
    ]
    told = facts(capsys, "structure", path)
    assert MESSAGE[told[1]["body_start"] : told[1]["body_end"]] == b"hello\n"
    headers = facts(capsys, "headers", path)
    assert MESSAGE[headers[2]["start"] : headers[2]["end"]].startswith(b"Subject:")
    assert headers[2]["text"] == "Re: ä"
    assert "Message-ID: <1@example.org>" in run(capsys, "headers", path)
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=octets))
    assert main(["part", path, "2"]) == 0
    assert main(["part", path, "2", "--raw"]) == 0
    assert octets.getvalue() == b"abcYWJj"


def test_text(capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert run(capsys, "text", path) == "hello\n\n"
    assert facts(capsys, "text", path, "--part", "1")["text"] == "hello\n"
    assert run(capsys, "text", path, "--part", "2", code=1) == "\n"


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(MESSAGE)))
    assert facts(capsys, "parse", "-")["size"] == len(MESSAGE)


def test_texts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "addresses", "=?utf-8?q?Zo=C3=AB?= <z@x.example>, g: a@b.example;").splitlines() == [
        *("Zoë <z@x.example>", "g:", "  a@b.example")
    ]
    assert facts(capsys, "addresses", "<a@b.example", code=1)["defects"] == ["> is missing"]
    assert run(capsys, "address", "zoë@x.example") == "zoë@x.example\n"
    assert facts(capsys, "address", "a..b@x.example", code=1)["at"] == 0
    assert facts(capsys, "date", "Tue, 14 Nov 2023 22:13:20 +0000")["seconds"] == 1_700_000_000
    assert "RFC 5322" in run(capsys, "date", "yesterday", code=1)
    assert run(capsys, "words", "=?utf-8?q?Zo=C3=AB?=") == "Zoë\n"
    assert run(capsys, "words", "--encode", "Zoë") == "=?utf-8?q?Zo=C3=AB?=\n"
    assert facts(capsys, "parameters", "attachment; filename*=utf-8''%C3%A4") == {"filename": "ä"}
    assert facts(capsys, "subject", "Re: [list] hello") == {"subject": "hello", "reply": True}
    told = facts(capsys, "authres", "Authentication-Results: x;\n dkim=pass header.d=y (ok)")
    assert told["results"][0]["method"] == "dkim"
    assert "header.d=y" in run(capsys, "authres", "x; dkim=pass header.d=y")
    assert "^" in run(capsys, "authres", "x; dkim", code=1)


def test_reports(capsys: pytest.CaptureFixture[str], tmp_path: Path, path: str) -> None:
    status = dsn.RecipientStatus("b@b.example", "failed", "5.1.1")
    notice = dsn.Notice("mx.example", "a@a.example", "x", (status,), 0)
    (tmp_path / "dsn").write_bytes(dsn.compose(notice, MESSAGE, message_id="x@y", boundary="z", now=0))
    assert "b@b.example: failed 5.1.1" in run(capsys, "dsn", str(tmp_path / "dsn"))
    assert facts(capsys, "dsn", str(tmp_path / "dsn"))["original_message_id"] == "<1@example.org>"
    feedback = arf.compose(
        arf.Feedback("abuse"), MESSAGE, sender="a@a", recipient="b@b", message_id="x@y", boundary="z", now=0
    )
    (tmp_path / "arf").write_bytes(feedback)
    assert "feedback-type: abuse" in run(capsys, "arf", str(tmp_path / "arf"))
    assert facts(capsys, "arf", path, code=1) == {"type": None}
    assert facts(capsys, "dsn", path, code=1) == {"recipients": None}


def test_a_terminal_is_not_obeyed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"Subject: \x1b[2J\xff\r\n\r\n\x1b]0;x\x07")
    for command in ("parse", "headers", "text"):
        assert "\x1b" not in run(capsys, command, str(tmp_path / "m"))
        facts(capsys, command, str(tmp_path / "m"))


def test_mistakes(capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert main(["part", path, "9"]) == 2
    assert "there is no part 9; there are 1, 2" in capsys.readouterr().err
    assert main(["parse", path + "none"]) == 2
    with pytest.raises(SystemExit):
        main(["what"])


def test_as_a_program(path: str) -> None:
    done = subprocess.run([sys.executable, "-m", "mox_message", "structure", path], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"application/pdf" in done.stdout


def test_odd_messages_end_with_one(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"what\r\n")
    for command in ("parse", "structure", "headers"):
        run(capsys, command, str(tmp_path / "m"), code=1)
