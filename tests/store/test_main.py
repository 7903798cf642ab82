"""The command line, as a script uses it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from mox_store.__main__ import main

MBOX = b"From kim Thu Jan  1 00:00:00 1970\nMessage-ID: <1@x>\nSubject: hi\n\nhello\n\n" * 1


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """A store with one account and one message."""
    (tmp_path / "Inbox.mbox").write_bytes(MBOX)
    assert main(["import", str(tmp_path / "accounts"), "kim", str(tmp_path / "Inbox.mbox")]) == 0
    return tmp_path / "accounts"


def said(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """The JSON lines."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_import_and_stat(accounts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", str(accounts), "kim", str(accounts.parent / "Inbox.mbox"), "--again"]) == 0
    assert "Inbox: 0 taken, 1 duplicates" in capsys.readouterr().out
    assert main(["stat", str(accounts), "--json"]) == 0
    (facts,) = said(capsys)
    assert (facts["account"], facts["messages"]) == ("kim", 1)
    assert main(["stat", str(accounts), "kim"]) == 0
    assert "Inbox" in capsys.readouterr().out


def test_check_says_and_mends(accounts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(accounts)]) == 0
    assert "clean" in capsys.readouterr().out
    with sqlite3.connect(accounts / "kim" / "account.db") as db:
        db.execute("UPDATE mailbox SET total=7 WHERE name='Inbox'")
    db.close()
    assert main(["check", str(accounts), "--json"]) == 1
    (report,) = said(capsys)
    assert report["clean"] is False
    assert main(["check", str(accounts)]) == 1
    assert "mended by `check --mend`" in capsys.readouterr().out
    assert main(["check", "--mend", str(accounts)]) == 0
    assert main(["check", "--quick", str(accounts), "kim"]) == 0


def test_export(accounts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(accounts), "kim", str(out), "--format", "mbox", "--mailbox", "Inbox", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1])["messages"] == 1
    assert b"Subject: hi\n\nhello\n" in (out / "Inbox.mbox").read_bytes()


def test_backup_verify_restore(accounts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup, restored = str(tmp_path / "backup"), str(tmp_path / "restored")
    assert main(["backup", str(accounts), backup, "--keep", "3"]) == 0
    assert main(["verify", backup, "--deep"]) == 0
    assert main(["restore", backup, restored]) == 0
    assert main(["check", restored]) == 0
    capsys.readouterr()
    assert main(["restore", backup, restored]) == 73
    assert "is there already; move it away first" in capsys.readouterr().err
    for piece in (tmp_path / "backup" / "chunks").glob("*/*"):
        piece.write_bytes(b"?")
    assert main(["verify", backup]) == 1
    assert "damaged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["stat", "nowhere"], 66, "nowhere is not there"),
        (["check", "ACCOUNTS", "eve"], 66, "no account 'eve'; it has kim"),
        (["import", "ACCOUNTS", "kim", "nothing"], 66, "is not there"),
        (["import", "ACCOUNTS", "../kim", "MBOX"], 73, "cannot be the name"),
        (["verify", "nowhere"], 73, "holds no backup"),
        (["nonsense"], 64, ""),
        ([], 64, ""),
        (["--help"], 0, ""),
    ],
)
def test_what_cannot_be_is_said(
    accounts: Path, arguments: list[str], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"ACCOUNTS": str(accounts), "MBOX": str(accounts.parent / "Inbox.mbox")}
    assert main([places.get(word, word) for word in arguments]) == status
    assert words in capsys.readouterr().err
