"""SEARCH (RFC 9051 6.4.4) and SORT (RFC 5256, RFC 5267), with results that are kept up to date (RFC 5267)."""

from __future__ import annotations

from collections.abc import Sequence

from mox_imap.commands.contexts import MAX_CONTEXTS, Live
from mox_imap.commands.filters import Filter, candidates
from mox_imap.commands.filters import scan as look
from mox_imap.commands.keys import Compiler
from mox_imap.commands.results import Returns, esearch, highest, returns, saved
from mox_imap.commands.sorting import Criterion, criteria, learn, ordered
from mox_imap.scanner import Scanner
from mox_imap.server import Command, ImapServer, No
from mox_imap.view import View


def charset(scan: Scanner) -> None:
    """A charset of ours.  Raises No."""
    if scan.astring().upper() not in (b"UTF-8", b"US-ASCII"):
        raise No("BADCHARSET (UTF-8 US-ASCII)", "texts are UTF-8")


def search(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.4"""
    scan.sp()
    wanted = Returns(frozenset({"ALL"}) if s.rev2 else frozenset())
    if scan.take(b"RETURN "):
        wanted = returns(scan)
        scan.sp()
    if scan.take(b"CHARSET "):
        charset(scan)
        scan.sp()
    return (yield from _found(s, scan, wanted, (), uid=uid))


def sort(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 5256 3, RFC 5957; with RETURN, RFC 5267 3"""
    scan.sp()
    wanted = Returns()
    if scan.take(b"RETURN "):
        wanted = returns(scan)
        scan.sp()
    order = criteria(scan)
    scan.sp()
    charset(scan)
    scan.sp()
    return (yield from _found(s, scan, wanted, order, uid=uid))


def _found(s: ImapServer, scan: Scanner, wanted: Returns, order: tuple[Criterion, ...], *, uid: bool) -> Command:
    view = s.selected()
    live = "UPDATE" in wanted.options
    compiler = Compiler(s, scan, view, live=live)
    filters = compiler.program()
    scan.end()
    if "SAVE" in wanted.options:
        view.saved = ()  # RFC 9051 6.4.4.1: what fails leaves an empty result
    found: list[int] = []
    limit = s.config.message_limit
    yield from look(view, filters, found, most=limit)
    if order:
        yield from learn(view, found)
        found = ordered(view, found, order)
    modseq = highest(view, found, wanted) if compiler.modseq and found else 0
    if "SAVE" in wanted.options:
        view.saved = tuple(view.uids[at] for at in saved(found, wanted))
    numbers = [view.uids[at] for at in found] if uid else [at + 1 for at in found]
    if wanted.given or (s.rev2 and not order):
        if wanted.tells:
            yield esearch(s.tag, numbers, wanted, modseq, uid=uid)
    else:
        word = b"* SORT" if order else b"* SEARCH"
        told = b" (MODSEQ %d)" % modseq if modseq else b""
        yield word + b"".join([b" %d" % number for number in numbers]) + told + b"\r\n"
    if live:
        yield _keep(s, view, filters, order, found, uid=uid)
    return _limited(view, filters, limit)


def _limited(view: View, filters: Sequence[Filter], limit: int) -> str | None:
    """RFC 9738 3.1: the lowest uid that was looked at, when not all were."""
    every = candidates(view, filters) if limit else ()
    return f"[MESSAGELIMIT {limit} {view.uids[every[-limit]]}] done in part" if len(every) > limit else None


def _keep(
    s: ImapServer,
    view: View,
    filters: Sequence[Filter],
    order: tuple[Criterion, ...],
    found: Sequence[int],
    *,
    uid: bool,
) -> bytes:
    if len(view.contexts) >= MAX_CONTEXTS or any(one.tag == s.tag for one in view.contexts):
        # RFC 5267 4.3.1: the search is done, only not kept up to date.
        return b'* NO [NOUPDATE "%s"] at most %d searches are kept up to date\r\n' % (s.tag.encode(), MAX_CONTEXTS)
    view.contexts.append(Live(s.tag, view, filters, order, [view.uids[at] for at in found], uid=uid))
    return b""


def cancel_update(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """CANCELUPDATE (RFC 5267 4.3.5)"""
    tags: set[str] = set()
    while scan.take(b" "):
        tags.add(scan.string().decode("utf-8", "replace"))
    scan.end()
    if not tags:
        raise scan.fail("a tag is expected")
    view = s.selected()
    known = {one.tag for one in view.contexts}
    if not tags <= known:
        raise scan.fail("no such search is kept up to date")
    view.contexts = [one for one in view.contexts if one.tag not in tags]
    yield b""
    return None
