"""search-key (RFC 9051 6.4.4), compiled to filters; with MODSEQ (RFC 7162), SAVEDATE (RFC 8514), WITHIN (RFC 5032),
OBJECTID (RFC 8474) and FILTERS (RFC 5466)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from mox_imap.backend import Row
from mox_imap.commands.filters import (
    ARRAYS,
    HEADERS,
    ROWS,
    TEXTS,
    Filter,
    Slice,
    both,
    by_content,
    by_row,
    either,
    everything,
    flag,
    neither,
)
from mox_imap.commands.matching import body_matches, header_matches, text_matches
from mox_imap.extensions import Annotated
from mox_imap.scanner import MAX_ITEMS, MAX_NESTING, CommandSyntaxError, Scanner, SequenceSet, day_start
from mox_imap.server import ImapServer, No
from mox_imap.structure import NOT_KEPT
from mox_imap.view import View
from mox_message import Content, Fields, date

DAY = 86400.0
MAX_HEADER = 1024 * 1024
# How deep filters may name filters.
MAX_FILTERS = 5
FLAG_KEYS = {
    "ANSWERED": (2, True), "DELETED": (8, True), "DRAFT": (16, True), "FLAGGED": (4, True), "SEEN": (1, True),
    "UNANSWERED": (2, False), "UNDELETED": (8, False), "UNDRAFT": (16, False), "UNFLAGGED": (4, False),
    "UNSEEN": (1, False),
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).toordinal() * DAY


class Compiler:
    """search-key, rule by rule."""

    def __init__(self, s: ImapServer, scan: Scanner, view: View, *, live: bool = False) -> None:
        """`live`: the filters will be asked again, when numbers mean other messages (RFC 5267)."""
        self._s = s
        self._scan = scan
        self._view = view
        self._live = live
        self._count = 0
        self._filters = 0
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
            return both(filters)
        if scan.at_set:
            return self._numbers(scan.sequence_set(), uid=False)
        name = scan.atom().upper()
        if name in FLAG_KEYS:
            return flag(*FLAG_KEYS[name])
        if name == "NOT":
            scan.sp()
            return neither(self.key(depth + 1))
        if name == "OR":
            scan.sp()
            left = self.key(depth + 1)
            scan.sp()
            return either(left, self.key(depth + 1))
        method = _KEYS.get(name)
        if method is None:
            raise scan.fail(f"no such search key {name[:40]}")
        return method(self)

    def _numbers(self, numbers: SequenceSet, *, uid: bool) -> Filter:
        if self._s.uidonly and not uid and not numbers.saved:
            raise CommandSyntaxError(self._scan.at, "messages go by UID now", "UIDREQUIRED")
        if self._live:
            return self._lasting(numbers, uid=uid)
        # Evaluated now: what it means must not move while the search runs.
        indexes = self._view.indexes(numbers, uid=uid)
        chosen = indexes if isinstance(indexes, range) else frozenset(indexes)
        return Filter(ARRAYS, lambda some, given: [at for at in given if at in chosen], indexes)

    def _lasting(self, numbers: SequenceSet, *, uid: bool) -> Filter:
        """Uids mean what they mean at the time; sequence numbers, the messages that have them now."""
        view = self._view
        now = view.indexes(numbers, uid=uid)
        if uid and not numbers.saved:

            def pick(some: Slice, given: Sequence[int]) -> Sequence[int]:
                within = frozenset(view.indexes(numbers, uid=True))
                return [at for at in given if at in within]

            return Filter(ARRAYS, pick, now)
        uids = frozenset(view.uids[at] for at in now)
        return Filter(ARRAYS, lambda some, given: [at for at in given if view.uids[at] in uids], now)

    def uid(self) -> Filter:
        self._scan.sp()
        return self._numbers(self._scan.sequence_set(), uid=True)

    def keyword(self, *, wanted: bool) -> Filter:
        self._scan.sp()
        mask = self._view.mailbox.flag_bits([self._scan.flag_keyword()])
        return flag(mask, wanted)

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

    def age(self, *, older: bool) -> Filter:
        """OLDER and YOUNGER (RFC 5032), in seconds"""
        self._scan.sp()
        seconds, clock = self._scan.nz_number(), self._s.clock
        if clock is None:
            raise self._scan.fail("WITHIN is not to be had")

        def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
            since = clock() - seconds
            return [at for at, row in some.rows(indexes) if (row.received <= since if older else row.received >= since)]

        return Filter(ROWS, pick)

    def object_id(self, value: Callable[[Row], str]) -> Filter:
        """EMAILID and THREADID (RFC 8474 5.3)"""
        if not self._s.offers("OBJECTID"):
            raise self._scan.fail("OBJECTID is not to be had")
        self._scan.sp()
        wanted = self._scan.atom()
        return by_row(lambda row: value(row) == wanted)

    def stored(self) -> Filter:
        """FILTER (RFC 5466 3.1): a search that was given a name; its own account's before everybody's."""
        scan, account = self._scan, self._s.account
        if not isinstance(account, Annotated):
            raise scan.fail("FILTERS is not to be had")
        scan.sp()
        name = scan.atom()
        self._filters += 1
        values = account.annotations("")
        text = next((values[e] for e in (f"/{w}/filters/values/{name.lower()}" for w in ("private", "shared"))
                     if e in values), None)  # fmt: skip
        if text is None or self._filters > MAX_FILTERS:
            raise No(f"UNDEFINED-FILTER {name}", "no such filter")
        self._scan = Scanner(text.removesuffix(b"\r\n") + b"\r\n", utf8=True)
        try:
            found = both(self.program())
            self._scan.end()
        except CommandSyntaxError as error:
            raise No(f"UNDEFINED-FILTER {name}", f"the filter is no search: {error}") from None
        finally:
            self._scan = scan
        return found

    # RFC 9051 6.4.4: dates compare "disregarding time and timezone", so the day as it is written counts.

    def day(self, moment: Callable[[Row], float | None], holds: Callable[[float, float], bool]) -> Filter:
        self._scan.sp()
        day = day_start(self._scan.date())

        def test(row: Row) -> bool:
            at = moment(row)
            return at is not None and holds(at, day)

        return by_row(test)

    # -- texts

    def needle(self) -> str:
        self._scan.sp()
        return self._scan.text().casefold()

    def header(self, name: str) -> Filter:
        needle = self.needle()
        if name in NOT_KEPT:
            return by_content(HEADERS, lambda content: header_matches(content.read(0, MAX_HEADER), name, needle))

        def in_header(some: Slice, at: int, row: Row) -> bool:
            return header_matches(row.header or some.content(at).read(0, MAX_HEADER), name, needle)

        def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
            if name == "subject" and needle:
                cells = some.view.cells(indexes, ("subject",))
                if cells is not None:
                    return [at for at, text in zip(indexes, cells[0], strict=True) if needle in text.casefold()]
                return [
                    at
                    for at, row in some.rows(indexes)
                    if (needle in row.subject if row.subject is not None else in_header(some, at, row))
                ]
            return [at for at, row in some.rows(indexes) if in_header(some, at, row)]

        return Filter(ROWS, pick)

    def any_header(self) -> Filter:
        self._scan.sp()
        return self.header(self._scan.text().lower())

    def body(self) -> Filter:
        needle = self.needle()
        return _in_texts(lambda content, structure: body_matches(content, needle, structure))

    def text(self) -> Filter:
        needle = self.needle()
        return _in_texts(lambda content, structure: text_matches(content, needle, structure))


def _in_texts(test: Callable[[Content, bytes], bool]) -> Filter:
    """`test` is given a message and its BODYSTRUCTURE."""

    def pick(some: Slice, indexes: Sequence[int]) -> Sequence[int]:
        cells = some.view.cells(indexes, ("bodystructure", "prefix", "data"))
        if cells is None:
            return [at for at, row in some.rows(indexes) if test(some.content(at), row.bodystructure)]
        return [
            at
            for at, structure, prefix, data in zip(indexes, *cells, strict=True)
            if test(Content.of(prefix + data) if data is not None else some.content(at), structure)
        ]

    return Filter(TEXTS, pick)


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


_KEYS: dict[str, Callable[[Compiler], Filter]] = {
    "ALL": lambda c: Filter(ARRAYS, everything),
    # RFC 3501 6.4.4; RFC 9051 has no \Recent, and there everything is old.
    "OLD": lambda c: Filter(ARRAYS, lambda some, indexes: some.view.not_recent(indexes)),
    "NEW": lambda c: both([Filter(ARRAYS, lambda some, indexes: some.view.recent(indexes)), flag(1, False)]),
    "RECENT": lambda c: Filter(ARRAYS, lambda some, indexes: some.view.recent(indexes)),
    "KEYWORD": lambda c: c.keyword(wanted=True),
    "UNKEYWORD": lambda c: c.keyword(wanted=False),
    "UID": Compiler.uid,
    "LARGER": lambda c: c.size(larger=True),
    "SMALLER": lambda c: c.size(larger=False),
    "MODSEQ": Compiler.changed,
    "BEFORE": lambda c: c.day(_received, _before),
    "ON": lambda c: c.day(_received, _on),
    "SINCE": lambda c: c.day(_received, _since),
    "SENTBEFORE": lambda c: c.day(_sent, _before),
    "SENTON": lambda c: c.day(_sent, _on),
    "SENTSINCE": lambda c: c.day(_sent, _since),
    "SAVEDBEFORE": lambda c: c.day(_saved_at, _before),
    "SAVEDON": lambda c: c.day(_saved_at, _on),
    "SAVEDSINCE": lambda c: c.day(_saved_at, _since),
    "SAVEDATESUPPORTED": lambda c: Filter(ARRAYS, everything),
    "OLDER": lambda c: c.age(older=True),
    "YOUNGER": lambda c: c.age(older=False),
    "EMAILID": lambda c: c.object_id(lambda row: row.email_id),
    "THREADID": lambda c: c.object_id(lambda row: row.thread_id),
    "FILTER": Compiler.stored,
    "FROM": lambda c: c.header("from"),
    "TO": lambda c: c.header("to"),
    "CC": lambda c: c.header("cc"),
    "BCC": lambda c: c.header("bcc"),
    "SUBJECT": lambda c: c.header("subject"),
    "HEADER": Compiler.any_header,
    "BODY": Compiler.body,
    "TEXT": Compiler.text,
}
