"""DNS messages as bytes: packing a query, and reading the answers that mail asks for.  No I/O (RFC 1035 4, RFC 6891).

Only A, AAAA, CNAME, MX, NS, PTR, TLSA and TXT are read here, because they are asked for every message and a general
library costs ten times as much; records of any other type are read by dnspython.  Nothing that comes from the wire is
believed: the question must be ours, names must be short, pointers must go back, records must be in their place."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple, TypeAlias

from mox_dns.lookup import Answer, Mx, Question, Status, Tlsa

# RFC 9715: what passes nearly every path without fragments.
EDNS_PAYLOAD = 1232
MAX_MESSAGE = 65535
# RFC 1035 2.3.4: octets of a name on the wire, the final zero included.
MAX_NAME_OCTETS = 255
# Compression pointers (RFC 1035 4.1.4) followed for one name; real servers need a handful.
MAX_POINTERS = 32
# Records looked at in one message: a hostile answer of 64 KB could hold thousands.
MAX_RECORDS = 1000
MAX_CNAMES = 16
# Seconds that an answer may be kept, whatever it says; an absence for an hour at most (RFC 2308 5).
MAX_TTL = 86400
MAX_NEGATIVE_TTL = 3600

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "TLSA": 52}
CNAME, SOA, OPT = 5, 6, 41

# Bits of the flags, RFC 1035 4.1.1 and RFC 4035 3.2.
QR, AA, TC, RD, RA, AD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020
OPCODE, RCODE = 0x7800, 0x000F
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP = 0, 1, 2, 3, 4
BADVERS = 16

# Extended DNS errors (RFC 8914 4) by which a validator says that an answer is forged.
EDE_OPTION = 15
BOGUS_CODES = frozenset({1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 27})

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_PAIR = struct.Struct("!HH")
_LENGTHS = tuple(bytes((n,)) for n in range(64))
_EDNS = struct.pack("!BHHIH", 0, OPT, EDNS_PAYLOAD, 0, 0)
# Octets of a label that stand for themselves in a name's text.
_PLAIN_LABEL = re.compile(rb"[!-\-/-\[\]-~]+\Z")


class Asked(NamedTuple):
    """A question, ready for the wire."""

    question: Question
    name: str  # lower case
    type: int
    wire: bytes  # name, type, class


class Trouble(Enum):
    """Why bytes are no answer yet."""

    STRAY = "not an answer to this question"
    TRUNCATED = "truncated"
    NO_EDNS = "the server does not take EDNS"


class Chase(NamedTuple):
    """The answer ends at an alias whose target it does not tell; ask for that."""

    target: str
    ttl: int
    authentic: bool


class _MalformedError(ValueError):
    pass


def asked(question: Question) -> Asked | None:
    """The question for the wire; None where no such name or type can exist."""
    code = TYPES.get(question.type) or _uncommon(question.type)
    if code is None:
        return None
    name = question.name.lower()
    try:
        labels = name.encode("ascii").removesuffix(b".").split(b".")
        wire = b"".join([_LENGTHS[len(label)] + label for label in labels])
    except (UnicodeEncodeError, IndexError):
        return None
    if wire == b"\0":
        return Asked(question, "", code, wire + _PAIR.pack(code, 1))
    if len(wire) >= MAX_NAME_OCTETS or b"" in labels:
        return None
    return Asked(question, name.removesuffix("."), code, wire + b"\0" + _PAIR.pack(code, 1))


def _uncommon(type: str) -> int | None:
    import dns.rdatatype

    try:
        code = dns.rdatatype.from_text(type)
    except (dns.rdatatype.UnknownRdatatype, ValueError):
        return None
    # Questions that are no record types (ANY, AXFR, OPT …) have no place in a lookup.
    return None if dns.rdatatype.is_metatype(code) else int(code)


def mixed_case(wire: bytes, bits: int) -> bytes:
    """The question with its letters in a case drawn from `bits`, which the answer must repeat ("0x20")."""
    out = bytearray(wire)
    for at in range(len(wire) - 4):
        if 97 <= out[at] <= 122:
            out[at] -= 32 * (bits & 1)
            bits >>= 1
    return bytes(out)


def query(id: int, wire: bytes, *, edns: bool = True, ask_ad: bool = False) -> bytes:
    """A query for one question, recursion desired."""
    flags = RD | AD if ask_ad else RD  # RFC 6840 5.7: AD in a query asks for AD in the answer
    if edns:
        return _HEADER.pack(id, flags, 1, 0, 0, 1) + wire + _EDNS
    return _HEADER.pack(id, flags, 1, 0, 0, 0) + wire


Outcome: TypeAlias = Answer | Chase | Trouble


def read(data: bytes, id: int, sent: bytes, asked: Asked, *, trust_ad: bool, tcp: bool = False) -> Outcome:
    """What `data` says in answer to the query `id` with the question `sent`.  Never raises, whatever the bytes."""
    end = 12 + len(sent)
    if len(data) < end or not data.startswith(sent, 12):
        return _without_question(data, id)
    theirs, flags, questions, answers, authorities, extras = _HEADER.unpack_from(data)
    if theirs != id or questions != 1 or flags & (QR | OPCODE) != QR:
        return Trouble.STRAY
    if flags & TC and not tcp:
        return Trouble.TRUNCATED
    message = _Message(data, end, flags, answers, authorities, extras, asked, trust_ad)
    try:
        return message.read()
    except (_MalformedError, struct.error, IndexError, ValueError) as error:
        return Answer(asked.question, Status.MALFORMED, detail=str(error))


def _without_question(data: bytes, id: int) -> Trouble:
    # Servers older than EDNS may answer FORMERR with a bare header.
    if len(data) == 12:
        theirs, flags, *_ = _HEADER.unpack(data)
        if theirs == id and flags & QR and flags & RCODE in (FORMERR, NOTIMP):
            return Trouble.NO_EDNS
    return Trouble.STRAY


class _Rr(NamedTuple):
    owner: str
    type: int
    ttl: int
    start: int
    length: int


@dataclass(slots=True)
class _Tail:
    """What the sections behind the answers say."""

    negative_ttl: int | None = None
    rcode_high: int = 0
    errors: tuple[int, ...] = ()
    text: str = ""


@dataclass(slots=True)
class _Message:
    data: bytes
    start: int
    flags: int
    answers: int
    authorities: int
    extras: int
    asked: Asked
    trust_ad: bool

    def read(self) -> Outcome:
        rcode = self.flags & RCODE
        if rcode == NOERROR and self.answers:
            return self._read_answers(False)
        if rcode == NXDOMAIN:
            return self._read_answers(True)
        tail = self._tail(self._skip(self.start, self.answers))
        if rcode in (FORMERR, NOTIMP) or tail.rcode_high:
            return Trouble.NO_EDNS
        if rcode == NOERROR:
            return self._absent(Status.NODATA, self.asked.name, tail, MAX_TTL)
        return self._failure(rcode, tail)

    def _failure(self, rcode: int, tail: _Tail) -> Answer:
        forged = rcode == SERVFAIL and any(code in BOGUS_CODES for code in tail.errors)
        detail = f"the server answered {RCODES.get(rcode, rcode)}"
        if tail.errors:
            detail += f", error {', '.join(map(str, tail.errors))}{' ' if tail.text else ''}{tail.text}"
        return Answer(self.asked.question, Status.BOGUS if forged else Status.SERVFAIL, detail=detail)

    def _read_answers(self, no_such_name: bool) -> Answer | Chase:
        wanted = self.asked.type
        found: list[_Rr] = []
        aliases: dict[str, _Rr] = {}
        at = self.start
        for _ in range(self._bounded(self.answers)):
            record, at = self._record(at)
            if record is None:
                continue
            if record.type == wanted:
                found.append(record)
            elif record.type == CNAME:
                aliases.setdefault(record.owner, record)
        name, ttl = self._follow(aliases)
        records: list[Any] = []
        for record in found:
            if record.owner == name:
                records.append(self._value(record))
                ttl = min(ttl, record.ttl)
        if records and not no_such_name:
            question = self.asked.question
            return Answer(question, Status.OK, tuple(records), self._authentic, min(ttl, MAX_TTL), name)
        tail = self._tail(at)
        if name != self.asked.name and not no_such_name and tail.negative_ttl is None:
            return Chase(name, ttl, self._authentic)
        return self._absent(Status.NXDOMAIN if no_such_name else Status.NODATA, name, tail, ttl)

    def _follow(self, aliases: dict[str, _Rr]) -> tuple[str, int]:
        """The name behind the chain of aliases in this answer, and the smallest time to live on the way."""
        name, ttl = self.asked.name, MAX_TTL
        if self.asked.type == CNAME:
            return name, ttl
        for _ in range(MAX_CNAMES):
            alias = aliases.get(name)
            if alias is None:
                return name, ttl
            name, ttl = self._name(alias.start, alias.start + alias.length), min(ttl, alias.ttl)
        raise _MalformedError(f"more than {MAX_CNAMES} aliases")

    def _absent(self, status: Status, name: str, tail: _Tail, ttl: int) -> Answer:
        if tail.negative_ttl is None and not self.flags & (AA | RA):
            # A server that neither knows nor asks others says nothing about the name.
            return Answer(self.asked.question, Status.SERVFAIL, detail="the server referred to others")
        # RFC 2308 5: without an SOA record the absence is not to be remembered.
        ttl = 0 if tail.negative_ttl is None else min(ttl, tail.negative_ttl)
        return Answer(self.asked.question, status, (), self._authentic, ttl, name)

    @property
    def _authentic(self) -> bool:
        return self.trust_ad and bool(self.flags & AD)

    def _bounded(self, count: int) -> int:
        if count > MAX_RECORDS:
            raise _MalformedError(f"more than {MAX_RECORDS} records")
        return count

    def _record(self, at: int) -> tuple[_Rr | None, int]:
        """The record at `at` and where the next begins; None in its place if its class is not IN."""
        data = self.data
        if data[at] == 0xC0 and data[at + 1] == 12:  # the name of the question, as nearly always
            owner, at = self.asked.name, at + 2
        else:
            owner, at = _name(data, at)
        type, klass, ttl, length = _RECORD.unpack_from(data, at)
        start = at + 10
        if start + length > len(data):
            raise _MalformedError("a record goes beyond the message")
        if klass != 1:
            return None, start + length
        # RFC 2181 8: a time to live with its top bit set is zero.
        return _Rr(owner, type, ttl if ttl < 0x80000000 else 0, start, length), start + length

    def _skip(self, at: int, count: int) -> int:
        for _ in range(self._bounded(count)):
            at = self._record(at)[1]
        return at

    def _tail(self, at: int) -> _Tail:
        """Reads authority and additional sections: how long an absence holds, and extended errors."""
        tail = _Tail()
        for _ in range(self._bounded(self.authorities)):
            record, at = self._record(at)
            if record is not None and record.type == SOA and record.length >= 22:
                (minimum,) = struct.unpack_from("!I", self.data, record.start + record.length - 4)
                tail.negative_ttl = min(record.ttl, minimum, MAX_NEGATIVE_TTL)
        for _ in range(self._bounded(self.extras)):
            begin = at
            at = self._record(at)[1]
            if self.data[begin : begin + 3] == b"\0\0\x29":
                self._options(begin, at, tail)
        return tail

    def _options(self, at: int, end: int, tail: _Tail) -> None:
        """The options of the OPT record (RFC 6891 6.1.2) whose root name is at `at`."""
        tail.rcode_high = self.data[at + 5]
        at += 11
        while at + 4 <= end:
            code, length = _PAIR.unpack_from(self.data, at)
            if code == EDE_OPTION and length >= 2 and at + 4 + length <= end and len(tail.errors) < 8:
                tail.errors += (int.from_bytes(self.data[at + 4 : at + 6], "big"),)
                text = self.data[at + 6 : at + 4 + min(length, 200)].decode("ascii", "replace")
                tail.text = "".join(c for c in text if c.isprintable())
            at += 4 + length

    def _value(self, record: _Rr) -> Any:
        reader = _READERS.get(record.type)
        if reader is None:
            return _general(self.data, record)
        return reader(self, record)

    def _name(self, start: int, end: int) -> str:
        name, at = _name(self.data, start)
        if at != end:
            raise _MalformedError("a name does not fill its record")
        return name

    def _read_v4(self, record: _Rr) -> IPv4Address:
        if record.length != 4:
            raise _MalformedError("an A record is not 4 octets")
        return IPv4Address(self.data[record.start : record.start + 4])

    def _read_v6(self, record: _Rr) -> IPv6Address:
        if record.length != 16:
            raise _MalformedError("an AAAA record is not 16 octets")
        return IPv6Address(self.data[record.start : record.start + 16])

    def _read_name(self, record: _Rr) -> str:
        return self._name(record.start, record.start + record.length) or "."

    def _read_mx(self, record: _Rr) -> Mx:
        preference = int.from_bytes(self.data[record.start : record.start + 2], "big")
        return Mx(preference, self._name(record.start + 2, record.start + record.length) or ".")

    def _read_txt(self, record: _Rr) -> bytes:
        data, at, end = self.data, record.start, record.start + record.length
        if at < end and at + 1 + data[at] == end:
            return data[at + 1 : end]
        strings = []
        while at < end:
            stop = at + 1 + data[at]
            strings.append(data[at + 1 : stop])
            at = stop
        if at != end:
            raise _MalformedError("a string goes beyond its TXT record")
        return b"".join(strings)

    def _read_tlsa(self, record: _Rr) -> Tlsa:
        if record.length < 3:
            raise _MalformedError("a TLSA record is too short")
        usage, selector, matching = self.data[record.start : record.start + 3]
        return Tlsa(usage, selector, matching, self.data[record.start + 3 : record.start + record.length])


_READERS: dict[int, Any] = {
    1: _Message._read_v4,
    2: _Message._read_name,
    5: _Message._read_name,
    12: _Message._read_name,
    15: _Message._read_mx,
    16: _Message._read_txt,
    28: _Message._read_v6,
    52: _Message._read_tlsa,
}

RCODES = {FORMERR: "FORMERR", SERVFAIL: "SERVFAIL", NOTIMP: "NOTIMP", 5: "REFUSED", 9: "NOTAUTH"}


def _general(data: bytes, record: _Rr) -> str:
    """A record of an uncommon type, as dnspython writes it."""
    import dns.exception
    import dns.rdata
    import dns.rdataclass
    import dns.rdatatype

    try:
        rdata = dns.rdata.from_wire(
            dns.rdataclass.IN, dns.rdatatype.RdataType.make(record.type), data, record.start, record.length
        )
    except (dns.exception.DNSException, ValueError, struct.error) as error:
        raise _MalformedError(str(error)) from None
    return rdata.to_text()


def _name(data: bytes, at: int) -> tuple[str, int]:
    """The name at `at`, lower case without final dot ("" for the root), and where it ends.

    Octets that would not stand for themselves are written as `\\DDD`, so that no label pretends to be two."""
    labels: list[str] = []
    total = 1
    end = -1
    pointers = 0
    while length := data[at]:
        if length >= 0xC0:
            target = (length & 0x3F) << 8 | data[at + 1]
            end = at + 2 if end < 0 else end
            pointers += 1
            # Only back, so that no loop can be; and not into the header.
            if target >= at or target < 12 or pointers > MAX_POINTERS:
                raise _MalformedError("a compression pointer leads astray")
            at = target
            continue
        if length >= 0x40:
            raise _MalformedError("a label of unknown kind")
        total += length + 1
        label = data[at + 1 : at + 1 + length]
        if total > MAX_NAME_OCTETS or len(label) != length:
            raise _MalformedError("a name is too long")
        labels.append(label.decode("ascii") if _PLAIN_LABEL.match(label) else _escaped(label))
        at += length + 1
    return ".".join(labels).lower(), end if end >= 0 else at + 1


def _escaped(label: bytes) -> str:
    return "".join(chr(c) if 0x21 <= c <= 0x7E and c not in b".\\" else f"\\{c:03d}" for c in label)
