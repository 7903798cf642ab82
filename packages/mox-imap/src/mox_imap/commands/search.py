"""SEARCH (RFC 9051 6.4.4) with ESEARCH, SEARCHRES, PARTIAL (RFC 9394), MODSEQ (RFC 7162) and SAVEDATE (RFC 8514).

A key is compiled to a filter, and a filter takes the indexes of many messages and leaves those that match.  Filters
that ask little of a message come first, so that most messages are never opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from mox_imap import writer
from mox_imap.backend import Row
from mox_imap.commands.fetch import cut, partial
from mox_imap.commands.matching import body_matches, header_matches, text_matches
from mox_imap.scanner import MAX_ITEMS, MAX_NESTING, Scanner, SequenceSet, day_start
from mox_imap.server import BREATHE, Command, ImapServer, No, Yielded
from mox_imap.structure import NOT_KEPT
from mox_imap.view import View
from mox_message import Content, Fields, date

DAY = 86400.0
AT_ONCE = 500
# Octets of messages that are looked through before others get the loop.
HEAVY_AT_ONCE = 1024 * 1024
MAX_HEADER = 1024 * 1024

# What a filter has to look at: arrays, rows, a message's header, all of it.
ARRAYS, ROWS, HEADERS, TEXTS = range(4)
FLAG_KEYS = {
    "ANSWERED": (2, True), "DELETED": (8, True), "DRAFT": (16, True), "FLAGGED": (4, True), "SEEN": (1, True),
    "UNANSWERED": (2, False), "UNDELETED": (8, False), "UNDRAFT": (16, False), "UNFLAGGED": (4, False),
    "UNSEEN": (1, False),
}  # fmt: skip
OPTIONS = ("MIN", "MAX", "ALL", "COUNT", "SAVE", "PARTIAL")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).toordinal() * DAY


class Slice:
    """Some messages of a view; their rows are read at most once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._rows: dict[int, Row] = {}

    def rows(self, indexes: Sequence[int]) -> Iterator[tuple[int, Row]]:
        """(index, row) of those that are still to be had."""
        missing = [at for at in indexes if at not in self._rows]
        if missing:
            mailbox, uids = self.view.mailbox, self.view.uids
            there = {row.uid: row for row in mailbox.rows([uids[at] for at in missing])}
            for at in missing:
                row = there.get(uids[at]) or mailbox.gone_row(self.view.messages[at])
                if row is not None:
                    self._rows[at] = row
        for at in indexes:
            if at in self._rows:
                yield at, self._rows[at]

    def content(self, at: int) -> Content:
        """A message's bytes.  Raises BackendError."""
        return self.view.mailbox.content(self.view.messages[at])


Pick: TypeAlias = Callable[[Slice, Sequence[int]], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Filter:
    """Leaves those of ascending indexes that match; `cost` is what it has to look at.  `among`: no others do."""

    cost: int
    pick: Pick
    among: Sequence[int] | None = None


def _by_row(test: Callable[[Row], bool]) -> Filter:
    return Filter(ROWS, lambda some, indexes: [at for at, row in some.rows(indexes) if test(row)])


def _by_content(cost: int, test: Callable[[Content], bool]) -> Filter:
    return Filter(cost, lambda some, indexes: [at for at in indexes if test(some.content(at))])


def _all(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
    return indexes


def _none(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
    return ()


def _flag(mask: int, wanted: bool) -> Filter:
    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        flags = some.view.flags(indexes)
        if wanted:
            return [at for at, bits in zip(indexes, flags, strict=True) if bits & mask]
        return [at for at, bits in zip(indexes, flags, strict=True) if not bits & mask]

    return Filter(ARRAYS, pick)


def _and(filters: Sequence[Filter]) -> Filter:
    if len(filters) == 1:
        return filters[0]
    ordered = sorted(filters, key=lambda one: one.cost)

    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        for one in ordered:
            if not indexes:
                break
            indexes = one.pick(some, indexes)
        return indexes

    return Filter(ordered[-1].cost, pick)


def _or(left: Filter, right: Filter) -> Filter:
    if left.cost > right.cost:
        left, right = right, left

    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        found = left.pick(some, indexes)
        already = set(found)
        more = right.pick(some, [at for at in indexes if at not in already])
        return sorted([*found, *more]) if more else found

    return Filter(right.cost, pick)


def _not(inner: Filter) -> Filter:
    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        found = set(inner.pick(some, indexes))
        return [at for at in indexes if at not in found]

    return Filter(inner.cost, pick)


class _Compiler:
    """search-key, rule by rule."""

    def __init__(self, s: ImapServer, scan: Scanner) -> None:
        self._s = s
        self._scan = scan
        self._view = s.selected()
        self._count = 0
        self.modseq = False

    def program(self) -> list[Filter]:
        """search-program: the filters that must all match, the cheap ones first"""
        filters = [self.key(0)]
        while not self._scan.at_end:
            self._scan.sp()
            filters.append(self.key(0))
        return sorted(filters, key=lambda one: one.cost)

    def key(self, depth: int) -> Filter:
        """search-key"""
        scan = self._scan
        self._count += 1
        if depth > MAX_NESTING or self._count > MAX_ITEMS:
            raise scan.fail("the search is nested too deep or too long")
        if scan.take(b"("):
            filters = [self.key(depth + 1)]
            while not scan.take(b")"):
                scan.sp()
                filters.append(self.key(depth + 1))
            return _and(filters)
        if scan.at_set:
            return self._numbers(scan.sequence_set(), uid=False)
        name = scan.atom().upper()
        if name in FLAG_KEYS:
            return _flag(*FLAG_KEYS[name])
        if name == "NOT":
            scan.sp()
            return _not(self.key(depth + 1))
        if name == "OR":
            scan.sp()
            left = self.key(depth + 1)
            scan.sp()
            return _or(left, self.key(depth + 1))
        method = _KEYS.get(name)
        if method is None:
            raise scan.fail(f"no such search key {name[:40]}")
        return method(self)

    def _numbers(self, numbers: SequenceSet, *, uid: bool) -> Filter:
        # Evaluated now: what it means must not move while the search runs.
        indexes = self._view.indexes(numbers, uid=uid)
        chosen = indexes if isinstance(indexes, range) else frozenset(indexes)
        return Filter(ARRAYS, lambda some, given: [at for at in given if at in chosen], indexes)

    def uid(self) -> Filter:
        self._scan.sp()
        return self._numbers(self._scan.sequence_set(), uid=True)

    def keyword(self, *, wanted: bool) -> Filter:
        self._scan.sp()
        mask = self._view.mailbox.flag_bits([self._scan.flag_keyword()])
        return _flag(mask, wanted)

    def size(self, *, larger: bool) -> Filter:
        self._scan.sp()
        limit = self._scan.number()

        def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
            sizes = some.view.sizes(indexes)
            pairs = (
                zip(indexes, sizes, strict=True)
                if sizes is not None
                else ((at, row.size) for at, row in some.rows(indexes))
            )
            return [at for at, size in pairs if (size > limit if larger else size < limit)]

        return Filter(ARRAYS if self._view.indexed is not None else ROWS, pick)

    def changed(self) -> Filter:
        """MODSEQ (RFC 7162 3.1.5); the flag that may be named makes no difference here."""
        scan = self._scan
        scan.sp()
        if scan.peek(b'"'):
            scan.string()
            scan.sp()
            scan.atom()
            scan.sp()
        since = scan.number()
        self._s.condstore_used(scan)
        self.modseq = True

        def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
            modseqs = some.view.modseqs_of(indexes)
            return [at for at, modseq in zip(indexes, modseqs, strict=True) if modseq >= since]

        return Filter(ARRAYS, pick)

    # RFC 9051 6.4.4: dates compare "disregarding time and timezone", so the day as it is written counts.

    def day(self, moment: Callable[[Row], float | None], holds: Callable[[float, float], bool]) -> Filter:
        self._scan.sp()
        day = day_start(self._scan.date())

        def test(row: Row) -> bool:
            at = moment(row)
            return at is not None and holds(at, day)

        return _by_row(test)

    # -- texts

    def needle(self) -> str:
        self._scan.sp()
        return self._scan.text().casefold()

    def header(self, name: str) -> Filter:
        needle = self.needle()
        if name in NOT_KEPT:
            return _by_content(HEADERS, lambda content: header_matches(content.read(0, MAX_HEADER), name, needle))

        def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
            return [
                at
                for at, row in some.rows(indexes)
                if header_matches(row.header or some.content(at).read(0, MAX_HEADER), name, needle)
            ]

        return Filter(ROWS, pick)

    def any_header(self) -> Filter:
        self._scan.sp()
        return self.header(self._scan.text().lower())

    def body(self) -> Filter:
        needle = self.needle()
        return _by_content(TEXTS, lambda content: body_matches(content, needle))

    def text(self) -> Filter:
        needle = self.needle()
        return _by_content(TEXTS, lambda content: text_matches(content, needle))


def _received(row: Row) -> float:
    return row.received


def _saved_at(row: Row) -> float:
    return row.saved


def _sent(row: Row) -> float | None:
    text = Fields.parse(row.header).text("date") if row.header else None
    moment = date(text) if text else None
    return moment.toordinal() * DAY - _EPOCH if moment is not None else row.sent


def _before(at: float, day: float) -> bool:
    return at < day


def _on(at: float, day: float) -> bool:
    return day <= at < day + DAY


def _since(at: float, day: float) -> bool:
    return at >= day


_KEYS: dict[str, Callable[[_Compiler], Filter]] = {
    "ALL": lambda c: Filter(ARRAYS, _all),
    # Nothing is ever \Recent here (RFC 9051 has no such flag), so everything is old.
    "OLD": lambda c: Filter(ARRAYS, _all),
    "NEW": lambda c: Filter(ARRAYS, _none),
    "RECENT": lambda c: Filter(ARRAYS, _none),
    "KEYWORD": lambda c: c.keyword(wanted=True),
    "UNKEYWORD": lambda c: c.keyword(wanted=False),
    "UID": _Compiler.uid,
    "LARGER": lambda c: c.size(larger=True),
    "SMALLER": lambda c: c.size(larger=False),
    "MODSEQ": _Compiler.changed,
    "BEFORE": lambda c: c.day(_received, _before),
    "ON": lambda c: c.day(_received, _on),
    "SINCE": lambda c: c.day(_received, _since),
    "SENTBEFORE": lambda c: c.day(_sent, _before),
    "SENTON": lambda c: c.day(_sent, _on),
    "SENTSINCE": lambda c: c.day(_sent, _since),
    "SAVEDBEFORE": lambda c: c.day(_saved_at, _before),
    "SAVEDON": lambda c: c.day(_saved_at, _on),
    "SAVEDSINCE": lambda c: c.day(_saved_at, _since),
    "SAVEDATESUPPORTED": lambda c: Filter(ARRAYS, _all),
    "FROM": lambda c: c.header("from"),
    "TO": lambda c: c.header("to"),
    "CC": lambda c: c.header("cc"),
    "BCC": lambda c: c.header("bcc"),
    "SUBJECT": lambda c: c.header("subject"),
    "HEADER": _Compiler.any_header,
    "BODY": _Compiler.body,
    "TEXT": _Compiler.text,
}


@dataclass(frozen=True, slots=True)
class Returns:
    """search-return-opts"""

    options: frozenset[str] = frozenset()
    span: tuple[int, int] | None = None
    given: bool = False


def search(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.4"""
    scan.sp()
    returns = Returns(frozenset({"ALL"}) if s.rev2 else frozenset())
    if scan.take(b"RETURN "):
        returns = _returns(scan)
        scan.sp()
    if scan.take(b"CHARSET "):
        charset = scan.astring().upper()
        if charset not in (b"UTF-8", b"US-ASCII"):
            raise No("BADCHARSET (UTF-8 US-ASCII)", "texts are UTF-8")
        scan.sp()
    compiler = _Compiler(s, scan)
    filters = compiler.program()
    scan.end()
    view = s.selected()
    if "SAVE" in returns.options:
        view.saved = ()  # RFC 9051 6.4.4.1: what fails leaves an empty result
    found: list[int] = []
    yield from _scan(view, filters, found)
    highest = _highest(view, found, returns) if compiler.modseq and found else 0
    if "SAVE" in returns.options:
        view.saved = tuple(view.uids[at] for at in _saved(found, returns))
    numbers = [view.uids[at] for at in found] if uid else [at + 1 for at in found]
    if not returns.given and not s.rev2:
        modseq = b" (MODSEQ %d)" % highest if highest else b""
        yield b"* SEARCH" + b"".join([b" %d" % number for number in numbers]) + modseq + b"\r\n"
    elif returns.options != {"SAVE"}:
        yield _esearch(s, numbers, returns, highest, uid=uid)
    return None


def _highest(view: View, found: list[int], returns: Returns) -> int:
    """RFC 7162 3.1.5, 3.1.10: of the messages that the answer tells of."""
    ends = [found[at] for name, at in (("MIN", 0), ("MAX", -1)) if name in returns.options]
    some = found if returns.options & {"ALL", "COUNT"} or not ends else ends
    return max(view.modseqs_of(some))


def _saved(found: list[int], returns: Returns) -> Sequence[int]:
    """RFC 9051 6.4.4.1, RFC 9394 3.2: with MIN, MAX or PARTIAL only, those are what is saved."""
    options = returns.options
    if options & {"ALL", "COUNT"} or not options & {"MIN", "MAX", "PARTIAL"} or not found:
        return found
    kept = {*(found[:1] if "MIN" in options else ()), *(found[-1:] if "MAX" in options else ())}
    if returns.span is not None:
        kept.update(cut(found, returns.span))
    return sorted(kept)


def _returns(scan: Scanner) -> Returns:
    scan.expect(b"(")
    found: set[str] = set()
    span: tuple[int, int] | None = None
    while not scan.take(b")"):
        if found:
            scan.sp()
        word = scan.atom().upper()
        if word not in OPTIONS or word in found:
            raise scan.fail(f"no such return option {word[:40]}")
        if word == "PARTIAL":
            scan.sp()
            span = partial(scan)
        found.add(word)
    if {"PARTIAL", "ALL"} <= found:
        raise scan.fail("PARTIAL and ALL exclude each other")
    return Returns(frozenset(found or {"ALL"}), span, given=True)


def _scan(view: View, filters: Sequence[Filter], found: list[int]) -> Iterator[Yielded]:
    cheap = _and(list(filters[:1]) + [one for one in filters[1:] if one.cost < HEADERS])
    heavy = [one for one in filters if one.cost >= HEADERS]
    if cheap.cost >= HEADERS:
        cheap = Filter(ARRAYS, _all)
    step = AT_ONCE if cheap.cost == ROWS or heavy else 10 * AT_ONCE
    every: Sequence[int] = min(
        (one.among for one in filters if one.among is not None), key=len, default=range(len(view))
    )
    for start in range(0, len(every), step):
        if start:
            yield BREATHE
        some = Slice(view)
        left = cheap.pick(some, every[start : start + step])
        if not heavy:
            found += left
            continue
        both = _and(heavy)
        for group in _groups(view, left):
            found += both.pick(some, group)
            yield BREATHE


def _groups(view: View, indexes: Sequence[int]) -> Iterator[Sequence[int]]:
    """Messages of some HEAVY_AT_ONCE octets together."""
    sizes = view.sizes(indexes)
    if sizes is None:
        sizes = [HEAVY_AT_ONCE // 20] * len(indexes)
    group: list[int] = []
    octets = 0
    for at, size in zip(indexes, sizes, strict=True):
        group.append(at)
        octets += size
        if octets >= HEAVY_AT_ONCE:
            yield group
            group, octets = [], 0
    if group:
        yield group


def _esearch(s: ImapServer, numbers: list[int], returns: Returns, highest: int, *, uid: bool) -> bytes:
    options = returns.options
    parts = [b"* ESEARCH (TAG %s)" % writer.string(s.tag.encode())]
    if uid:
        parts.append(b"UID")
    if numbers and "MIN" in options:
        parts.append(b"MIN %d" % numbers[0])
    if numbers and "MAX" in options:
        parts.append(b"MAX %d" % numbers[-1])
    if "COUNT" in options:
        parts.append(b"COUNT %d" % len(numbers))
    if numbers and "ALL" in options:
        parts.append(b"ALL " + writer.sequence_set(numbers))
    if returns.span is not None:
        some = cut(numbers, returns.span)
        low, high = returns.span if returns.span[0] > 0 else returns.span[::-1]
        parts.append(b"PARTIAL (%d:%d %s)" % (low, high, writer.sequence_set(some) if some else b"NIL"))
    if highest:
        parts.append(b"MODSEQ %d" % highest)
    return b" ".join(parts) + b"\r\n"
