"""Who really sent this?  SPF, DKIM, reverse DNS and the DMARC record side by side, then the DMARC verdict, then the
header fields that say so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import mox_dkim
import mox_dmarc
import mox_dns
import mox_junk
import mox_message
import mox_spf
from moxd.decision import Step

# Hashing a body this large takes long enough for other connections to notice, so it is done in a thread.
IN_THREAD = 512 * 1024


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the session said before the message."""

    ip: IPv4Address | IPv6Address
    helo: str
    mail_from: str  # "" for the null reverse-path
    tls: str = ""  # "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in the clear
    smtputf8: bool = False


@dataclass(frozen=True, slots=True)
class Authentication:
    """The findings, and how they were made."""

    spf: mox_spf.Result
    dkim: tuple[mox_dkim.Result, ...]
    iprev: mox_dns.IprevResult
    dmarc: mox_dmarc.Verdict
    sender: mox_message.From
    questions: tuple[mox_dns.Step, ...]

    def field(self, hostname: str) -> bytes:
        """The Authentication-Results field (RFC 8601)."""
        return mox_message.AuthenticationResults(hostname, tuple(self._methods())).field()

    def _methods(self) -> Iterator[mox_message.MethodResult]:
        for result in self.dkim:
            yield result.method_result()
        if not self.dkim:
            yield mox_message.MethodResult("dkim", "none", "", (), "no signature")
        identity = ("smtp", self.spf.identity, self.spf.domain)
        yield mox_message.MethodResult("spf", str(self.spf.status), "", (identity,))
        yield self.dmarc.method_result()
        named = (("policy", "iprev", self.iprev.name),) if self.iprev.name else ()
        yield mox_message.MethodResult("iprev", str(self.iprev.status), "", named)

    def signals(self, envelope: Envelope) -> mox_junk.Signals:
        """What the judge is told."""
        return mox_junk.Signals(
            spf=str(self.spf.status),
            dmarc=str(self.dmarc.status),
            dmarc_disposition=str(self.dmarc.disposition),
            iprev=str(self.iprev.status),
            dkim_domains=tuple(str(r.domain) for r in self.dkim if r.status is mox_dkim.Status.PASS),
            tls=bool(envelope.tls),
            mail_from=envelope.mail_from,
            from_domain=str(self.dmarc.author or ""),
        )

    def steps(self) -> list[Step]:
        """The findings as steps of the decision."""
        steps = [Step("reverse DNS", str(self.iprev.status), self.iprev.reason, "RFC 8601 3")]
        numbers = {"lookups": self.spf.lookups, "void": self.spf.void_lookups}
        steps.append(Step("SPF", str(self.spf.status), self.spf.reason, "RFC 7208", numbers))
        for result in self.dkim:
            who = f"DKIM {result.domain or 'signature'} {result.selector}".strip()
            bits = {"bits": result.key_bits} if result.key_bits else {}
            steps.append(Step(who, str(result.status), result.reason, "RFC 6376 6.1", bits))
        if not self.dkim:
            steps.append(Step("DKIM", "none", "no signature", "RFC 6376 6.1"))
        steps.append(Step("DMARC", str(self.dmarc.status), self.dmarc.reason, "RFC 9989 5.3"))
        return steps

    def dns(self) -> list[dict[str, Any]]:
        """Every question that was asked, with its answer, as plain data."""
        rows: list[dict[str, Any]] = []
        for step in self.questions:
            answer = step.answer
            shown = (
                "; ".join(map(_shown, answer.records)) if answer.found else f"{answer.status} {answer.detail}".strip()
            )
            row = {"name": step.question.name, "type": step.question.type, "answer": shown, "ttl": answer.ttl}
            if answer.authentic:
                row["authentic"] = True
            rows.append(row)
        return rows


def _shown(record: object) -> str:
    return record.decode("utf-8", "replace") if isinstance(record, bytes) else str(record)


async def authenticate(
    content: mox_message.Content,
    fields: mox_message.Fields,
    envelope: Envelope,
    *,
    resolver: mox_dns.Resolver,
    hostname: str,
    now: float,
    clock: Callable[[], float] = time.monotonic,
) -> Authentication:
    """Checks a message from a stranger; `clock` bounds how long SPF may take.  Never raises for what the sender or DNS
    says; OSError if the spool fails."""
    sender = mox_message.from_address(fields)
    author = mox_dmarc.author_domain(sender)
    lookups: list[mox_dns.Lookup[Any]] = [
        mox_spf.plan_check(envelope.ip, envelope.mail_from, envelope.helo, receiver=hostname, now=now, clock=clock),
        mox_dns.plan_iprev(envelope.ip),
    ]
    if not isinstance(author, str):
        lookups.append(mox_dmarc.plan_discover(author))
    if content.size > IN_THREAD and fields.first("dkim-signature") is not None:
        plans = await asyncio.to_thread(_hashed, content, now)
    else:
        plans = mox_dkim.plan_verify(content, fields, now=now)
    traced: list[mox_dns.Traced[Any]] = await mox_dns.run_together([*lookups, *plans], resolver)
    spf: mox_spf.Result = traced[0].value
    dkim = tuple(found.value for found in traced[len(lookups) :])
    questions = [step for found in traced for step in found.steps]
    if isinstance(author, str):
        dmarc = mox_dmarc.Verdict(mox_dmarc.Status.PERMERROR, author)
    else:
        plan = mox_dmarc.plan_evaluate(traced[2].value, _passes(spf, dkim), temporary=_temporary(spf, dkim))
        verdict = await mox_dns.run(plan, resolver)
        dmarc = verdict.value
        questions += verdict.steps
    return Authentication(spf, dkim, traced[1].value, dmarc, sender, tuple(questions))


def _hashed(content: mox_message.Content, now: float) -> list[mox_dns.Lookup[mox_dkim.Result]]:
    """Reads and hashes the body now, so that nothing is left to do but ask for keys."""
    verifier = mox_dkim.Verifier(now=now)
    for chunk in content.chunks():
        verifier.feed(chunk)
    return verifier.finish()


def _passes(spf: mox_spf.Result, dkim: tuple[mox_dkim.Result, ...]) -> list[mox_dmarc.Pass]:
    found = [
        mox_dmarc.Pass("dkim", r.domain) for r in dkim if r.status is mox_dkim.Status.PASS and r.domain is not None
    ]
    # RFC 9989 4.4.2: the HELO identity counts only for the null reverse-path, and then it is what SPF looked at.
    if spf.status is mox_spf.Status.PASS:
        try:
            found.append(mox_dmarc.Pass("spf", mox_dns.Domain.parse(spf.domain)))
        except mox_dns.DomainSyntaxError:
            pass
    return found


def _temporary(spf: mox_spf.Result, dkim: tuple[mox_dkim.Result, ...]) -> bool:
    return spf.status is mox_spf.Status.TEMPERROR or any(r.status is mox_dkim.Status.TEMPERROR for r in dkim)
