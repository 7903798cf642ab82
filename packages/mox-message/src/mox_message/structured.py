"""Structured fields: address lists and message-ids; current, obsolete and international forms (RFC 5322, 6532).

Reading never raises and is linear: what cannot be understood is left out and named in `defects`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mox_message.address import quoted
from mox_message.words import decode, encode, without_comments

# Of one field; the rest is left out.
MAX_ADDRESSES = 5000
MAX_TEXT = 512 * 1024
MAX_IDS = 1000
MAX_DEFECTS = 20


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox of an address list: decoded display name, localpart without quotes, domain as written (not checked).

    `route` is an obsolete source route, `written` the display name before its encoded words were decoded."""

    name: str
    localpart: str
    domain: str
    route: str = ""
    written: str = field(default="", compare=False, repr=False)

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
    written: str = field(default="", compare=False, repr=False)

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
            written = shown = " ".join((quoted_name or name or "").split())
            if "=?" in written or not written.isascii():
                shown = decode(written)
            entries.append(Mailbox(shown, local, domain, "", written))
        at = match.end()
    if at < end:
        return AddressList(tuple(entries), (f"more than {MAX_ADDRESSES} addresses; the rest is left out",), True)
    return AddressList(tuple(entries))


_DOTTED = r"[^\0-\x20()<>@,;:\\\".\[\]\x7f]++(?:\.[^\0-\x20()<>@,;:\\\".\[\]\x7f]++)*+"
# "Name" <a@b.example>, Name <a@b.example> or a@b.example, each with the comma that follows.
_PLAIN = re.compile(
    rf'[ \t]*+(?:(?:"([^"\\\0-\x1f]*+)"[ \t]*+|((?![. \t])[^\0-\x1f()<>@,;:\\"\[\]]*+))<({_DOTTED})@({_DOTTED})>'
    rf"|({_DOTTED})@({_DOTTED}))[ \t]*+(?:,[ \t]*+|\Z)"
)

# RFC 6532 3.2: white space beyond ASCII is text.
_ATOM = re.compile(r"[^()<>@,;:\\\"\[\]\s]+", re.ASCII)
_SPACE = re.compile(r"\s+", re.ASCII)
_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)("?)', re.DOTALL)
_LITERAL = re.compile(r"\[([^\]\\]*(?:\\.[^\]\\]*)*)(\]?)", re.DOTALL)
_COMMENT_MARK = re.compile(r"[()]|\\.", re.DOTALL)
_PAIR = re.compile(r"\\(.)", re.DOTALL)

# Others end the field there.
_LINE_END = re.compile(r"(?<!\\)[\r\n\0]")
_BAD_DOTS = re.compile(r"^\.|\.\.|\.$")
_CONTROL = re.compile(r"[\0-\x1f\x7f]")

_Word = tuple[str, str]  # ("a" atom, "q" quoted string, "l" literal or a special itself, its text)


class _Reader:
    """Every other form.  Tokens first, then entries between commas and semicolons."""

    def __init__(self, text: str, entries: list[Mailbox | Group]) -> None:
        self._entries = entries
        self._defects: list[str] = []
        self._ambiguous = False
        self._count = len(entries)
        self._at = 0
        if _LINE_END.search(text):
            self._note("a line end or NUL in the text")
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
                if _CONTROL.search(match[0]):
                    self._note("a control character", harmless=True)
                found.append(("a", match[0]))
            elif match := (_QUOTED.match(text, at) or _LITERAL.match(text, at)):
                if not match[2]:
                    self._note("a quoted text or literal that does not end")
                if text[at] == "[" and "[" in _PAIR.sub("", match[1]):
                    self._note("a bracket in a literal")
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
                return _PAIR.sub(r"\1", inner), match.end()
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
                if self._peek() == ";":
                    self._note("a semicolon between addresses", harmless=True)
                self._at += 1
                continue
            words, comment = self._words("<,;:")
            if self._peek() == ":":
                self._at += 1
                if not words:
                    self._note("a group without a name", harmless=True)
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
                comment = " ".join(word[1].split())
            else:
                words.append(word)
            self._at += 1
        return words, comment

    def _group(self, written: str) -> Group:
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
        return Group(decode(written), tuple(members), written)

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
        first = next((kind for kind, _ in words if kind != ","), "")
        if first == "@" and colon > 0:  # RFC 5322 4.4, obs-route
            route = "".join(text for _, text in words[:colon]).strip(",")
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
        if words and words[0][0] == "a" and words[0][1].startswith("."):
            self._note("a name that begins with a dot", harmless=True)
        for index, (kind, text) in enumerate(words):
            if kind in "aql":
                if out and words[index - 1][0] in "aql":
                    out.append(" ")
            elif kind != "@" or index + 1 == len(words) or words[index + 1][1].lower() != domain.lower():
                self._note(f"{text} in a name")
            else:
                self._note("@ in a name", harmless=True)
            out.append(text)
        return " ".join("".join(out).split())

    def _mailbox(self, words: list[_Word], written: str, route: str) -> Mailbox:
        self._count += 1
        name = decode(written)
        signs = [index for index, (kind, _) in enumerate(words) if kind == "@"]
        if not signs:
            # Shown as it is: a name, or a local mailbox of old.
            self._note("an address without @")
            return Mailbox(name, decode(" ".join(text for _, text in words)), "", route, written)
        if len(signs) > 1:
            self._note("an address with more than one @")
        localpart = self._joined(words[: signs[-1]], "aq@")
        domain = self._joined(words[signs[-1] + 1 :], "al")
        if _BAD_DOTS.search(domain):
            self._note("a dot too many in a domain")
        if all(kind == "a" for kind, _ in words[: signs[-1]]) and _BAD_DOTS.search(localpart):
            self._note("a dot too many in a localpart", harmless=True)
        return Mailbox(name, localpart, domain, route, written)

    def _joined(self, words: list[_Word], kinds: str) -> str:
        """The words of a localpart or domain; RFC 5322 4.4 allows white space and comments around its dots only."""
        out = ""
        for number, (kind, text) in enumerate(words):
            if kind not in kinds:
                self._note(f"{text[:20]} in an address")
            elif number and not (out.endswith((".", "@")) or text.startswith(".") or kind == "@"):
                self._note("white space in an address")
                out += " "
            out += text
        if not words:
            self._note("half an address")
        return out


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
