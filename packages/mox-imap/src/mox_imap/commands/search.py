"""SEARCH (RFC 9051 6.4.4) with ESEARCH and SEARCHRES: flags and numbers from arrays, the rest message by message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mox_imap import writer
from mox_imap.backend import Row
from mox_imap.scanner import MAX_ITEMS, MAX_NESTING, Scanner, SequenceSet, day_start
from mox_imap.server import BREATHE, Command, ImapServer, No, Yielded
from mox_imap.structure import NOT_KEPT
from mox_imap.view import View
from mox_message import Content, Fields, decode, parse

DAY = 86400.0
TEXT_SLICE = 20
MAX_DECODED = 4 * 1024 * 1024

Test: TypeAlias = Callable[["Candidate"], bool]
FLAG_KEYS = {
    "ANSWERED": (2, True), "DELETED": (8, True), "DRAFT": (16, True), "FLAGGED": (4, True), "SEEN": (1, True),
    "UNANSWERED": (2, False), "UNDELETED": (8, False), "UNDRAFT": (16, False), "UNFLAGGED": (4, False), "UNSEEN": (1, False),
}  # fmt: skip


class Candidate:
    """One message, looked at as far as a key needs it."""

    __slots__ = ("_content", "_fields", "_row", "at", "uid", "view")

    def __init__(self, view: View, at: int) -> None:
        self.view = view
        self.at = at
        self.uid = view.uids[at]
        self._row: Row | None = None
        self._content: Content | None = None
        self._fields: Fields | None = None

    @property
    def bits(self) -> int:
        """Flags now, or as last told when it is gone."""
        bits = self.view.mailbox.bits(self.uid)
        return self.view.told[self.at] if bits is None else bits

    @property
    def row(self) -> Row:
        """Its row.  Raises No when the message has gone for good."""
        if self._row is None:
            mailbox = self.view.mailbox
            self._row = next(iter(mailbox.rows([self.uid])), None) or mailbox.gone_row(self.view.messages[self.at])
            if self._row is None:
                raise No("EXPUNGEISSUED", "a message is gone")
        return self._row

    @property
    def content(self) -> Content:
        """Its bytes."""
        if self._content is None:
            self._content = self.view.mailbox.content(self.view.messages[self.at])
        return self._content

    def fields(self, name: str) -> Sequence[str]:
        """The unfolded values of a field."""
        if self._fields is None or (name in NOT_KEPT):
            kept = self.row.header
            data = kept + b"\r\n" if kept and name not in NOT_KEPT else self.content.read(0, 1024 * 1024)
            self._fields = Fields.parse(data)
        return [field.text for field in self._fields.all(name)]


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled search: the test, and whether it opens messages."""

    test: Test
    heavy: bool


class _Compiler:
    def __init__(self, s: ImapServer, scan: Scanner) -> None:
        self._s = s
        self._scan = scan
        self._view = s.selected()
        self._count = 0
        self.heavy = False

    def all(self) -> Test:
        """search-key *(SP search-key)"""
        tests = [self.key(0)]
        while not self._scan.at_end:
            self._scan.sp()
            tests.append(self.key(0))
        return _and(tests)

    def key(self, depth: int) -> Test:
        """search-key"""
        scan = self._scan
        self._count += 1
        if depth > MAX_NESTING or self._count > MAX_ITEMS:
            raise scan.fail("a search that is nested too deep or too long")
        if scan.take(b"("):
            tests = [self.key(depth + 1)]
            while not scan.take(b")"):
                scan.sp()
                tests.append(self.key(depth + 1))
            return _and(tests)
        if scan.peek(b"$") or scan.peek(b"*") or any(scan.peek(b"%d" % digit) for digit in range(10)):
            return self._numbers(scan.sequence_set(), uid=False)
        name = scan.atom().upper()
        if name in FLAG_KEYS:
            bit, wanted = FLAG_KEYS[name]
            return lambda c: bool(c.bits & bit) == wanted
        method = getattr(self, "_key_" + name.lower(), None)
        if method is None:
            raise scan.fail(f"no such search key {name[:40]}")
        test: Test = method(depth)
        return test

    def _numbers(self, numbers: SequenceSet, *, uid: bool) -> Test:
        indexes = self._view.indexes(numbers, uid=uid)
        if indexes is None:
            raise self._scan.fail("no such sequence number")
        chosen = frozenset(indexes)
        return lambda c: c.at in chosen

    # -- keys without arguments

    def _key_all(self, depth: int) -> Test:
        return lambda c: True

    def _key_old(self, depth: int) -> Test:
        return lambda c: True  # nothing is ever \Recent here

    def _key_new(self, depth: int) -> Test:
        return lambda c: False

    _key_recent = _key_new

    # -- combinations

    def _key_not(self, depth: int) -> Test:
        self._scan.sp()
        inner = self.key(depth + 1)
        return lambda c: not inner(c)

    def _key_or(self, depth: int) -> Test:
        self._scan.sp()
        left = self.key(depth + 1)
        self._scan.sp()
        right = self.key(depth + 1)
        return lambda c: left(c) or right(c)

    # -- flags, sizes, numbers

    def _key_keyword(self, depth: int) -> Test:
        self._scan.sp()
        bits = self._view.mailbox.flag_bits([self._scan.atom()])
        return lambda c: bool(bits) and bool(c.bits & bits)

    def _key_unkeyword(self, depth: int) -> Test:
        has = self._key_keyword(depth)
        return lambda c: not has(c)

    def _key_uid(self, depth: int) -> Test:
        self._scan.sp()
        return self._numbers(self._scan.sequence_set(), uid=True)

    def _key_larger(self, depth: int) -> Test:
        self._scan.sp()
        size = self._scan.number()
        return lambda c: c.row.size > size

    def _key_smaller(self, depth: int) -> Test:
        self._scan.sp()
        size = self._scan.number()
        return lambda c: c.row.size < size

    # -- dates

    def _day(self, moment: Callable[[Row], float | None], holds: Callable[[float, float], bool]) -> Test:
        self._scan.sp()
        day = day_start(self._scan.date())

        def test(c: Candidate) -> bool:
            at = moment(c.row)
            return at is not None and holds(at, day)

        return test

    def _key_before(self, depth: int) -> Test:
        return self._day(lambda row: row.received, lambda at, day: at < day)

    def _key_on(self, depth: int) -> Test:
        return self._day(lambda row: row.received, lambda at, day: day <= at < day + DAY)

    def _key_since(self, depth: int) -> Test:
        return self._day(lambda row: row.received, lambda at, day: at >= day)

    def _sent(self, row: Row) -> float | None:
        # RFC 9051 6.4.4: "disregarding time and timezone", so the day as it is written counts.
        from mox_message import date

        field = Fields.parse(row.header + b"\r\n").first("date") if row.header else None
        moment = date(field.text) if field is not None else None
        return moment.replace(tzinfo=None).toordinal() * DAY - _EPOCH if moment is not None else row.sent

    def _key_sentbefore(self, depth: int) -> Test:
        return self._day(self._sent, lambda at, day: at < day)

    def _key_senton(self, depth: int) -> Test:
        return self._day(self._sent, lambda at, day: day <= at < day + DAY)

    def _key_sentsince(self, depth: int) -> Test:
        return self._day(self._sent, lambda at, day: at >= day)

    # -- texts

    def _needle(self) -> str:
        self._scan.sp()
        return self._scan.text().casefold()

    def _header(self, name: str) -> Test:
        needle = self._needle()
        return lambda c: any(needle in decode(text).casefold() for text in c.fields(name))

    def _key_from(self, depth: int) -> Test:
        return self._header("from")

    def _key_to(self, depth: int) -> Test:
        return self._header("to")

    def _key_cc(self, depth: int) -> Test:
        return self._header("cc")

    def _key_bcc(self, depth: int) -> Test:
        return self._header("bcc")

    def _key_subject(self, depth: int) -> Test:
        return self._header("subject")

    def _key_header(self, depth: int) -> Test:
        self._scan.sp()
        return self._header(self._scan.text().lower())

    def _key_body(self, depth: int) -> Test:
        self.heavy = True
        needle = self._needle()
        return lambda c: in_body(c.content, needle)

    def _key_text(self, depth: int) -> Test:
        self.heavy = True
        needle = self._needle()
        return lambda c: in_header(c.content, needle) or in_body(c.content, needle)


_EPOCH = 719163 * DAY  # 1970-01-01 as an ordinal


def _and(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    return lambda c: all(test(c) for test in tests)


def in_header(content: Content, needle: str) -> bool:
    """Does the header have this text (case folded), decoded?"""
    fields = Fields.parse(content.read(0, 1024 * 1024))
    return any(needle in f"{field.name}: {decode(field.text)}".casefold() for field in fields)




def in_body(content: Content, needle: str) -> bool:
    """Does a text part have this text (case folded), decoded?  Plain bytes are searched as they are."""
    wanted = needle.encode("utf-8")
    for part in parse(content).walk():
        if part.type not in ("text", "message") or part.children or (part.message is not None):
            continue
        if part.encoding in ("7bit", "8bit", "binary") and needle.isascii() and part.size <= MAX_DECODED:
            if wanted in content.read(part.body_start, part.body_end).lower():
                return True
        elif needle in part.text(content, MAX_DECODED).casefold():
            return True
    return False


def search(s: ImapServer, scan: Scanner, uid: bool) -> Command:
    """RFC 9051 6.4.4"""
    scan.sp()
    returns: tuple[str, ...] | None = None
    if scan.take(b"RETURN "):
        returns = _returns(scan)
        scan.sp()
    if scan.take(b"CHARSET "):
        charset = scan.astring().upper()
        if charset not in (b"UTF-8", b"US-ASCII"):
            raise No("BADCHARSET (UTF-8)", "texts are UTF-8")
        scan.sp()
    compiler = _Compiler(s, scan)
    test = compiler.all()
    scan.end()
    found: list[int] = []
    yield from _scan(s.selected(), Program(test, compiler.heavy), found)
    view = s.selected()
    if returns is not None and "SAVE" in returns:
        view.saved = tuple(view.uids[at] for at in _saved(found, returns))
    numbers = [view.uids[at] if uid else at + 1 for at in found]
    if returns is None and not s.rev2:
        yield b"* SEARCH" + b"".join([b" %d" % number for number in numbers]) + b"\r\n"
    elif returns != ("SAVE",):
        yield _esearch(s, numbers, returns or ("ALL",), uid)
    return None


def _saved(found: list[int], returns: tuple[str, ...]) -> list[int]:
    """RFC 9051 6.4.4.1: with MIN and MAX only, those are what is saved."""
    if "ALL" in returns or "COUNT" in returns or not {"MIN", "MAX"} & set(returns) or not found:
        return found
    return sorted({*(found[:1] if "MIN" in returns else ()), *(found[-1:] if "MAX" in returns else ())})


def _returns(scan: Scanner) -> tuple[str, ...]:
    scan.expect(b"(")
    found: list[str] = []
    while not scan.take(b")"):
        if found:
            scan.sp()
        word = scan.atom().upper()
        if word not in ("MIN", "MAX", "ALL", "COUNT", "SAVE") or len(found) > 10:
            raise scan.fail(f"no such return option {word[:40]}")
        found.append(word)
    return tuple(found) or ("ALL",)


def _scan(view: View, program: Program, found: list[int]) -> Iterator[Yielded]:
    at_once = TEXT_SLICE if program.heavy else 2000
    for at in range(len(view)):
        if program.test(Candidate(view, at)):
            found.append(at)
        if at % at_once == at_once - 1:
            yield BREATHE


def _esearch(s: ImapServer, numbers: list[int], returns: tuple[str, ...], uid: bool) -> bytes:
    parts = [b'* ESEARCH (TAG %s)' % writer.string(s.tag.encode())]
    if uid:
        parts.append(b"UID")
    if numbers and "MIN" in returns:
        parts.append(b"MIN %d" % numbers[0])
    if numbers and "MAX" in returns:
        parts.append(b"MAX %d" % numbers[-1])
    if "COUNT" in returns:
        parts.append(b"COUNT %d" % len(numbers))
    if numbers and "ALL" in returns:
        parts.append(b"ALL " + writer.sequence_set(numbers))
    return b" ".join(parts) + b"\r\n"
