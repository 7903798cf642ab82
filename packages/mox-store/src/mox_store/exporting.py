"""Mail from an account into files: a maildir tree, or one mbox file for each mailbox; going on where it was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mox_store import maildir, mbox
from mox_store.account import Account
from mox_store.mailbox import Mailbox

Format = Literal["maildir", "mbox"]


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
    """Exports the named mailboxes, or all; blocks.  What is there already is not written again.  Raises StoreError and
    OSError."""
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
    view, count = account.open_view(mailbox.id), 0
    try:
        flags = dict(zip(view.uids, view.flags, strict=True))
        for row in account.rows(mailbox.id, list(flags)):
            name = maildir.name_of(row.uid, mailbox.uidvalidity, row.received, tuple(mailbox.names(flags[row.uid])))
            if name.partition(":")[0] not in there:
                maildir.write(folder, name, account.content(row.message), row.received)
            count += 1
    finally:
        account.close_view(view)
    return Exported(mailbox.name, str(folder), count)


def _mbox(account: Account, mailbox: Mailbox, root: Path) -> Exported:
    """Written beside its name first: a file under its own name is whole."""
    path = root.joinpath(*(_safe(part) for part in mailbox.name.split("/")))
    path = path.with_name(path.name + ".mbox")
    if path.exists():
        return Exported(mailbox.name, str(path), mailbox.total)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".part")
    view, count = account.open_view(mailbox.id), 0
    try:
        flags = dict(zip(view.uids, view.flags, strict=True))
        with temporary.open("wb") as file:
            for row in account.rows(mailbox.id, list(flags)):
                mbox.write(file, account.content(row.message), row.received, tuple(mailbox.names(flags[row.uid])))
                count += 1
            file.flush()
            os.fsync(file.fileno())
    finally:
        account.close_view(view)
    temporary.rename(path)
    return Exported(mailbox.name, str(path), count)
