"""May reports be sent where a record says?  The check of external destinations, RFC 9990 4, RFC 7489 7.1.

    plan_destinations   a Discovery -> Lookup of what became of each address of its rua= (or ruf=)
    Destination         one of them: whether to send, and where to

Without it anybody could have the mail of others reported to a victim.  Within one organization nothing is asked;
elsewhere the receiver of reports must have said so at `<domain>._report._dmarc.<host>`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mox_dmarc.align import same_organization
from mox_dmarc.discover import Discovery, Place
from mox_dmarc.record import Psd, Record, RecordSyntaxError, ReportUri
from mox_dns import Answer, Domain, Lookup, Question, Step
from mox_message import Address, AddressSyntaxError

MAX_NAME = 253  # RFC 1035 2.3.4, as text

# Of a record's addresses only so many are asked about (RFC 7489 6.3 wants two at least).
MAX_DESTINATIONS = 10


class Permission(StrEnum):
    """What the check came to."""

    OWN = "own"  # the same Organizational Domain: nobody else needs to be asked
    GRANTED = "granted"
    REFUSED = "refused"  # nothing says that reports are wanted there
    UNUSABLE = "unusable"  # no mailto: address, or no name that DNS can have
    TEMPERROR = "temperror"  # DNS gave no answer; try again later


@dataclass(frozen=True, slots=True)
class Destination:
    """One address of rua= or ruf=, and where its reports go: `send_to`, empty where they must not be sent.

    `send_to` differs from `uri` where the receiver of the reports has named another address at the same host."""

    uri: ReportUri
    status: Permission
    reason: str
    send_to: tuple[ReportUri, ...] = ()
    host: Domain | None = None
    trace: tuple[Step, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "uri": str(self.uri),
            "status": str(self.status),
            "reason": self.reason,
            "send_to": [str(uri) for uri in self.send_to],
            "host": str(self.host) if self.host else None,
        }

    def explain(self) -> str:
        """Line by line: the result, where to send, what was asked."""
        lines = [f"{self.uri}: {self.status}; {self.reason}"]
        if self.send_to and self.send_to != (self.uri,):
            lines.append(f"  instead to {', '.join(map(str, self.send_to))}")
        return "\n".join(lines + [f"  asked {step}" for step in self.trace])


def plan_destinations(discovery: Discovery, tag: str = "rua") -> Lookup[tuple[Destination, ...]]:
    """What became of each address of the record's rua=, or with `tag` "ruf" of its ruf= (RFC 9991 5).

    `discovery` must have a record; its mode says how Organizational Domains are found."""
    record, domain = discovery.record, discovery.domain
    assert record is not None, "no record, hence no address"
    assert domain is not None
    uris = record.ruf if tag == "ruf" else record.rua
    if tag == "ruf" and record.psd is Psd.YES:
        # RFC 9991 2: single messages are not told to a public suffix.
        return tuple(Destination(uri, Permission.REFUSED, "ruf= of a public suffix, psd=y") for uri in uris)
    places = dict(discovery.places)
    made: list[Destination] = []
    for uri in uris[:MAX_DESTINATIONS]:
        made.append((yield from _plan(discovery, domain, uri, tag, places)))
    why = f"only {MAX_DESTINATIONS} addresses are looked at"
    made += [Destination(uri, Permission.UNUSABLE, why) for uri in uris[MAX_DESTINATIONS:]]
    return tuple(made)


def addresses(destinations: Sequence[Destination]) -> tuple[str, ...]:
    """The mail addresses that reports may be sent to, each once."""
    found = (uri.mail_address for one in destinations for uri in one.send_to)
    return tuple(dict.fromkeys(address for address in found if address))


def _plan(
    discovery: Discovery, domain: Domain, uri: ReportUri, tag: str, places: dict[str, Place]
) -> Lookup[Destination]:
    host = host_of(uri)
    if isinstance(host, str):
        return Destination(uri, Permission.UNUSABLE, host)
    trace: list[Step] = []
    same = yield from same_organization(discovery, domain, host, places, trace)
    if same is None:
        return Destination(uri, Permission.TEMPERROR, f"cannot tell the organization of {host}", (), host, tuple(trace))
    if same:
        return Destination(uri, Permission.OWN, f"{host} belongs to {domain}", (uri,), host, tuple(trace))
    name = f"{domain.ascii}._report._dmarc.{host.ascii}"
    if len(name) > MAX_NAME:
        why = f"the name to ask at {host} would be too long"
        return Destination(uri, Permission.UNUSABLE, why, (), host, tuple(trace))
    question = Question(name, "TXT")
    (answer,) = yield (question,)
    trace.append(Step(question, answer))
    status, why, send_to = _judge(answer, name, uri, host, tag)
    return Destination(uri, status, why, send_to, host, tuple(trace))


def _judge(
    answer: Answer, name: str, uri: ReportUri, host: Domain, tag: str
) -> tuple[Permission, str, tuple[ReportUri, ...]]:
    """RFC 9990 4, steps 5 to 9."""
    if answer.failed:
        return Permission.TEMPERROR, f"no answer for {name}: {answer.status}", ()
    records = list(_records(answer))
    if not records:
        return Permission.REFUSED, f"{host} does not say at {name} that it wants these reports", ()
    wanted = [one for record in records for one in (record.ruf if tag == "ruf" else record.rua)]
    if not wanted:
        return Permission.GRANTED, f"{name} says so", (uri,)
    elsewhere = [one for one in wanted if host_of(one) != host]
    if elsewhere:
        # Step 9: then neither the old nor the new address is used.
        return Permission.REFUSED, f"{name} sends the reports on to another host: {str(elsewhere[0])[:80]}", ()
    return Permission.GRANTED, f"{name} names another address", tuple(dict.fromkeys(wanted))


def _records(answer: Answer) -> list[Record]:
    found = []
    for data in answer.records:
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
        try:
            found.append(Record.parse(text))
        except RecordSyntaxError:
            continue
    return found


def host_of(uri: ReportUri) -> Domain | str:
    """The host that receives what is sent to `uri`, or a sentence why there is none."""
    address = uri.mail_address
    if address is None:
        return f"{uri.uri.partition(':')[0][:20]}: is not mailto:, the only way reports are sent"
    try:
        domain = Address.parse(address).domain
    except AddressSyntaxError as error:
        return f"{address[:60]!r} is no single address: {error.why}"
    return domain if isinstance(domain, Domain) else f"{domain} is an address literal, which no name in DNS stands for"
