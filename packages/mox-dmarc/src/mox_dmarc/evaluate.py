"""What does the From domain ask for this message?  RFC 9989 5.3.

    plan_evaluate   a Discovery and what passed -> Lookup[Verdict]
    plan_check      the From domain and what passed -> Lookup[Verdict], both steps in one
    author_domain   the From addresses -> the one Author Domain, or why there is none

Where DNS fails nothing is decided: the verdict is then temperror, and no policy applies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mox_dmarc.align import Alignment, Pass, plan_align
from mox_dmarc.discover import Discovery, Mode, Organization, Presence, plan_discover
from mox_dmarc.record import Record, Request
from mox_dns import Domain, DomainSyntaxError, Lookup, Step
from mox_message import From, MethodResult

HeaderFrom = From | Domain | str | Iterable[Domain | str]

# More passes than this are not held against the From domain; each may cost a walk.
MAX_PASSES = 16


class Status(StrEnum):
    """The result of DMARC in the words of RFC 8601 2.7.1 and its registry."""

    NONE = "none"
    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


@dataclass(frozen=True, slots=True)
class Verdict:
    """DMARC's answer for one message.

    `disposition` is what the From domain asks to be done with it, after t= or pct=; NONE unless `status` is FAIL.
    `request` is the same before t= and pct=.  `aligned` are the passes that counted, `alignments` says of every pass
    why or why not.  What is really done with the message is the receiver's decision."""

    status: Status
    reason: str
    disposition: Request = Request.NONE
    author: Domain | None = None
    policy_domain: Domain | None = None
    organizational: Domain | None = None
    record: Record | None = None
    request: Request = Request.NONE
    testing: bool = False  # t=y or, before RFC 9989, pct= lowered the disposition
    alignments: tuple[Alignment, ...] = ()
    mode: Mode = Mode.RFC9989
    trace: tuple[Step, ...] = ()

    @property
    def aligned(self) -> tuple[Alignment, ...]:
        """The passes that are aligned with the From domain; one is enough."""
        return tuple(alignment for alignment in self.alignments if alignment.aligned)

    def aligned_by(self, means: str) -> bool:
        """Did "spf" or "dkim" bring an aligned pass?  Aggregate reports ask."""
        return any(alignment.means == means for alignment in self.aligned)

    def method_result(self) -> MethodResult:
        """For Authentication-Results, RFC 8601 2.7.1 and RFC 9989 9.2."""
        properties = (("header", "from", str(self.author)),) if self.author is not None else ()
        comment = f"p={self.request} dis={self.disposition}" if self.record is not None else ""
        reason = "" if self.status is Status.PASS else self.reason
        return MethodResult("dmarc", str(self.status), reason, properties, comment)

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "status": str(self.status),
            "reason": self.reason,
            "disposition": str(self.disposition),
            "author": str(self.author) if self.author else None,
            "policy_domain": str(self.policy_domain) if self.policy_domain else None,
            "organizational": str(self.organizational) if self.organizational else None,
            "record": self.record.text if self.record else None,
            "request": str(self.request),
            "testing": self.testing,
            "mode": str(self.mode),
            "alignments": [alignment.to_dict() for alignment in self.alignments],
        }

    def explain(self) -> str:
        """Line by line: the result, the record, each pass, each question."""
        lines = [f"dmarc={self.status}: {self.reason}"]
        if self.record is not None:
            lines.append(f"  record at {self.policy_domain}: {self.record.text}")
            lines.append(f"  asks for {self.request}, so {self.disposition} for this message")
        for alignment in self.alignments:
            word = {True: "aligned", False: "not aligned", None: "left open"}[alignment.aligned]
            lines.append(f"  {alignment.means} {alignment.domain}: {word}; {alignment.reason}")
        lines += [f"  asked {step.question.name} {step.question.type}: {step.answer.status}" for step in self.trace]
        return "\n".join(lines)


def author_domain(header_from: HeaderFrom) -> Domain | str:
    """The one Author Domain, or a sentence that says why there is none (RFC 9989 5.3.1).

    What `mox_message.from_address` found, or domains, or addresses.  Several addresses in one domain have one Author
    Domain."""
    if isinstance(header_from, From):
        if header_from.address is None:
            return header_from.reason
        domain = header_from.address.domain
        return (
            domain if isinstance(domain, Domain) else f"From has the address literal {domain}, which no policy covers"
        )
    given = [header_from] if isinstance(header_from, (Domain, str)) else list(header_from)
    domains: dict[Domain, None] = {}
    for item in given:
        if isinstance(item, str):
            try:
                item = Domain.parse(item.rpartition("@")[2])
            except DomainSyntaxError as error:
                return f"the From domain is not usable: {error.why}"
        domains[item] = None
    if len(domains) == 1:
        return next(iter(domains))
    if not domains:
        return "From has no address, so there is no domain whose policy could apply"
    return f"From has addresses in {len(domains)} domains, so no single policy applies"


def plan_check(
    header_from: HeaderFrom,
    passes: Sequence[Pass],
    *,
    mode: Mode = Mode.RFC9989,
    temporary: bool = False,
    sample: float | None = None,
    organization: Organization | None = None,
) -> Lookup[Verdict]:
    """DMARC for a message with this From, given the domains that SPF and DKIM passed for.

    `temporary` says that one of them could not be told for now.  `sample` is a random number from 0 to below 1 that
    settles pct= in mode RFC7489; without it every message counts.  Without exactly one Author Domain the verdict is
    permerror: RFC 9989 leaves such messages to the receiver."""
    author = author_domain(header_from)
    if isinstance(author, str):
        return Verdict(Status.PERMERROR, author, mode=mode)
    discovery = yield from plan_discover(author, mode, organization=organization)
    return (yield from plan_evaluate(discovery, passes, temporary=temporary, sample=sample))


def plan_evaluate(
    discovery: Discovery, passes: Sequence[Pass], *, temporary: bool = False, sample: float | None = None
) -> Lookup[Verdict]:
    """The verdict, once the record was looked for.  `temporary` and `sample` as in `plan_check`."""
    record = discovery.record
    if discovery.status is Presence.TEMPERROR:
        return _verdict(discovery, Status.TEMPERROR, discovery.reason)
    if record is None:
        return _verdict(discovery, Status.NONE, discovery.reason)
    if not record.usable:
        # RFC 9989 4.10.1: no valid policy and nobody to report to.
        return _verdict(discovery, Status.NONE, f"the record at {discovery.domain} has no valid policy and no rua=")
    trace: list[Step] = []
    alignments = yield from plan_align(discovery, tuple(dict.fromkeys(passes))[:MAX_PASSES], trace)
    trace = [*discovery.trace, *trace]
    good = [alignment for alignment in alignments if alignment.aligned]
    if good:
        return _verdict(discovery, Status.PASS, good[0].reason, alignments, trace)
    open_ones = [alignment for alignment in alignments if alignment.failed]
    if open_ones or temporary:
        # RFC 9989 5.3.6: where DNS fails, the message neither passes nor fails, and no policy applies.
        why = open_ones[0].reason if open_ones else "SPF or DKIM could not be checked for now"
        return _verdict(discovery, Status.TEMPERROR, why, alignments, trace)
    disposition, lowered = _disposition(discovery, record, sample)
    why = "nothing that passed is aligned" if passes else "neither SPF nor DKIM passed"
    return _verdict(
        discovery, Status.FAIL, f"{why} with {discovery.author}{lowered}", alignments, trace, disposition, bool(lowered)
    )


def _disposition(discovery: Discovery, record: Record, sample: float | None) -> tuple[Request, str]:
    """What to do with a failing message, and the words for why it is less than requested, if it is."""
    wanted = discovery.request
    if wanted is Request.NONE:
        return wanted, ""
    if discovery.mode is Mode.RFC9989:
        # RFC 9989 4.7, t: one level below the specified policy.
        return (wanted.lowered, "; lowered because the policy is in test mode, t=y") if record.testing else (wanted, "")
    # RFC 7489 6.6.4: messages that are not sampled get the next weaker policy.
    if sample is not None and sample * 100 >= record.pct:
        return wanted.lowered, f"; lowered because this message is not in the sample, pct={record.pct}"
    return wanted, ""


def _verdict(
    discovery: Discovery,
    status: Status,
    reason: str,
    alignments: tuple[Alignment, ...] = (),
    trace: Sequence[Step] | None = None,
    disposition: Request = Request.NONE,
    lowered: bool = False,
) -> Verdict:
    return Verdict(
        status,
        reason,
        disposition,
        author=discovery.author,
        policy_domain=discovery.domain,
        organizational=discovery.organizational,
        record=discovery.record,
        request=discovery.request,
        testing=lowered,
        alignments=alignments,
        mode=discovery.mode,
        trace=discovery.trace if trace is None else tuple(trace),
    )
