"""Structured fields: address lists, dates, message-ids; current, obsolete and international forms (RFC 5322, 6532).

Reading never raises and is linear: what cannot be understood is left out and named in `defects`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from mox_message.address import quoted
from mox_message.words import decode, encode, without_comments

# Of one field; the rest is left out.
MAX_ADDRESSES = 5000
MAX_TEXT = 512 * 1024
MAX_IDS = 1000
MAX_DEFECTS = 20


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox of an address list: decoded display name, localpart without quotes, domain as written (not checked)."""

    name: str
    localpart: str
    domain: str
    route: str = ""

    @property
    def address(self) -> str:
        """localpart@domain, the localpart quoted when it must be."""
        return f"{quoted(self.localpart)}@{self.domain}" if self.domain else self.localpart

    def __str__(self) -> str:
        """As it stands in a field; UTF-8 only where the address itself has it (RFC 6532)."""
        return f"{phrase(self.name)} <{self.address}>" if self.name else self.address


@dataclass(frozen=True, slots=True)
class Group:
    """A named group (RFC 5322 3.4)."""

    name: str
    members: tuple[Mailbox, ...]

    def __str__(self) -> str:
        return f"{phrase(self.name)}: {', '.join(map(str, self.members))};"


@dataclass(frozen=True, slots=True)
class AddressList:
    """The entries in order, and what was odd.  `ambiguous`: other programs may read other addresses than we do."""

    entries: tuple[Mailbox | Group, ...]
    defects: tuple[str, ...] = ()
    ambiguous: bool = False

    @property
    def mailboxes(self) -> tuple[Mailbox, ...]:
        """Every mailbox, those in groups too."""
        found: list[Mailbox] = []
        for entry in self.entries:
            found.extend(entry.members if isinstance(entry, Group) else (entry,))
        return tuple(found)

    def __str__(self) -> str:
        return ", ".join(map(str, self.entries))


_ATOM_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")


def phrase(text: str) -> str:
    """A display name as it stands in a field: atoms, a quoted string, or encoded words (RFC 5322 3.2.5, RFC 2047 5)."""
    if not (text.isascii() and text.isprintable()) or "=?" in text:
        # A word that only looks encoded must be encoded, or it would be decoded.
        return encode(text)
    if _ATOM_PHRASE.match(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def addresses(text: str) -> AddressList:
    """The addresses of an unfolded field value.  Never raises."""
    entries: list[Mailbox | Group] = []
    # Most fields are nothing but the two plain forms; what follows them is read with care.
    at, end = 0, len(text)
    while at < end and len(entries) < MAX_ADDRESSES:
        match = _PLAIN.match(text, at)
        if match is None:
            return _Reader(text[at:MAX_TEXT], entries).read()
        quoted_name, name, local, domain, bare_local, bare_domain = match.groups()
        if local is None:
            entries.append(Mailbox("", bare_local, bare_domain))
        else:
            shown = " ".join((quoted_name or name or "").split())
            entries.append(Mailbox(decode(shown) if "=?" in shown or not shown.isascii() else shown, local, domain))
        at = match.end()
    if at < end:
        return AddressList(tuple(entries), (f"more than {MAX_ADDRESSES} addresses; the rest is left out",), True)
    return AddressList(tuple(entries))


_DOTTED = r"[^\0-\x20()<>@,;:\\\".\[\]\x7f]+(?:\.[^\0-\x20()<>@,;:\\\".\[\]\x7f]+)*"
# "Name" <a@b.example>, Name <a@b.example> or a@b.example, each with the comma that follows.
_PLAIN = re.compile(
    rf'[ \t]*(?:(?:"([^"\\\0-\x1f]*)"[ \t]*|([^\0-\x1f()<>@,;:\\"\[\]]*))<({_DOTTED})@({_DOTTED})>'
    rf"|({_DOTTED})@({_DOTTED}))[ \t]*(?:,[ \t]*|\Z)"
)

_ATOM = re.compile(r"[^()<>@,;:\\\"\[\]\s]+")
_SPACE = re.compile(r"\s+")
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)("?)', re.DOTALL)
_LITERAL = re.compile(r"\[([^\]\\]*(?:\\.[^\]\\]*)*)(\]?)", re.DOTALL)
_COMMENT_MARK = re.compile(r"[()]|\\.", re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)

_Word = tuple[str, str]  # ("a" atom, "q" quoted string, "l" literal or a special itself, its text)


class _Reader:
    """Every other form.  Tokens first, then entries between commas and semicolons."""

    def __init__(self, text: str, entries: list[Mailbox | Group]) -> None:
        self._entries = entries
        self._defects: list[str] = []
        self._ambiguous = False
        self._count = len(entries)
        self._at = 0
        self._tokens = self._cut(text)

    def _note(self, why: str, *, harmless: bool = False) -> None:
        self._ambiguous = self._ambiguous or not harmless
        if len(self._defects) < MAX_DEFECTS and why not in self._defects:
            self._defects.append(why)

    def _cut(self, text: str) -> list[_Word]:
        found: list[_Word] = []
        at, end = 0, len(text)
        while at < end:
            if match := _SPACE.match(text, at):
                pass
            elif match := _ATOM.match(text, at):
                found.append(("a", match[0]))
            elif match := (_QUOTED.match(text, at) or _LITERAL.match(text, at)):
                if not match[2]:
                    self._note("a quoted text or literal that does not end")
                inner = _PAIR.sub(r"\1", match[1]) if "\\" in match[1] else match[1]
                found.append(("q", inner) if text[at] == '"' else ("l", f"[{inner}]"))
            elif text[at] == "(":
                comment, at = self._comment(text, at)
                found.append(("c", comment))
                continue
            else:
                found.append((text[at], text[at]))
                at += 1
                continue
            at = match.end()
        return found

    def _comment(self, text: str, start: int) -> tuple[str, int]:
        depth = 0
        for match in _COMMENT_MARK.finditer(text, start):
            depth += {"(": 1, ")": -1}.get(match[0], 0)
            if depth == 0:
                inner = text[start + 1 : match.start()]
                return decode(_PAIR.sub(r"\1", inner)), match.end()
        self._note("a comment that does not end")
        return "", len(text)

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def read(self) -> AddressList:
        while self._at < len(self._tokens):
            if self._count >= MAX_ADDRESSES:
                self._note(f"more than {MAX_ADDRESSES} addresses; the rest is left out")
                break
            if self._peek() in ",;":
                self._at += 1
                continue
            words, comment = self._words("<,;:")
            if self._peek() == ":":
                self._at += 1
                self._entries.append(self._group(self._phrase(words)))
            elif (mailbox := self._mailbox_after(words, comment)) is not None:
                self._entries.append(mailbox)
        return AddressList(tuple(self._entries), tuple(self._defects), self._ambiguous)

    def _words(self, stop: str) -> tuple[list[_Word], str]:
        """Tokens up to one of `stop`, and the last comment among them."""
        words: list[_Word] = []
        comment = ""
        while self._at < len(self._tokens) and self._tokens[self._at][0] not in stop:
            word = self._tokens[self._at]
            if word[0] == "c":
                comment = word[1]
            else:
                words.append(word)
            self._at += 1
        return words, comment

    def _group(self, name: str) -> Group:
        members: list[Mailbox] = []
        while self._peek() not in ("", ";") and self._count < MAX_ADDRESSES:
            if self._peek() in ",:":
                if self._peek() == ":":
                    self._note("a group within a group")
                self._at += 1
                continue
            member = self._mailbox_after(*self._words("<,;:"))
            if member is not None:
                members.append(member)
        if self._peek() != ";":
            self._note("a group that does not end")
        self._at += 1
        return Group(name, tuple(members))

    def _mailbox_after(self, words: list[_Word], comment: str) -> Mailbox | None:
        """The mailbox that begins with `words`: a display name if < follows, else the address itself."""
        if self._peek() == "<":
            return self._angle(words, comment)
        return self._mailbox(words, comment, "") if words else None

    def _angle(self, before: list[_Word], comment: str) -> Mailbox | None:
        self._at += 1
        words, _ = self._words(">")
        if self._peek() != ">":
            self._note("> is missing")
        self._at += 1
        after, later = self._words(",;")
        if after:
            self._note("text after >", harmless=all(kind in "aql" for kind, _ in after))
        colon = next((index for index, (kind, _) in enumerate(words) if kind == ":"), -1)
        route = ""
        if words and words[0][0] == "@" and colon > 0:
            route = "".join(text for _, text in words[:colon])
            words = words[colon + 1 :]
        if not words:
            self._note("an empty address")
            return None
        # Quirk bare-at: `a@b.example <a@b.example>` is common; harmless while both name one domain.
        domain = "".join(text for kind, text in words[-1:])
        name = self._phrase(before, domain) or self._phrase(after) or comment or later
        return self._mailbox(words, name, route)

    def _phrase(self, words: list[_Word], domain: str = "") -> str:
        out: list[str] = []
        for index, (kind, text) in enumerate(words):
            if kind in "aql":
                if out and words[index - 1][0] in "aql":
                    out.append(" ")
            elif kind != "@" or index + 1 == len(words) or words[index + 1][1].lower() != domain.lower():
                self._note(f"{text} in a name")
            else:
                self._note("@ in a name", harmless=True)
            out.append(text)
        return decode(" ".join("".join(out).split()))

    def _mailbox(self, words: list[_Word], name: str, route: str) -> Mailbox:
        self._count += 1
        signs = [index for index, (kind, _) in enumerate(words) if kind == "@"]
        if not signs:
            # Shown as it is: a name, or a local mailbox of old.
            self._note("an address without @")
            return Mailbox(name, decode(" ".join(text for _, text in words)), "", route)
        if len(signs) > 1:
            self._note("an address with more than one @")
        localpart = self._joined(words[: signs[-1]], "aq@")
        return Mailbox(name, localpart, self._joined(words[signs[-1] + 1 :], "al"), route)

    def _joined(self, words: list[_Word], kinds: str) -> str:
        """The words of a localpart or domain; RFC 5322 4.4 allows white space and comments around its dots only."""
        out = ""
        for kind, text in words:
            if kind not in kinds:
                self._note(f"{text[:20]} in an address")
            elif out and not (out.endswith(".") or text.startswith(".")) and kind != "@" and out[-1] != "@":
                self._note("white space in an address")
                out += " "
            out += text
        if not words:
            self._note("half an address")
        return out


_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
# Minutes (RFC 5322 4.3); every other name is as good as +0000.
_ZONES = {"edt": -240, "est": -300, "cdt": -300, "cst": -360, "mdt": -360, "mst": -420, "pdt": -420, "pst": -480}
_MAX_DATE = 500
# Of texts whose white space is single spaces.
_TIME = r"(\d{1,2}) ?[:.] ?(\d{2})(?: ?[:.] ?(\d{2}))?(?:[.,]\d{1,9})?"
_ZONE = r"(?:([+-])(\d{2}):?(\d{2})|([A-Za-z]{1,5}))"
_DATE = re.compile(
    rf"(?:[A-Za-z]{{2,12}}\.? ?,? ?)?(\d{{1,2}})[ -]+([A-Za-z]{{3}})[A-Za-z]*\.?[ -]+(\d{{2,4}})(?!\d) ?,? "
    rf"{_TIME} ?{_ZONE}?",
    re.ASCII,
)
# As C's asctime writes it, which some programs copy.
_ASCTIME = re.compile(
    rf"[A-Za-z]{{3,9}},? ([A-Za-z]{{3}})[A-Za-z]* (\d{{1,2}}) ?,? {_TIME} (?:{_ZONE} )?(\d{{4}})(?!\d)(?: {_ZONE})?",
    re.ASCII,
)


def date(text: str) -> datetime | None:
    """The moment of a date-time (RFC 5322 3.3, 4.3), aware; None when it cannot be understood."""
    if len(text) > _MAX_DATE:
        return None
    if "(" in text:
        text = without_comments(text)
    text = " ".join(text.split())
    match = _DATE.match(text)
    if match is not None:
        day, month, year, hour, minute, second, sign, zone_hour, zone_minute, zone = match.groups()
        return _moment(year, month, day, (hour, minute, second), _offset(sign, zone_hour, zone_minute, zone))
    match = _ASCTIME.match(text)
    if match is None:
        return None
    month, day, hour, minute, second, *early, year, sign, zone_hour, zone_minute, zone = match.groups()
    offset = _offset(*early) if early[0] or early[3] else _offset(sign, zone_hour, zone_minute, zone)
    return _moment(year, month, day, (hour, minute, second), offset)


def _offset(sign: str | None, hours: str | None, minutes: str | None, name: str | None) -> int:
    if sign:
        return (int(hours or 0) * 60 + int(minutes or 0)) * (1 if sign == "+" else -1)
    return _ZONES.get(name.lower(), 0) if name else 0


def _moment(year: str, month: str, day: str, time: tuple[str, str, str | None], offset: int) -> datetime | None:
    full_year = int(year)
    if len(year) == 2:  # RFC 5322 4.3
        full_year += 2000 if full_year < 50 else 1900
    elif len(year) == 3:
        full_year += 1900
    number = _MONTHS.get(month.lower())
    if number is None:
        return None
    hour, minute, second = time
    try:
        zone = timezone(timedelta(minutes=offset))
        # A leap second is taken as the one before.
        return datetime(full_year, number, int(day), int(hour), int(minute), min(int(second or 0), 59), tzinfo=zone)
    except (ValueError, OverflowError):
        return None


_MESSAGE_ID = re.compile(r"<([^<>]{1,995})>")


def message_ids(text: str) -> tuple[str, ...]:
    """The message-ids of an unfolded value, without brackets, in order; at most MAX_IDS."""
    found: list[str] = []
    for match in _MESSAGE_ID.finditer(text):
        # RFC 5322 4.5.4: once white space and comments could stand within.
        text = match[1] if " " not in match[1] and "\t" not in match[1] else "".join(without_comments(match[1]).split())
        if text:
            found.append(text)
        if len(found) >= MAX_IDS:
            break
    return tuple(found)
