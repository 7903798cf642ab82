"""Mail from an account into files: a maildir tree, or one mbox file for each mailbox; going on where it was stopped.

Or all of it in one zip, tar or tgz, which is there when it is whole."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import gmtime
from typing import BinaryIO, Literal, cast

from mox_message import Content
from mox_store import maildir, mbox
from mox_store.account import Account
from mox_store.mailbox import Mailbox
from mox_store.message import Row

Format = Literal["maildir", "mbox"]
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")


@dataclass(frozen=True, slots=True)
class Exported:
    """How many messages of a mailbox went where."""

    mailbox: str
    path: str
    messages: int

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"mailbox": self.mailbox, "path": self.path, "messages": self.messages}


def run(
    account: Account,
    folder: Path,
    form: Format,
    mailboxes: tuple[str, ...] = (),
    progress: Callable[[Exported], None] = lambda exported: None,
) -> list[Exported]:
    """Exports the named mailboxes, or all, to a folder, or to an archive if the name says so; blocks.  What is there
    already is not written again.  Raises StoreError and OSError."""
    if folder.name.endswith(ARCHIVES):
        return _to_archive(account, folder, form, mailboxes, progress)
    done = []
    for mailbox in account.mailboxes():
        if not mailboxes or mailbox.name in mailboxes:
            one = (_maildir if form == "maildir" else _mbox)(account, mailbox, folder)
            done.append(one)
            progress(one)
    return done


def _safe(name: str) -> str:
    """A part of a mailbox name as a file name."""
    return name.replace("\\", "_").replace(":", "_").replace(".", "_") or "_"


def _maildir(account: Account, mailbox: Mailbox, root: Path) -> Exported:
    """Maildir++: the Inbox at the root, others as .Name.Sub beside it."""
    parts = [_safe(part) for part in mailbox.name.split("/")]
    folder = root if mailbox.name == "Inbox" else root / ("." + ".".join(parts))
    maildir.make(folder)
    there = {path.name.partition(":")[0] for path in (folder / "cur").iterdir()}
    count = 0
    for row, flags in _rows(account, mailbox):
        name = maildir.name_of(row.uid, mailbox.uidvalidity, row.received, flags)
        if name.partition(":")[0] not in there:
            maildir.write(folder, name, account.content(row.message), row.received)
        count += 1
    return Exported(mailbox.name, str(folder), count)


def _mbox(account: Account, mailbox: Mailbox, root: Path) -> Exported:
    """Written beside its name first: a file under its own name is whole."""
    path = root.joinpath(*(_safe(part) for part in mailbox.name.split("/")))
    path = path.with_name(path.name + ".mbox")
    if path.exists():
        return Exported(mailbox.name, str(path), mailbox.total)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".part")
    count = 0
    with temporary.open("wb") as file:
        for row, flags in _rows(account, mailbox):
            mbox.write(file, account.content(row.message), row.received, flags)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return Exported(mailbox.name, str(path), count)


# -- archives

Put = Callable[[str, Content, float], None]


def _to_archive(
    account: Account, path: Path, form: Format, mailboxes: tuple[str, ...], progress: Callable[[Exported], None]
) -> list[Exported]:
    temporary = path.with_name(path.name + ".part")
    done = []
    with _archive(temporary, path.name) as put:
        for mailbox in account.mailboxes():
            if not mailboxes or mailbox.name in mailboxes:
                count = (_members if form == "maildir" else _one_member)(account, mailbox, put)
                one = Exported(mailbox.name, str(path), count)
                done.append(one)
                progress(one)
    temporary.rename(path)
    return done


@contextmanager
def _archive(path: Path, name: str) -> Iterator[Put]:
    """Something that takes members, one after another, each in pieces."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:

            def put_zip(member: str, content: Content, moment: float) -> None:
                info = zipfile.ZipInfo(member, gmtime(max(moment, 315532800.0))[:6])  # zip begins in 1980
                info.compress_type = zipfile.ZIP_DEFLATED
                with zipped.open(info, "w", force_zip64=True) as file:
                    for chunk in content.chunks():
                        file.write(chunk)

            yield put_zip
        return
    with tarfile.open(path, "w" if name.endswith(".tar") else "w:gz") as tarred:

        def put_tar(member: str, content: Content, moment: float) -> None:
            info = tarfile.TarInfo(member)
            info.size, info.mtime, info.mode = content.size, int(moment), 0o600
            tarred.addfile(info, cast(BinaryIO, _Reader(content)))
            tarred.members = []  # type: ignore[attr-defined]  # it would remember them all

        yield put_tar


class _Reader:
    """A content as a file, for who reads it from front to back."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._at = 0

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._content.read(self._at, min(self._at + size, self._content.size))
        self._at += len(data)
        return data


def _members(account: Account, mailbox: Mailbox, put: Put) -> int:
    """A member for each message, as in a maildir."""
    base = "" if mailbox.name == "Inbox" else "." + ".".join(_safe(part) for part in mailbox.name.split("/")) + "/"
    count = 0
    for row, flags in _rows(account, mailbox):
        name = maildir.name_of(row.uid, mailbox.uidvalidity, row.received, flags)
        put(f"{base}cur/{name}", account.content(row.message), row.received)
        count += 1
    return count


def _one_member(account: Account, mailbox: Mailbox, put: Put) -> int:
    """An mbox file for the mailbox; how large it is has to be known first, so it waits in a file."""
    count = 0
    with tempfile.NamedTemporaryFile() as file:
        for row, flags in _rows(account, mailbox):
            mbox.write(cast(BinaryIO, file), account.content(row.message), row.received, flags)
            count += 1
        file.flush()
        if count:
            name = "/".join(_safe(part) for part in mailbox.name.split("/"))
            put(f"{name}.mbox", Content.file(file.name), account.now())
    return count


def _rows(account: Account, mailbox: Mailbox) -> Iterator[tuple[Row, tuple[str, ...]]]:
    """The messages with the names of their flags."""
    view = account.open_view(mailbox.id)
    try:
        flags = dict(zip(view.uids, view.flags, strict=True))
    finally:
        account.close_view(view)
    for row in account.rows(mailbox.id, list(flags)):
        yield row, tuple(mailbox.names(flags[row.uid]))
