from __future__ import annotations

import io
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mox_message import Content
from mox_store import Account, Added, Store, StoreError, check, exporting, importing, maildir, mbox, testing


def message(number: int, size: int = 50) -> bytes:
    """A message of its own."""
    return f"Message-ID: <{number}@x>\r\nSubject: number {number}\r\n\r\n".encode() + b"y" * size + b"\r\n"


def mbox_of(numbers: range, size: int = 50) -> bytes:
    """An mbox file."""
    file = io.BytesIO()
    for number in numbers:
        mbox.write(file, Content.of(message(number, size)), 1000.0 + number, ("\\Seen",) if number % 2 else ())
    return file.getvalue()


def subjects(account: Account, mailbox: str) -> list[str]:
    """In the order of uids."""
    found = account.mailbox(mailbox)
    return [row.subject for row in account.rows(found.id, range(1, found.uidnext))] if found else []


def everything(account: Account, path: Path, mailbox: str | None = None) -> list[importing.Imported]:
    """Imports all there is."""
    return [importing.run(account, source) for source in importing.sources(path, mailbox)]


def test_an_mbox_file(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "Work.mbox"
    path.write_bytes(mbox_of(range(250)))
    told: list[int] = []
    (source,) = importing.sources(path)
    done = importing.run(account, source, progress=lambda one: told.append(one.taken), flags=("$Junk",))
    assert (done.mailbox, done.taken, done.skipped) == ("Work", 250, 0)
    assert told == [100, 200, 250]
    assert subjects(account, "Work") == [f"number {number}" for number in range(250)]
    found = account.mailbox("Work")
    assert found is not None
    assert (found.unseen, found.keywords) == (125, ("$Junk",))
    (row,) = account.rows(found.id, [3])
    assert (row.received, account.content(row.message).read()) == (1002.0, message(2))
    assert len(account.history.untrained(999)) == 250
    assert importing.run(account, source).taken == 250  # nothing new
    importing.forget(account, source)
    again = importing.run(account, source)
    assert (again.taken, again.skipped) == (0, 250)
    assert check.check(account).clean


def test_large_messages_go_to_segments(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "big.mbox"
    path.write_bytes(mbox_of(range(3), 60_000))
    everything(account, path)
    assert account.database.rows("SELECT count(*) FROM message WHERE segment IS NOT NULL") == [(3,)]
    assert check.check(account).clean


def test_it_goes_on_where_it_was_stopped(account: Account, tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(mbox_of(range(250)))
    (source,) = importing.sources(path)

    def broken(position: str) -> Iterator[Any]:
        for number, letter in enumerate(source.read(position)):
            if number == 170:
                raise OSError("unplugged")
            yield letter

    with pytest.raises(OSError, match="unplugged"):
        importing.run(account, importing.Source(source.name, source.mailbox, broken))
    assert len(subjects(account, "a")) == 170, "what came is kept"
    path.write_bytes(mbox_of(range(260)))  # and mail was added to it meanwhile
    assert importing.run(account, source).taken == 260
    assert subjects(account, "a") == [f"number {number}" for number in range(260)]


def test_killed_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "a.mbox"
    path.write_bytes(mbox_of(range(3000), 2000))
    command = [sys.executable, "-m", "mox_store", "import", str(tmp_path / "accounts"), "kim", str(path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        database = tmp_path / "accounts" / "kim" / "account.db-wal"
        end = time.monotonic() + 20
        while not (database.exists() and database.stat().st_size > 1_000_000) and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    store = Store(tmp_path / "accounts", clock=lambda: 1000.0)
    account = store.open("kim")
    assert subjects(account, "a") == [f"number {number}" for number in range(3000)]
    assert check.check(account).clean
    store.close()


def archive_files() -> dict[str, bytes]:
    """What is in the archives."""
    return {
        "mail/Lists.mbox": mbox_of(range(5)),
        "mail/Maildir/cur/1.a:2,S": message(10),
        "mail/Maildir/.Sent/cur/2.b:2,": message(11),
        "mail/Maildir/.Sent/new/3.c": message(12),
        "mail/readme.txt": b"not mail",
    }


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in archive_files().items():
            archive.writestr(name, data)


def tarred(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in archive_files().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(("make", "name"), [(zipped, "a.zip"), (tarred, "a.tgz")])
def test_archives(account: Account, tmp_path: Path, make: Callable[[Path], None], name: str) -> None:
    make(tmp_path / name)
    done = everything(account, tmp_path / name)
    assert [(one.mailbox, one.taken) for one in done] == [
        ("mail/Lists", 5), ("mail/Maildir", 1), ("mail/Maildir/Sent", 2),
    ]  # fmt: skip
    assert subjects(account, "mail/Maildir/Sent") == ["number 11", "number 12"]
    assert [one.taken for one in everything(account, tmp_path / name)] == [5, 1, 2]


def test_a_folder_of_files(account: Account, tmp_path: Path) -> None:
    (tmp_path / "m" / "Sub").mkdir(parents=True)
    (tmp_path / "m" / "plain").write_bytes(mbox_of(range(2)))
    (tmp_path / "m" / "Sub" / "x.mbox").write_bytes(mbox_of(range(2, 5)))
    (tmp_path / "m" / "notes").write_text("not mail")
    assert {(one.mailbox, one.taken) for one in everything(account, tmp_path / "m")} == {("plain", 2), ("Sub/x", 3)}


@pytest.mark.parametrize(
    "make", [lambda path: path.mkdir(), lambda path: None, lambda path: zipfile.ZipFile(path, "w").close()]
)
def test_nothing_to_import_is_said(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x")
    with pytest.raises(StoreError, match=r"holds neither|not there"):
        list(importing.sources(tmp_path / "x"))


@pytest.mark.parametrize("name", ["out", "out.zip", "out.tar", "out.tgz"])
@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_out_and_in_again(
    account: Account, store: Store, deliver: Callable[..., Added], tmp_path: Path, form: exporting.Format, name: str
) -> None:
    for number in range(6):
        deliver(message(number, 40_000 if number == 3 else 20), flags=("\\Flagged", "work") if number % 2 else ())
    deliver(message(9), mailbox="Lists/a.b")
    out = tmp_path / name
    done = exporting.run(account, out, form)
    assert sum(one.messages for one in done) == 7
    exporting.run(account, out, form)  # a second time writes nothing new
    other = store.open("lee")
    into = {one.mailbox: one.taken for one in everything(other, out) if one.taken}
    assert sum(into.values()) == 7
    assert into["Inbox"] == 6
    mine, theirs = account.mailbox("Inbox"), other.mailbox("Inbox")
    assert mine is not None
    assert theirs is not None
    for uid in range(1, 7):
        (first,), (second,) = account.rows(mine.id, [uid]), other.rows(theirs.id, [uid])
        assert account.content(first.message).read() == other.content(second.message).read()
    flagged = other.open_view(theirs.id)
    assert [bool(bits & 4) for bits in flagged.flags] == [False, True] * 3
    assert check.check(other).clean


def test_export_of_some(account: Account, deliver: Callable[..., Added], tmp_path: Path) -> None:
    deliver()
    assert [one.mailbox for one in exporting.run(account, tmp_path, "mbox", ("Inbox",))] == ["Inbox"]
    assert maildir.is_maildir(tmp_path) is False
    assert testing.QuickDisk is not None


def test_what_came_before_trouble_is_kept(account: Account) -> None:
    """A source that fails in its third message: two are there, and the next run begins with the third."""
    seen: list[str] = []

    def read(position: str) -> Iterator[importing.Letter]:
        seen.append(position)
        for number in range(int(position or 0), 3):
            if number == 2 and len(seen) == 1:
                raise OSError("the line is dead")
            yield importing.Letter(Content.of(b"Message-ID: <%d@x>\r\n\r\nx\r\n" % number), str(number + 1))

    source = importing.Source("far away", "Inbox", read)
    with pytest.raises(OSError, match="dead"):
        importing.run(account, source)
    assert account.quota().messages == 2
    assert importing.run(account, source).taken == 3
    assert seen == ["", "2"]
