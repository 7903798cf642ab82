"""Is on the disk what was acknowledged?  Reads the lines of load.py and opens the account that it left behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import mox_store
from faults.load import TARGET, message
from mox_store import check


@dataclass(slots=True)
class Fate:
    """What was said about one message."""

    tried: set[str] = field(default_factory=set)
    did: dict[str, int] = field(default_factory=dict)  # operation -> uid


def fates(lines: Iterable[str]) -> dict[str, Fate]:
    """The lines of load.py, by token."""
    found: dict[str, Fate] = {}
    for line in lines:
        verb, operation, token, *rest = line.split()
        fate = found.setdefault(token, Fate())
        if verb == "try":
            fate.tried.add(operation)
        else:
            fate.did[operation] = int(rest[0])
    return found


class Rebuilt(mox_store.Disk):
    """For looking at copies: nothing need be durable."""

    def connect(self, path: Path) -> sqlite3.Connection:
        db = super().connect(path)
        db.execute("PRAGMA synchronous=OFF")
        return db

    def sync(self, descriptor: int) -> None:
        """Not needed."""

    def sync_folder(self, folder: Path) -> None:
        """Not needed."""


def audit(folder: Path, lines: Iterable[str], *, disk: mox_store.Disk | None = None) -> list[str]:
    """Opens the account below `folder`; everything that is not as it was acknowledged."""
    store = mox_store.Store(folder, clock=lambda: 1_700_000_000.0, disk=disk or Rebuilt())
    account = store.open("kim")
    try:
        report = check.check(account)
        wrong = [] if report.clean else [report.explain()]
        return wrong + _missing(account, fates(lines))
    finally:
        store.close()


def _missing(account: mox_store.Account, said: dict[str, Fate]) -> list[str]:
    wrong: list[str] = []
    there: dict[str, list[tuple[str, int, int]]] = {}
    uidnext: dict[str, int] = {}
    for mailbox in account.mailboxes():
        view = account.open_view(mailbox.id)
        uidnext[mailbox.name] = mailbox.uidnext
        bits = dict(zip(view.uids, view.flags, strict=True))
        for row in account.rows(mailbox.id, view.uids):
            there.setdefault(row.subject, []).append((mailbox.name, row.uid, bits[row.uid]))
            whole = account.content(row.message).read()
            if whole != f"Delivered-To: {row.subject}@example.org\r\n".encode() + message(row.subject):
                wrong.append(f"{row.subject}: {len(whole)} bytes that were never sent")
        account.close_view(view)
    for token, fate in said.items():
        wrong += [f"{token}: {what}" for what in _judge(fate, there.pop(token, []), uidnext)]
    return wrong + [f"{token} came from nowhere" for token in there]


def _judge(fate: Fate, found: list[tuple[str, int, int]], uidnext: dict[str, int]) -> list[str]:
    wrong: list[str] = []
    if len(found) > 1:
        wrong.append(f"there {len(found)} times: {found}")
    if "add" in fate.did and "expunge" not in fate.tried and not found:
        wrong.append("acknowledged, and gone")
    if "expunge" in fate.did and found:
        wrong.append(f"acknowledged as expunged, and there: {found}")
    if "add" in fate.did and uidnext["Inbox"] <= fate.did["add"]:
        wrong.append(f"uid {fate.did['add']} could be given again")
    for mailbox, uid, flags in found:
        if "flag" in fate.did and not flags & mox_store.Flag.FLAGGED:
            wrong.append("lost its flag")
        if "move" in fate.did and (mailbox, uid) != (TARGET, fate.did["move"]):
            wrong.append(f"acknowledged as moved to uid {fate.did['move']}, and in {mailbox} as {uid}")
        if mailbox == "Inbox" and uid != fate.did.get("add", uid):
            wrong.append(f"has uid {uid}, was given {fate.did['add']}")
    return wrong
