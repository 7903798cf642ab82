"""Mail from files into an account: streaming, in small durable steps, going on where it was stopped.

How far an import has come is written in the transaction of the messages: after a stop, however hard, none is missing
and none comes twice.  Duplicates (same Message-ID and size in the mailbox) are found."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from mox_message import Content
from mox_store import maildir, mbox
from mox_store.account import Account
from mox_store.blobs import BLOB_LIMIT
from mox_store.disk import StoreError
from mox_store.letters import Letter, header_traits, spooled
from mox_store.mailbox import MailboxError
from mox_store.message import NewMessage, Staged, Traits
from mox_store.threads import id_hash

# One transaction takes so many messages or bytes: others wait for the lock no longer than that takes.
BATCH_MESSAGES = 100
BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Messages for one mailbox.  `name` says where from, the same whenever it is the same."""

    name: str
    mailbox: str
    read: Callable[[str], Iterator[Letter]]  # position -> the letters behind it


@dataclass(frozen=True, slots=True)
class Imported:
    """How far an import has come, earlier runs included."""

    source: str
    mailbox: str
    taken: int
    skipped: int

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"source": self.source, "mailbox": self.mailbox, "taken": self.taken, "duplicates": self.skipped}


def sources(path: Path, mailbox: str | None = None) -> Iterator[Source]:
    """What there is to import in a file or folder: an mbox file, a maildir, a folder of either, or a zip, tar, tgz of
    them.  `mailbox` overrides the name that the file suggests.  Raises StoreError when nothing is known."""
    path = path.resolve()
    if not path.exists():
        raise StoreError(f"{path} is not there")
    if path.is_dir():
        yield from _of_folder(path, mailbox)
    elif zipfile.is_zipfile(path):
        yield from _of_archive(path, mailbox, _zip_members)
    elif tarfile.is_tarfile(path):
        yield from _of_archive(path, mailbox, _tar_members)
    else:
        yield Source(str(path), mailbox or _name(path.name), _mbox_reader(path))


def _of_folder(path: Path, mailbox: str | None) -> Iterator[Source]:
    found = maildirs = False
    for name, folder in maildir.folders(path):
        found = maildirs = True
        yield Source(str(folder), mailbox or name, _maildir_reader(folder))
    for file in sorted(path.rglob("*")):
        if file.is_file() and (file.suffix == ".mbox" or (not maildirs and not file.suffix and _is_mbox(file))):
            found = True
            yield Source(str(file), mailbox or _name(str(file.relative_to(path))), _mbox_reader(file))
    if not found:
        raise StoreError(f"{path} holds neither a maildir (cur, new, tmp) nor files in mbox format")


def _is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        return mbox.begins(file.readline(1000))


def _mbox_reader(path: Path) -> Callable[[str], Iterator[Letter]]:
    def read(position: str) -> Iterator[Letter]:
        with path.open("rb") as file:
            yield from mbox.read(file, position)

    return read


def _maildir_reader(folder: Path) -> Callable[[str], Iterator[Letter]]:
    return lambda position: maildir.read(folder, position)


def _name(path: str) -> str:
    """`Work/Sent.mbox` → `Work/Sent`"""
    parts = [part for part in PurePosixPath(path).with_suffix("").parts if part not in ("/", ".", "..")]
    return "/".join(part.lstrip("#").translate({ord("*"): "-", ord("%"): "-"}) or "-" for part in parts) or "Inbox"


# -- archives: read from front to back, member by member

Members = Callable[[Path], Iterator[tuple[str, Callable[[], BinaryIO]]]]


def _zip_members(path: Path) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, lambda member=member: cast(BinaryIO, archive.open(member))  # type: ignore[misc]


def _tar_members(path: Path) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    with tarfile.open(path, "r|*") as archive:
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # it would remember them all
            file = archive.extractfile(member) if member.isreg() else None
            if file is not None:
                yield member.name, lambda file=file: cast(BinaryIO, file)  # type: ignore[misc]


def _of_archive(path: Path, mailbox: str | None, members: Members) -> Iterator[Source]:
    """One source for each mailbox in it; the archive is read once for each, so that memory stays small."""
    names: dict[str, None] = {}
    for member, _ in members(path):
        if (found := _member_mailbox(member)) is not None:
            names[found] = None
    if not names:
        raise StoreError(f"{path} holds neither maildirs nor .mbox files")
    for name in names:
        yield Source(f"{path}!{name}", mailbox or name, _archive_reader(path, name, members))


def _member_mailbox(member: str) -> str | None:
    path = PurePosixPath(member)
    if path.suffix == ".mbox":
        return _name(member)
    if len(path.parts) >= 2 and path.parts[-2] in ("cur", "new") and not path.name.startswith("."):
        parts = [part for word in path.parts[:-2] for part in word.split(".") if part]
        return _name("/".join(parts) + ".maildir") if parts else "Inbox"
    return None


def _archive_reader(path: Path, name: str, members: Members) -> Callable[[str], Iterator[Letter]]:
    def read(position: str) -> Iterator[Letter]:
        begun, _, inner = position.partition(":")
        for number, (member, opened) in enumerate(members(path)):
            if _member_mailbox(member) != name or number < int(begun or 0):
                continue
            with opened() as file:
                if member.endswith(".mbox"):
                    start = inner if number == int(begun or 0) else ""
                    for letter in mbox.read(file, start):
                        yield replace(letter, position=f"{number}:{letter.position}")
                else:
                    lines = iter(lambda file=file: file.readline(maildir.LINE_MOST), b"")  # type: ignore[misc]
                    flags = maildir.flags_of(PurePosixPath(member).name)
                    yield spooled(lines, str(number + 1), None, flags)

    return read


# -- into the account


def run(
    account: Account,
    source: Source,
    *,
    make_traits: Callable[[Content], Traits] = header_traits,
    flags: tuple[str, ...] = (),
    progress: Callable[[Imported], None] = lambda imported: None,
) -> Imported:
    """Imports a source, from where an earlier run was stopped; blocks.  `flags` are given to every message besides its
    own ($Junk trains the filter).  Raises StoreError, MailboxError and OSError: what was taken stays."""
    position, taken, skipped = _begun(account, source)
    with _known(account, source.mailbox) as known:
        batch: list[Letter] = []
        size = 0
        try:
            for letter in source.read(position):
                batch.append(letter)
                size += letter.content.size
                if len(batch) >= BATCH_MESSAGES or size >= BATCH_BYTES:
                    ready, batch, size = batch, [], 0
                    taken, skipped = _take(account, source, ready, known, make_traits, flags, taken, skipped)
                    progress(Imported(source.name, source.mailbox, taken, skipped))
        finally:
            # Whatever ended it: what has come is kept.
            if batch:
                taken, skipped = _take(account, source, batch, known, make_traits, flags, taken, skipped)
    done = Imported(source.name, source.mailbox, taken, skipped)
    progress(done)
    return done


def _begun(account: Account, source: Source) -> tuple[str, int, int]:
    row = account.database.row("SELECT position,taken,skipped FROM import WHERE source=?", (_key(source),))
    return row if row is not None else ("", 0, 0)


def _key(source: Source) -> str:
    return f"{source.name} -> {source.mailbox}"


def forget(account: Account, source: Source) -> None:
    """The next run begins anew (and finds what is there already as duplicates).  Raises StoreError."""
    with account.write() as tx:
        tx.connection.execute("DELETE FROM import WHERE source=?", (_key(source),))


@contextmanager
def _known(account: Account, mailbox: str) -> Iterator[set[int]]:
    """Hashes of what the mailbox has: 60 bytes a message."""
    known: set[int] = set()
    found = account.mailbox(mailbox)
    if found is not None:
        last = 0
        statement = (
            "SELECT e.uid,m.message_id,m.length FROM entry e JOIN message m ON m.id=e.message "
            "WHERE e.mailbox=? AND e.uid>? ORDER BY e.uid LIMIT 5000"
        )
        while rows := account.database.rows(statement, (found.id, last)):
            last = rows[-1][0]
            known.update(id_hash(f"{id} {length}") for _, id, length in rows if id)
    yield known


def _take(
    account: Account,
    source: Source,
    batch: list[Letter],
    known: set[int],
    make_traits: Callable[[Content], Traits],
    flags: tuple[str, ...],
    taken: int,
    skipped: int,
) -> tuple[int, int]:
    new: list[NewMessage] = []
    for letter in batch:
        traits = make_traits(letter.content)
        mark = id_hash(f"{traits.message_id} {letter.content.size}")
        if traits.message_id and mark in known:
            skipped += 1
            continue
        known.add(mark)
        received = letter.received if letter.received is not None else traits.sent
        new.append(
            NewMessage(
                letter.content, traits, received if received is not None else account.now(),
                flags=tuple(dict.fromkeys((*letter.flags, *flags))), staged=_staged(account, letter.content),
            )
        )  # fmt: skip
    taken += len(new)
    with account.write() as tx:
        mailbox = tx.mailbox_or_new(source.mailbox)
        for message in new:
            try:
                tx.add(mailbox, message)
            except MailboxError as error:
                if error.code != "LIMIT":
                    raise
                tx.add(mailbox, replace(message, flags=tuple(f for f in message.flags if f.startswith("\\"))))
        tx.connection.execute(
            "INSERT OR REPLACE INTO import VALUES(?,?,?,?)", (_key(source), batch[-1].position, taken, skipped)
        )
    return taken, skipped


def _staged(account: Account, content: Content) -> Staged | None:
    return account.segments.stage(content) if content.size > BLOB_LIMIT else None


__all__ = ["Imported", "Letter", "Source", "forget", "run", "sources"]
