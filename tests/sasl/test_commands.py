"""python -m mox_sasl: what a script sees."""

from __future__ import annotations

import base64
import io
import json

import pytest

import mox_sasl
from mox_sasl.__main__ import main


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str, said: str = ""
) -> tuple[int, str]:
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    code = main(arguments)
    return code, capsys.readouterr().out.strip()


def test_derive_and_check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
        code, text = run(capsys, monkeypatch, "derive", "--mechanism", mechanism, said="pencil\n")
        assert code == 0
        assert mox_sasl.ScramVerifier.from_text(text).mechanism == mechanism
        assert run(capsys, monkeypatch, "check", text, said="pencil\n") == (0, "the password fits")
        assert run(capsys, monkeypatch, "check", text, said="pen\n") == (1, "the password does not fit")
        code, out = run(capsys, monkeypatch, "check", text, "--json", said="pen\n")
        assert json.loads(out) == {"fits": False}


def test_prepare(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(capsys, monkeypatch, "prepare", said="a\u00a0b\n") == (0, "a b")
    assert run(capsys, monkeypatch, "prepare", said="a\tb\n")[0] == 1


MESSAGES = {
    "PLAIN": (b"\0ann\0pencil", {"name": "ann", "authzid": "", "secret": "***"}),
    "plain": (b"bob\0ann\0pencil", {"name": "ann", "authzid": "bob", "secret": "***"}),
    "SCRAM-SHA-256": (b"y,,n=ann,r=abc", {"name": "ann", "authzid": "", "binding": "y"}),
    "CRAM-MD5": (b"ann " + b"0" * 32, {"name": "ann", "authzid": ""}),
    "XOAUTH2": (
        b"user=ann\x01auth=Bearer t0ken\x01\x01", {"name": "ann", "authzid": "", "secret": "***", "host": "", "port": "0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mechanism, case", MESSAGES.items(), ids=MESSAGES.keys())
def test_read(
    mechanism: str,
    case: tuple[bytes, dict[str, str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message, want = case
    text = base64.b64encode(message).decode()
    code, out = run(capsys, monkeypatch, "read", mechanism, "-", "--json", said=text)
    assert (code, json.loads(out)) == (0, want)
    assert "pencil" not in run(capsys, monkeypatch, "read", mechanism, text)[1]
    assert run(capsys, monkeypatch, "read", mechanism, "eA==")[0] in (0, 1)


def test_mechanisms(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(capsys, monkeypatch, "mechanisms") == (0, "\n".join(mox_sasl.MECHANISMS))


@pytest.mark.parametrize(
    "arguments", [["read", "GSSAPI", "eA=="], ["read", "PLAIN", "!"], ["check", "x"], ["derive", "--iterations", "1"]]
)
def test_questions_that_make_no_sense(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, monkeypatch, *arguments, said="pencil\n")[0] == 2
