"""Which record governs this From domain?  RFC 9989 4.10 by a walk through the DNS tree, RFC 7489 6.6.3 by suffix list.

    plan_discover    Author Domain -> Lookup[Discovery]
    Discovery        the record, where it was found, and what was met on the way
    walk_names       the at most eight names that a walk asks
    organizational   RFC 9989 4.10.2: the Organizational Domain, from what a walk met

The questions of one walk are asked side by side: one round trip instead of up to seven, and most of the answers (that
top-level domains have no record) stand in the resolver's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache

from mox_dmarc.record import Psd, Record, RecordSyntaxError, Request
from mox_dns import Answer, Domain, Lookup, Question, Status, Step

# RFC 9989 4.10: names with more labels than this cost no more questions than names with this many.
MAX_WALK = 8

# The organizational domain of a name by a list of public suffixes, None for a public suffix itself.
Organization = Callable[[Domain], Domain | None]


class Mode(StrEnum):
    """Whose rules."""

    RFC9989 = "rfc9989"  # tree walk; np=, psd=, t=; no pct=
    RFC7489 = "rfc7489"  # public suffix list; pct=


class Presence(StrEnum):
    """What looking for a record came to."""

    FOUND = "found"
    NONE = "none"
    TEMPERROR = "temperror"


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at `_dmarc.<name>`: one record, or why there is none that counts."""

    name: str
    record: Record | None = None
    failed: bool = False  # DNS gave no answer
    exists: bool = False  # the answer shows that `name` exists; NXDOMAIN for `_dmarc.<name>` does not show the contrary
    count: int = 0  # records that say they are DMARC's; two or more, and all are discarded
    why: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The record that governs `author`.

    `domain` is where it was found.  `organizational` is None while nobody had to know it (the author's own record was
    there).  `author_exists` is None unless the record's np= made it matter.  `places` is all that was seen on the way,
    so that alignment asks nothing twice."""

    status: Presence
    author: Domain
    mode: Mode = Mode.RFC9989
    record: Record | None = None
    domain: Domain | None = None
    organizational: Domain | None = None
    author_exists: bool | None = None
    reason: str = ""
    trace: tuple[Step, ...] = ()
    places: dict[str, Place] = field(default_factory=dict, repr=False, compare=False)
    organization: Organization | None = field(default=None, repr=False, compare=False)

    @property
    def request(self) -> Request:
        """What the record asks for mail of this author that fails, before t= and pct=."""
        if self.record is None:
            return Request.NONE
        if self.domain == self.author:
            return self.record.effective_p
        return self.record.for_subdomain(exists=self.author_exists is not False)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "status": str(self.status),
            "author": str(self.author),
            "mode": str(self.mode),
            "record": self.record.text if self.record else None,
            "domain": str(self.domain) if self.domain else None,
            "organizational": str(self.organizational) if self.organizational else None,
            "author_exists": self.author_exists,
            "request": str(self.request),
            "reason": self.reason,
            "places": {place.name: place.why or "record" for place in self.places.values()},
        }

    def explain(self) -> str:
        """Line by line: where was looked, what was found, what it means."""
        lines = [f"{self.author}: {self.reason}"]
        for place in self.places.values():
            lines.append(f"  _dmarc.{place.name}: {place.record.text if place.record else place.why}")
        if self.organizational:
            lines.append(f"  organizational domain: {self.organizational}")
        if self.record is not None:
            lines += [f"  problem: {problem}" for problem in self.record.problems]
        return "\n".join(lines)


@lru_cache(maxsize=4096)
def walk_names(start: str) -> tuple[str, ...]:
    """The names a walk from `start` asks, longest first; RFC 9989 4.10 steps 3, 4 and 7."""
    labels = start.split(".")
    return (start, *(".".join(labels[-count:]) for count in range(min(len(labels) - 1, MAX_WALK - 1), 0, -1)))


def organizational(start: str, places: Iterable[Place]) -> str:
    """The Organizational Domain of `start`; `places`: what a walk from it met, longest name first.  RFC 9989 4.10.2."""
    highest = start
    for place in places:
        if place.record is None:
            continue
        if place.record.psd is Psd.NO:
            return place.name
        if place.record.psd is Psd.YES and place.name != start:
            return ".".join(start.split(".")[-(place.name.count(".") + 2) :])
        highest = place.name
    return highest


def plan_discover(
    author: Domain, mode: Mode = Mode.RFC9989, *, organization: Organization | None = None
) -> Lookup[Discovery]:
    """Find the record that governs mail with `author` in From.

    `organization` names the organizational domain of a domain in mode RFC7489; without one the public suffix list of
    `mox_dns.publicsuffix` is used."""
    if mode is Mode.RFC7489:
        return _by_suffix_list(author, organization or _listed)
    return _by_walk(author)


def _listed(domain: Domain) -> Domain | None:
    from mox_dns.publicsuffix import organizational as listed

    return listed(domain)


def _by_walk(author: Domain) -> Lookup[Discovery]:
    """RFC 9989 4.10.1."""
    so_far = Discovery(Presence.NONE, author)
    trace: list[Step] = []
    places = so_far.places
    yield from ask_places((author.ascii,), places, trace)
    own = places[author.ascii]
    if own.failed:
        return replace(so_far, status=Presence.TEMPERROR, reason=own.why, trace=tuple(trace))
    if own.record is not None:
        return _found(so_far, own, trace)
    yield from ask_places(walk_names(author.ascii), places, trace)
    met, trouble = walked(author.ascii, places)
    if trouble is not None:
        return replace(so_far, status=Presence.TEMPERROR, reason=trouble.why, trace=tuple(trace))
    top = organizational(author.ascii, met)
    # In the order of preference: the author's own (not there), the organization's, its public suffix's.
    for place in met:
        if place.record is not None and (place.name == top or place.record.psd is Psd.YES):
            found = _found(so_far, place, trace, Domain(top))
            return (yield from _with_existence(found, own, trace))
    return replace(so_far, organizational=Domain(top), reason=_nothing(own, "nor above it"), trace=tuple(trace))


def _by_suffix_list(author: Domain, organization: Organization) -> Lookup[Discovery]:
    """RFC 7489 6.6.3."""
    trace: list[Step] = []
    so_far = Discovery(
        Presence.NONE,
        author,
        Mode.RFC7489,
        organizational=organization(author) or author,
        organization=organization,
    )
    top = so_far.organizational or author
    for name in dict.fromkeys((author.ascii, top.ascii)):
        yield from ask_places((name,), so_far.places, trace)
        place = so_far.places[name]
        if place.failed:
            return replace(so_far, status=Presence.TEMPERROR, reason=place.why, trace=tuple(trace))
        if place.record is not None:
            return _found(so_far, place, trace)
        if place.count > 1:  # step 5: more than one record ends the search
            return replace(so_far, reason=f"_dmarc.{name}: {place.why}", trace=tuple(trace))
    own = so_far.places[author.ascii]
    return replace(so_far, reason=_nothing(own, f"nor at {top}"), trace=tuple(trace))


def _nothing(own: Place, elsewhere: str) -> str:
    return f"_dmarc.{own.name}: {own.why}" if own.count else f"no DMARC record at {own.name} {elsewhere}"


def _found(so_far: Discovery, place: Place, trace: list[Step], top: Domain | None = None) -> Discovery:
    return Discovery(
        Presence.FOUND,
        so_far.author,
        so_far.mode,
        place.record,
        so_far.author if place.name == so_far.author.ascii else Domain(place.name),
        top or so_far.organizational,
        None,
        f"DMARC record at {place.name}",
        tuple(trace),
        so_far.places,
        so_far.organization,
    )


def _with_existence(found: Discovery, own: Place, trace: list[Step]) -> Lookup[Discovery]:
    """RFC 9989 4.10.1: np= is for authors that do not exist, so where it says something else than sp=, ask."""
    record = found.record
    if record is None or record.for_subdomain(exists=True) is record.for_subdomain(exists=False):
        return found
    if own.exists:  # something exists at or below `_dmarc.<author>`, hence the author does as well (RFC 8020)
        return replace(found, author_exists=True)
    question = Question(found.author.ascii, "TXT")  # SPF asks the same for most senders, so it is often known
    (answer,) = yield (question,)
    trace.append(Step(question, answer))
    if answer.failed:
        why = f"cannot tell whether {found.author} exists: {answer.status}"
        return replace(found, status=Presence.TEMPERROR, reason=why, trace=tuple(trace))
    exists = answer.status is not Status.NXDOMAIN
    reason = f"{found.reason}; {found.author} {'exists' if exists else 'does not exist'}"
    return replace(found, author_exists=exists, reason=reason, trace=tuple(trace))


def ask_places(names: Iterable[str], places: dict[str, Place], trace: list[Step]) -> Lookup[None]:
    """Fill `places` with what stands at each of `names` that is not there yet; all in one round."""
    missing = [name for name in names if name not in places]
    if not missing:
        return
    missing = list(dict.fromkeys(missing))
    questions = tuple(Question("_dmarc." + name, "TXT") for name in missing)
    answers = yield questions
    for name, question, answer in zip(missing, questions, answers, strict=True):
        trace.append(Step(question, answer))
        places[name] = _place(name, answer)


def walked(start: str, places: dict[str, Place]) -> tuple[list[Place], Place | None]:
    """What a walk from `start` meets until it stops (RFC 9989 4.10 steps 2 and 6), and the place without an answer."""
    met: list[Place] = []
    for name in walk_names(start):
        place = places[name]
        if place.failed:
            return met, place
        met.append(place)
        if place.record is not None and place.record.psd is not Psd.UNKNOWN:
            break
    return met, None


def _place(name: str, answer: Answer) -> Place:
    if answer.failed:
        return Place(name, failed=True, why=f"no answer for _dmarc.{name}: {answer.status}")
    exists = answer.status is not Status.NXDOMAIN
    records: list[Record] = []
    misspelt = ""
    for data in answer.records:
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
        try:
            records.append(Record.parse(text))
        except RecordSyntaxError as error:
            misspelt = misspelt or (error.why if "dmarc" in text[:64].lower() else "")
    if len(records) == 1:
        return Place(name, records[0], exists=exists, count=1)
    if records:
        return Place(name, exists=exists, count=len(records), why=f"{len(records)} DMARC records, all discarded")
    return Place(name, exists=exists, why=misspelt or "no record")
