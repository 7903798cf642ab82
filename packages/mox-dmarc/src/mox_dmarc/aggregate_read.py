"""An aggregate report from its XML: RFC 9990 A, RFC 7489 C, and what reporters make of them.

    read_aggregate   XML, gzip, zip or a mail -> AggregateReport
    iter_rows        the same, row by row, for reports that are too large to be held

What a report has no meaning without (a policy domain, a time) must be there; everything else that is missing or
misspelt has a default and stands in `problems`."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import ip_address
from itertools import islice
from pathlib import Path
from typing import TypeVar

from mox_dmarc.aggregate import (
    MAX_SIGNATURES,
    AggregateReport,
    DiscoveryMethod,
    Disposition,
    DkimAuth,
    Extension,
    Format,
    Metadata,
    Override,
    OverrideType,
    PolicyPublished,
    Row,
    SpfAuth,
)
from mox_dmarc.aggregate_tree import NAMESPACE, Element, Note, ReportSyntaxError, Trees
from mox_dmarc.record import Request, Strictness
from mox_dmarc.unpack import DEFAULT, Limits, Unusable, xml_of
from mox_message import Content

Source = bytes | Content | Path

MAX_COUNT = 10**15
MAX_OVERRIDES = 20
MAX_ERRORS = 50
MAX_EXTENSIONS = 50

DKIM_RESULTS = frozenset(("none", "pass", "fail", "policy", "neutral", "temperror", "permerror"))
SPF_RESULTS = frozenset(("none", "neutral", "pass", "fail", "softfail", "policy", "temperror", "permerror"))
# What reporters wrote before RFC 7208 gave the two their names.
OLD_WORDS = {"unknown": "temperror", "error": "permerror", "hardfail": "fail"}

_Word = TypeVar("_Word", bound=StrEnum)


def read_aggregate(source: Source, limits: Limits = DEFAULT) -> AggregateReport:
    """The report in `source`: its XML, a gzip or zip archive of it, or the mail that carries it; a Path is a file.

    Raises Unusable (ReportSyntaxError where the XML is at fault), OSError where a file cannot be read."""
    reader = _Reader(limits)
    rows = tuple(reader.rows(source))
    return reader.report(rows)


def iter_rows(source: Source, limits: Limits = DEFAULT) -> Iterator[Row]:
    """The rows alone, one after the other, in the memory of one.  Raises as `read_aggregate`, also in between."""
    reader = _Reader(limits)
    yield from reader.rows(source)
    reader.report(())


class _Reader:
    """Reads one report."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.trees = Trees(limits)
        self.metadata: Metadata | None = None
        self.policy: PolicyPublished | None = None
        self.version = ""
        self.extensions: list[Extension] = []
        self.old_tags = False  # tags of RFC 7489 only
        self.new_tags = False

    def rows(self, source: Source) -> Iterator[Row]:
        count = 0
        content = Content.file(source) if isinstance(source, Path) else source
        for element in self.trees.read(xml_of(content, self.limits)):
            if element.name == "record" and element.own:
                count += 1
                if count > self.limits.rows:
                    raise Unusable(f"more than {self.limits.rows} rows")
                row = _row(element, self.trees.problem)
                if row is not None:
                    yield row
            else:
                self._other(element)

    def _other(self, element: Element) -> None:
        if not element.own or element.name in ("extension", "extensions"):
            self.extensions += _extensions(element)[: MAX_EXTENSIONS - len(self.extensions)]
        elif element.name == "report_metadata":
            self.metadata = self.metadata or _metadata(element, self.trees.problem)
            # Some reporters put the version here, as an early draft had it.
            self.version = self.version or _text(element, "version")
            self.new_tags |= element.child("generator") is not None
        elif element.name == "policy_published":
            self.policy = self.policy or _policy(element, self.trees.problem)
            self.new_tags |= any(element.child(name) for name in ("np", "testing", "discovery_method"))
            self.old_tags |= element.child("pct") is not None
        elif element.name == "version":
            self.version = element.text[:20]
        else:
            self.trees.problem(f"<{element.name}> is not known")

    def report(self, rows: tuple[Row, ...]) -> AggregateReport:
        if self.metadata is None:
            raise ReportSyntaxError("no <report_metadata>")
        if self.policy is None:
            raise ReportSyntaxError("no <policy_published>")
        new = self.trees.namespace == NAMESPACE or (self.new_tags and not self.old_tags)
        return AggregateReport(
            self.metadata,
            self.policy,
            rows,
            Format.RFC9990 if new else Format.RFC7489,
            self.version,
            tuple(self.extensions),
            tuple(self.trees.problems),
        )


def _metadata(element: Element, note: Note) -> Metadata:
    span = element.child("date_range")
    if span is None:
        raise ReportSyntaxError("no <date_range>")
    begin, end = _seconds(span, "begin", note), _seconds(span, "end", note)
    if end < begin:
        note(f"the report ends at {end}, before it begins")
    for name in ("org_name", "email", "report_id"):
        if not _text(element, name):
            note(f"no <{name}>")
    return Metadata(
        _text(element, "org_name"),
        _text(element, "email"),
        _text(element, "report_id"),
        begin,
        end,
        _text(element, "extra_contact_info"),
        tuple(one.text for one in element.all("error")[:MAX_ERRORS] if one.text),
        _text(element, "generator"),
    )


def _seconds(span: Element, name: str, note: Note) -> int:
    text = _text(span, name)
    whole, dot, rest = text.partition(".")
    if dot and rest.isdigit():
        note(f"<{name}> has a fraction")
        text = whole
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise ReportSyntaxError(f"<{name}> is {text[:40]!r}, not seconds since 1970")
    return int(text)


def _policy(element: Element, note: Note) -> PolicyPublished:
    domain = _text(element, "domain").rstrip(".").lower()
    if not domain:
        raise ReportSyntaxError("<policy_published> names no <domain>")
    testing = _text(element, "testing").lower()
    if testing not in ("", "y", "n"):
        note(f"<testing> is {testing[:20]!r}, not y or n")
    pct = _text(element, "pct")
    if pct and not (pct.isascii() and pct.isdigit() and len(pct) <= 3):
        note(f"<pct> is {pct[:20]!r}, not a number")
        pct = ""
    if element.child("p") is None:
        note("no <p>")
    return PolicyPublished(
        domain,
        _word(element, "p", Request, note),
        _word(element, "sp", Request, note),
        _word(element, "np", Request, note),
        _word(element, "adkim", Strictness, note),
        _word(element, "aspf", Strictness, note),
        {"y": True, "n": False}.get(testing),
        _word(element, "discovery_method", DiscoveryMethod, note),
        _text(element, "fo"),
        int(pct) if pct else None,
    )


def _row(element: Element, note: Note) -> Row | None:
    """One <record>; None, with a note, where it counts nothing."""
    row, names, results = (element.child(name) for name in ("row", "identifiers", "auth_results"))
    if row is None:
        note("a <record> without <row> was left out")
        return None
    count = _text(row, "count")
    if not (count.isascii() and count.isdigit() and int(count[:20]) <= MAX_COUNT):
        note(f"a row was left out: <count> is {count[:20]!r}")
        return None
    evaluated = row.child("policy_evaluated")
    if evaluated is None:
        note("no <policy_evaluated>; counted as fail")
        evaluated = Element("policy_evaluated", True, {})
    if names is None or not _text(names, "header_from"):
        note("no <header_from>")
    sender = names.child("envelope_from") if names else None
    return Row(
        _address(_text(row, "source_ip"), note),
        int(count),
        _word(evaluated, "disposition", Disposition, note) or Disposition.NONE,
        _passed(evaluated, "dkim", note),
        _passed(evaluated, "spf", note),
        _text(names, "header_from").rstrip(".").lower() if names else "",
        sender.text if sender is not None else None,
        _text(names, "envelope_to") if names else "",
        _overrides(evaluated, note),
        _dkim(results, note) if results else (),
        _spf(results, note) if results else (),
        tuple(_others(element)),
    )


def _overrides(evaluated: Element, note: Note) -> tuple[Override, ...]:
    made = []
    for one in evaluated.all("reason")[:MAX_OVERRIDES]:
        comment = _text(one, "comment")
        if not _text(one, "type") and not comment:
            continue  # an empty <reason> says nothing
        kind = _word(one, "type", OverrideType, note)
        made.append(Override(kind or OverrideType.OTHER, comment if kind else comment or _text(one, "type")))
    return tuple(made)


def _dkim(results: Element, note: Note) -> tuple[DkimAuth, ...]:
    found = results.all("dkim")
    if len(found) > MAX_SIGNATURES:
        note(f"{len(found)} signatures in one row; the first {MAX_SIGNATURES} were read")
    return tuple(
        DkimAuth(
            _text(one, "domain").rstrip(".").lower(),
            _text(one, "selector"),
            _result(one, DKIM_RESULTS, "DKIM", note),
            _text(one, "human_result"),
        )
        for one in found[:MAX_SIGNATURES]
        if one.children  # an empty <dkim/> says that there was no signature
    )


def _spf(results: Element, note: Note) -> tuple[SpfAuth, ...]:
    return tuple(
        SpfAuth(
            _text(one, "domain").rstrip(".").lower(),
            _result(one, SPF_RESULTS, "SPF", note),
            _scope(one, note),
            _text(one, "human_result"),
        )
        for one in islice(results.all("spf"), MAX_SIGNATURES)
        if one.children
    )


def _scope(element: Element, note: Note) -> str:
    scope = _text(element, "scope").lower()
    if scope not in ("", "mfrom", "helo"):
        note(f"<scope> is {scope[:20]!r}, not mfrom or helo")
        return ""
    return scope


def _result(element: Element, known: frozenset[str], means: str, note: Note) -> str:
    written = _text(element, "result")
    result = written.lower()
    result = result if result in known else OLD_WORDS.get(result, "")
    if result != written:
        note(f"a {means} result is {written[:20]!r}" + (f", read as {result}" if result else ", which is unknown"))
    return result or "none"


def _passed(evaluated: Element, name: str, note: Note) -> bool:
    written = _text(evaluated, name)
    if written.lower() not in ("pass", "fail"):
        note(f"<{name}> of <policy_evaluated> is {written[:20]!r}, not pass or fail; counted as fail")
    elif written not in ("pass", "fail"):
        note(f"<{name}> is written {written!r}")
    return written.lower() == "pass"


def _address(text: str, note: Note) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        note(f"<source_ip> is {text[:60]!r}, no address")
        return text[:60]


def _others(element: Element) -> Iterator[Extension]:
    """What others put into a record (RFC 9990 5)."""
    foreign = [one for one in element.children if not one.own or one.name in ("extension", "extensions")]
    return islice((made for one in foreign for made in _extensions(one)), MAX_EXTENSIONS)


def _extensions(element: Element) -> list[Extension]:
    """The extensions in <extension> or <extensions>, or the foreign element itself."""
    if element.own and element.name in ("extension", "extensions") and "name" not in element.attributes:
        return [made for child in element.children for made in _extensions(child)]
    name = element.attributes.get("name", element.name)
    definition = element.attributes.get("definition", element.definition)
    return [Extension(name, definition, " ".join(_all_text(element))[:500])]


def _all_text(element: Element) -> Iterator[str]:
    if element.text:
        yield element.text
    for child in element.children:
        yield from _all_text(child)


def _word(element: Element, name: str, words: type[_Word], note: Note) -> _Word | None:
    written = _text(element, name)
    if not written:
        return None
    try:
        word = words(written.lower())
    except ValueError:
        note(f"<{name}> is {written[:20]!r}, which is unknown")
        return None
    if written != word:
        note(f"<{name}> is written {written!r}")
    return word


def _text(element: Element, name: str) -> str:
    child = element.child(name)
    return "" if child is None else child.text
