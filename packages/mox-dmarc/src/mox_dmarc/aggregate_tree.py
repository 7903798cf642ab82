"""XML into small trees, one for each element below the root, so that a report of any size takes the memory of a row.

    Element   name, text and children of one element
    trees     octets in pieces -> the children of <feedback>, one after the other

The parser is expat, bare: a document type declaration ends it, so there are no entities to expand and nothing to fetch.
What is not XML but often written (octets of another charset, a bare &, control characters) is mended and told."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from mox_dmarc.unpack import Limits, Unusable

if TYPE_CHECKING:
    from xml.parsers.expat import XMLParserType

NAMESPACE = "urn:ietf:params:xml:ns:dmarc-2.0"
OLD_NAMESPACE = "http://dmarc.org/dmarc-xml/0.1"  # RFC 7489 appendix C; hardly anybody writes it
MAX_ATTRIBUTE = 200
MAX_AROUND = 2  # elements around <feedback>

_ENCODING = re.compile(rb"""\A[^>]{0,100}?encoding[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z][A-Za-z0-9._-]{0,40})["']""")
_CHARSETS = re.compile(r"(?:us-ascii|ascii|iso-?8859-\d{1,2}|latin-?1|windows-125\d|cp125\d|utf-?16(?:[bl]e)?)\Z", re.I)
# XML 1.0 2.2: characters that may not occur, not even as a reference.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});)")
_LONGEST_REFERENCE = 10
_SPACE = " \t\r\n"  # XML 1.0 2.3

# Takes a problem to be told.
Note = Callable[[str], None]


class ReportSyntaxError(Unusable):
    """This is no report: not XML, or not that of a report.  `.line` and `.column` count from 1, 0 where unknown."""

    def __init__(self, why: str, line: int = 0, column: int = 0) -> None:
        self.why, self.line, self.column = why, line, column
        super().__init__(f"{why} (line {line}, column {column})" if line else why)


@dataclass(slots=True)
class Element:
    """An element: its name without prefix, whether it is the schema's own, its text, what is in it."""

    name: str
    own: bool
    attributes: dict[str, str]
    definition: str = ""  # its namespace, if it is somebody else's
    pieces: list[str] = field(default_factory=list)
    size: int = 0
    children: list[Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text directly in it, without white space around."""
        return "".join(self.pieces).strip(_SPACE)

    def child(self, name: str) -> Element | None:
        """The first child of the schema with this name."""
        for one in self.children:
            if one.name == name and one.own:
                return one
        return None

    def all(self, name: str) -> list[Element]:
        """All children of the schema with this name."""
        return [one for one in self.children if one.name == name and one.own]


@dataclass(slots=True)
class Trees:
    """The state of reading one document.  `namespace` is the root's, known with the first element."""

    limits: Limits
    namespace: str = ""
    problems: list[str] = field(default_factory=list)
    _stack: list[Element] = field(default_factory=list)
    _done: list[Element] = field(default_factory=list)
    _prefix: str = ""
    _elements: int = 0
    _around: list[str] = field(default_factory=list)
    _root_seen: bool = False
    _closed: bool = False

    def read(self, chunks: Iterable[bytes]) -> Iterator[Element]:
        """The elements below <feedback>.  Raises Unusable and its subclass ReportSyntaxError."""
        from xml.parsers.expat import ExpatError, ParserCreate

        parser = ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _no_doctype
        fed = 0
        try:
            for text in _mended(chunks, self.problem):
                data = text.encode("utf-8", "replace")
                fed += len(data)
                parser.Parse(data, False)
                self._check_progress(parser, fed)
                yield from self._taken()
                if self._closed:
                    return  # whatever follows
            parser.Parse(b"", True)
        except ExpatError as error:
            if not self._closed:
                raise ReportSyntaxError(f"not XML: {_reason(error)}", error.lineno, error.offset + 1) from None
        yield from self._taken()
        if not self._root_seen:
            raise ReportSyntaxError(f"the root is <{self._around[0]}>, not <feedback>")

    def problem(self, why: str) -> None:
        """Notes once what is odd, and not without end."""
        if why not in self.problems and len(self.problems) < 50:
            self.problems.append(why)

    def _taken(self) -> list[Element]:
        done, self._done = self._done, []
        return done

    def _check_progress(self, parser: XMLParserType, fed: int) -> None:
        # Some versions of expat look at an unfinished tag from its start again with each piece.
        if fed - max(parser.CurrentByteIndex, 0) > self.limits.token:
            raise ReportSyntaxError("one tag without an end", parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._closed:
            return
        prefix, _, local = name.rpartition(":")
        if not self._root_seen:
            self._root(prefix, local, attributes)
            return
        if len(self._stack) >= self.limits.depth:
            raise Unusable(f"elements more than {self.limits.depth} deep")
        self._elements += 1
        if self._elements > self.limits.elements:
            raise Unusable(f"more than {self.limits.elements} elements below one")
        default = attributes.get("xmlns", self.namespace)
        own = prefix == self._prefix and (bool(prefix) or default == self.namespace)
        if self._stack and not self._stack[-1].own:
            own = False
        few = {key: value[:MAX_ATTRIBUTE] for key, value in list(attributes.items())[:8]}
        definition = "" if own else (attributes.get(f"xmlns:{prefix}") or attributes.get("xmlns") or prefix)
        self._stack.append(Element(local[:MAX_ATTRIBUTE], own, few, definition[:MAX_ATTRIBUTE]))

    def _root(self, prefix: str, local: str, attributes: dict[str, str]) -> None:
        if local.lower() != "feedback":
            # One reporter puts the start tag of the schema around its report, and never ends it.
            self._around.append(local[:40])
            if len(self._around) > MAX_AROUND:
                raise ReportSyntaxError(f"the root is <{self._around[0]}>, not <feedback>")
            return
        if self._around:
            self.problem(f"<feedback> is not the root, but within <{self._around[0]}>")
        self._root_seen = True
        self._prefix = prefix
        self.namespace = attributes.get(f"xmlns:{prefix}" if prefix else "xmlns", "")

    def _end(self, name: str) -> None:
        if not self._stack:
            self._closed = self._root_seen
            return
        done = self._stack.pop()
        if self._stack:
            self._stack[-1].children.append(done)
        else:
            self._done.append(done)
            self._elements = 0

    def _text(self, data: str) -> None:
        if not self._stack or self._closed:
            return
        into = self._stack[-1]
        room = self.limits.text - into.size
        if len(data) > room and not data[max(room, 0) :].isspace():
            self.problem(f"<{into.name}> is longer than {self.limits.text} characters")
        if room > 0:
            into.pieces.append(data[:room])
            into.size += min(len(data), room)


def _no_doctype(*_: object) -> NoReturn:
    raise ReportSyntaxError("a document type declaration, which no report has")


def _reason(error: Exception) -> str:
    return str(error).partition(":")[0]


def _mended(chunks: Iterable[bytes], problem: Note) -> Iterator[str]:
    """The text, so that it can be XML.  What is cut at the end of a piece waits for the next."""
    held = ""
    for text in _decoded(chunks, problem):
        text = held + text
        held = ""
        at = text.rfind("&", len(text) - _LONGEST_REFERENCE)
        if at >= 0 and ";" not in text[at:]:
            text, held = text[:at], text[at:]
        yield _clean(text, problem)
    if held:
        yield _clean(held, problem)


def _clean(text: str, problem: Note) -> str:
    if _ILLEGAL.search(text):
        problem("characters that XML does not allow were left out")
        text = _ILLEGAL.sub("", text)
    if "&" in text and _BARE_AMPERSAND.search(text):
        problem("& stands alone where &amp; should be")
        text = _BARE_AMPERSAND.sub("&amp;", text)
    return text


def _decoded(chunks: Iterable[bytes], problem: Note) -> Iterator[str]:
    decoder: codecs.IncrementalDecoder | None = None
    for chunk in chunks:
        if decoder is None:
            decoder, chunk = _decoder(chunk)
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError:
            pending = decoder.getstate()[0]
            problem("octets that do not fit the charset were replaced")
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            text = decoder.decode(pending + chunk)
        yield text
    if decoder is not None and decoder.getstate()[0]:
        problem("octets that do not fit the charset were replaced")
        yield "\ufffd"


def _decoder(first: bytes) -> tuple[codecs.IncrementalDecoder, bytes]:
    """By byte order mark, then by the XML declaration if it names a charset that we want, else UTF-8."""
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return codecs.getincrementaldecoder("utf-16")("replace"), first
    found = _ENCODING.match(first[:200])
    name = found[1].decode("ascii").lower() if found else ""
    if name and _CHARSETS.match(name) and "utf" not in name:
        try:
            return codecs.getincrementaldecoder(name)("replace"), first
        except LookupError:
            pass
    return codecs.getincrementaldecoder("utf-8")("strict"), first.removeprefix(codecs.BOM_UTF8).lstrip()
