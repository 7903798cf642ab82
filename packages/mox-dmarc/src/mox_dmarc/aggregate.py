"""The aggregate report as a value: who sent in a domain's name, and how it fared.  RFC 9990 3.1, RFC 7489 7.2.

    AggregateReport   one report: whose, about which domain and time, under which policy, and its rows
    Metadata          who reports, and the time it is about
    PolicyPublished   the policy as the reporter saw it
    Row               one source address with one outcome, counted
    Format            the two forms the XML has

What a reporter wrote is foreign text: it is bounded in length, and nothing of it is believed here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mox_dmarc.record import Record, Request, Strictness

# RFC 9990 3.1.3: a row tells of no more signatures than this.
MAX_SIGNATURES = 100


class Format(StrEnum):
    """Which schema the XML follows."""

    RFC9990 = "rfc9990"  # namespace urn:ietf:params:xml:ns:dmarc-2.0
    RFC7489 = "rfc7489"  # no namespace


class Disposition(StrEnum):
    """What was done with the messages of a row.  RFC 9990 tells apart "pass": a policy was there, and was met."""

    NONE = "none"
    PASS = "pass"  # noqa: S105
    QUARANTINE = "quarantine"
    REJECT = "reject"


class OverrideType(StrEnum):
    """Why something else was done than the policy asks: RFC 9990 3.1.6, and the two that RFC 7489 knew beside."""

    LOCAL_POLICY = "local_policy"
    MAILING_LIST = "mailing_list"
    OTHER = "other"
    POLICY_TEST_MODE = "policy_test_mode"
    TRUSTED_FORWARDER = "trusted_forwarder"
    FORWARDED = "forwarded"  # RFC 7489 only
    SAMPLED_OUT = "sampled_out"  # RFC 7489 only


class DiscoveryMethod(StrEnum):
    """How the reporter finds Organizational Domains."""

    PSL = "psl"
    TREEWALK = "treewalk"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Who reports, how to reach them, and the time the report is about: from `begin` to `end`, seconds since 1970."""

    org_name: str
    email: str
    report_id: str
    begin: int
    end: int
    extra_contact_info: str = ""
    errors: tuple[str, ...] = ()
    generator: str = ""


@dataclass(frozen=True, slots=True)
class PolicyPublished:
    """The policy that was found at `domain`.  None where the report does not say."""

    domain: str
    p: Request | None = None
    sp: Request | None = None
    np: Request | None = None
    adkim: Strictness | None = None
    aspf: Strictness | None = None
    testing: bool | None = None
    discovery_method: DiscoveryMethod | None = None
    fo: str = ""
    pct: int | None = None  # RFC 7489 only

    @classmethod
    def of(cls, record: Record, domain: str, method: DiscoveryMethod = DiscoveryMethod.TREEWALK) -> PolicyPublished:
        """What a report says of `record`, found at `domain`; tags that are not there have their default values."""
        return cls(
            domain,
            record.effective_p,
            record.for_subdomain(exists=True),
            record.for_subdomain(exists=False),
            record.adkim,
            record.aspf,
            record.testing,
            method,
            ":".join(record.fo),
            record.pct,
        )


@dataclass(frozen=True, slots=True)
class Override:
    """Why the disposition is not what the policy asks."""

    type: OverrideType
    comment: str = ""


@dataclass(frozen=True, slots=True)
class DkimAuth:
    """What became of one signature, whether aligned or not; `result` in the words of RFC 8601 2.7.1."""

    domain: str
    selector: str
    result: str
    human_result: str = ""


@dataclass(frozen=True, slots=True)
class SpfAuth:
    """What SPF said, whether aligned or not; `result` in the words of RFC 8601 2.7.2, `scope` mfrom, helo or ""."""

    domain: str
    result: str
    scope: str = ""
    human_result: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """An element that the schema leaves to others: its name, its namespace or definition, its text, cut where long."""

    name: str
    definition: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """`count` messages from one address with the same outcome.

    `dkim_aligned` and `spf_aligned` are what DMARC made of them; the two kinds of results stand beside, uninterpreted.
    `envelope_from` is None where it is not told and "" for the null reverse-path."""

    source_ip: str
    count: int
    disposition: Disposition
    dkim_aligned: bool
    spf_aligned: bool
    header_from: str
    envelope_from: str | None = None
    envelope_to: str = ""
    overrides: tuple[Override, ...] = ()
    dkim: tuple[DkimAuth, ...] = ()
    spf: tuple[SpfAuth, ...] = ()
    extensions: tuple[Extension, ...] = ()

    @property
    def passed(self) -> bool:
        """Did DMARC pass?"""
        return self.dkim_aligned or self.spf_aligned

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "source_ip": self.source_ip,
            "count": self.count,
            "disposition": str(self.disposition),
            "dkim_aligned": self.dkim_aligned,
            "spf_aligned": self.spf_aligned,
            "header_from": self.header_from,
            "envelope_from": self.envelope_from,
            "envelope_to": self.envelope_to,
            "overrides": [{"type": str(one.type), "comment": one.comment} for one in self.overrides],
            "dkim": [_plain(one) for one in self.dkim],
            "spf": [_plain(one) for one in self.spf],
            "extensions": [_plain(one) for one in self.extensions],
        }

    def __str__(self) -> str:
        means = [name for name, good in (("DKIM", self.dkim_aligned), ("SPF", self.spf_aligned)) if good]
        verdict = f"pass by {' and '.join(means)}" if means else "fail"
        why = "".join(f", {one.type}{f' ({one.comment})' if one.comment else ''}" for one in self.overrides)
        return f"{self.count} from {self.source_ip} as {self.header_from}: {verdict}, {self.disposition}{why}"


@dataclass(frozen=True, slots=True)
class AggregateReport:
    """One report.  `problems` says what in its XML was not as the schema wants; what could be read stands here."""

    metadata: Metadata
    policy: PolicyPublished
    rows: tuple[Row, ...]
    format: Format = Format.RFC9990
    version: str = ""
    extensions: tuple[Extension, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def messages(self) -> int:
        """How many messages the report counts."""
        return sum(row.count for row in self.rows)

    @property
    def passed(self) -> int:
        """How many of them passed DMARC."""
        return sum(row.count for row in self.rows if row.passed)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        meta, policy = self.metadata, self.policy
        return {
            "format": str(self.format),
            "version": self.version,
            "org_name": meta.org_name,
            "email": meta.email,
            "extra_contact_info": meta.extra_contact_info,
            "report_id": meta.report_id,
            "begin": meta.begin,
            "end": meta.end,
            "errors": list(meta.errors),
            "generator": meta.generator,
            "policy": _plain(policy),
            "messages": self.messages,
            "passed": self.passed,
            "rows": [row.to_dict() for row in self.rows],
            "extensions": [_plain(one) for one in self.extensions],
            "problems": list(self.problems),
        }

    def explain(self) -> str:
        """Line by line: who reports what about whom, the rows with most messages first, what was odd."""
        meta, policy = self.metadata, self.policy
        asked = [f"{name}={value}" for name, value in (("p", policy.p), ("sp", policy.sp), ("np", policy.np)) if value]
        lines = [
            f"{meta.org_name or meta.email} about {policy.domain}: {self.passed} of {self.messages} messages passed",
            f"  report {meta.report_id}, from {_moment(meta.begin)} to {_moment(meta.end)}",
            f"  policy {' '.join(asked) or 'not told'}{', in test mode' if policy.testing else ''}",
        ]
        lines += [f"  {row}" for row in sorted(self.rows, key=lambda row: -row.count)]
        lines += [f"  the reporter says: {error}" for error in meta.errors]
        return "\n".join(lines + [f"  problem: {problem}" for problem in self.problems])


def by_preference(signatures: Iterable[DkimAuth], author: str, aligned: Iterable[str]) -> tuple[DkimAuth, ...]:
    """The signatures a row should tell of, most telling first, at most MAX_SIGNATURES (RFC 9990 3.1.3).

    `author` is the From domain, `aligned` the domains that are aligned with it."""
    good = set(aligned)

    def rank(one: DkimAuth) -> int:
        if one.result != "pass":
            return 3
        return 0 if one.domain == author else 1 if one.domain in good else 2

    return tuple(sorted(signatures, key=rank)[:MAX_SIGNATURES])


def _plain(value: object) -> dict[str, object]:
    from dataclasses import fields

    made = {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]
    return {name: str(one) if isinstance(one, StrEnum) else one for name, one in made.items()}


def _moment(seconds: int) -> str:
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
