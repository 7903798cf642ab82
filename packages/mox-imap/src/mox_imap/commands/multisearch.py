"""ESEARCH, the command: a search of several mailboxes (RFC 7377)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

from mox_imap.backend import BackendError, Mailbox
from mox_imap.commands.filters import scan as look
from mox_imap.commands.keys import Compiler
from mox_imap.commands.mailbox import name_bytes
from mox_imap.commands.results import Returns, esearch, highest, returns
from mox_imap.commands.search import charset
from mox_imap.extensions import is_personal
from mox_imap.scanner import MAX_ITEMS, Scanner
from mox_imap.server import Command, ImapServer
from mox_imap.view import View

PERSONAL = ("PERSONAL", "INBOXES", "SUBSCRIBED")


def multisearch(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 7377 2"""
    names: list[str] | None = None
    if scan.take(b" IN ("):
        names = _sources(s, scan)
    scan.sp()
    wanted = Returns(frozenset({"ALL"}), given=True)
    if scan.take(b"RETURN "):
        wanted = returns(scan)
        scan.sp()
    if wanted.options & {"SAVE", "UPDATE", "CONTEXT"}:
        # RFC 7377 2.2 allows SAVE for one mailbox that is selected; SEARCH does that already.
        raise scan.fail("SAVE, UPDATE and CONTEXT are for SEARCH")
    if scan.take(b"CHARSET "):
        charset(scan)
        scan.sp()
    begin = scan.at
    if names is None:
        if s.view is None:
            raise scan.fail("without IN, a mailbox must be selected")
        names = [s.view.mailbox.name]
    for view in _views(s, names):
        scan.skip_to(begin)
        compiler = Compiler(s, scan, view)
        filters = compiler.program()
        scan.end()
        found: list[int] = []
        yield from look(view, filters, found, most=s.config.message_limit)
        if not found:
            continue  # RFC 7377 2.1: nothing is said of a mailbox where nothing was found
        modseq = highest(view, found, wanted) if compiler.modseq else 0
        where = b" MAILBOX %s UIDVALIDITY %d" % (name_bytes(s, view.mailbox.name), view.mailbox.uidvalidity)
        yield esearch(s.tag, [view.uids[at] for at in found], wanted, modseq, uid=True, where=where)
    if not names:
        Compiler(s, scan, View(cast(Mailbox, _Nothing()))).program()  # the grammar holds all the same
        scan.end()
    return None


class _Nothing:
    """A mailbox to read a search for, when there is none."""

    def keywords(self) -> tuple[str, ...]:
        return ()

    def entries(self) -> tuple[tuple[int, int, int], ...]:
        return ()

    def flag_bits(self, names: object) -> int:
        return 0


def _views(s: ImapServer, names: list[str]) -> Iterator[View]:
    """Each mailbox, open for as long as it is looked at; those that are gone are left out."""
    assert s.account is not None
    for name in names:
        if s.view is not None and s.view.mailbox.name == name:
            yield s.view
            continue
        try:
            mailbox = s.account.open(name, lambda: None)
        except BackendError:
            continue
        try:
            yield View(mailbox)
        finally:
            mailbox.close()


def _sources(s: ImapServer, scan: Scanner) -> list[str]:
    """source-mbox, as names of mailboxes that are there, each once"""
    assert s.account is not None
    there = [info.name for info in s.account.mailboxes()]
    subscribed = frozenset(s.account.subscriptions())
    found: dict[str, None] = {}
    first = True
    while first or not scan.take(b")"):
        if not first:
            scan.sp()
        first = False
        kind = scan.atom().upper()
        if kind in ("SELECTED", "SELECTED-DELAYED"):
            if s.view is not None:
                found[s.view.mailbox.name] = None
        elif kind in PERSONAL:
            meant: dict[str, Callable[[str], bool]] = {
                "PERSONAL": lambda name: is_personal(s.account, name),
                "INBOXES": lambda name: name == "Inbox",
                "SUBSCRIBED": lambda name: name in subscribed,
            }
            found.update((name, None) for name in there if meant[kind](name))
        elif kind in ("MAILBOXES", "SUBTREE", "SUBTREE-ONE"):
            scan.sp()
            wanted = _names(scan)
            found.update((name, None) for name in there if any(_below(name, one, kind) for one in wanted))
        else:
            raise scan.fail(f"no such mailboxes {kind[:40]}")
    return list(found)


def _below(name: str, one: str, kind: str) -> bool:
    if name == one:
        return True
    if kind == "MAILBOXES" or not name.startswith(one + "/"):
        return False
    return kind == "SUBTREE" or "/" not in name[len(one) + 1 :]


def _names(scan: Scanner) -> list[str]:
    if not scan.take(b"("):
        return [scan.mailbox()]
    found = [scan.mailbox()]
    while not scan.take(b")"):
        scan.sp()
        found.append(scan.mailbox())
        if len(found) > MAX_ITEMS:
            raise scan.fail("too many mailboxes")
    return found
