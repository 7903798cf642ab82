"""Who really sent this?  SPF, DKIM, reverse DNS and the DMARC record side by side, then the DMARC verdict, then the
header fields that say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import mox_dkim
import mox_dmarc
import mox_dns
import mox_message
import mox_spf
from moxd.decision import Step


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

    def methods(self) -> Iterator[mox_message.MethodResult]:
        """A clause of Authentication-Results (RFC 8601) for each method."""
        for result in self.dkim:
            properties = [("header", "d", str(result.domain)), ("header", "s", result.selector or "")] if result.domain else []
            if result.signature_prefix:
                properties.append(("header", "b", result.signature_prefix))
            yield mox_message.MethodResult("dkim", result.status, result.reason, tuple(properties), "")
        if not self.dkim:
            yield mox_message.MethodResult("dkim", "none", "", (), "no signature")
        identity = ("smtp", "mailfrom" if self.spf.identity == "mailfrom" else "helo", str(self.spf.domain))
        yield mox_message.MethodResult("spf", self.spf.status, "", (identity,), "")
        if self.sender.address is not None:
            header_from = ("header", "from", self.sender.address.domain.ascii)
            yield mox_message.MethodResult("dmarc", self.dmarc.status, "", (header_from,), "")
        else:
            yield mox_message.MethodResult("dmarc", self.dmarc.status, self.sender.reason, (), "")

    def steps(self) -> list[Step]:
        """The findings as steps of the decision."""
        steps = [Step("reverse DNS", self.iprev.status, self.iprev.reason, "RFC 8601 3")]
        numbers = {"lookups": self.spf.lookups, "void": self.spf.void_lookups}
        steps.append(Step("SPF", self.spf.status, self.spf.reason, "RFC 7208", numbers))
        for result in self.dkim:
            who = f"DKIM {result.domain} {result.selector}" if result.domain else "DKIM"
            steps.append(Step(who, result.status, result.reason, "RFC 6376 6.1"))
        if not self.dkim:
            steps.append(Step("DKIM", "none", "no signature", "RFC 6376"))
        steps.append(Step("DMARC", self.dmarc.status, self.dmarc.reason, "RFC 9989"))
        return steps

    def dns(self) -> list[dict[str, Any]]:
        """Every question that was asked, with its answer, as plain data."""
        rows: list[dict[str, Any]] = []
        for step in self.questions:
            answer = step.answer
            shown = "; ".join(map(_shown, answer.records)) if answer.found else f"{answer.status} {answer.detail}".strip()
            rows.append({"name": step.question.name, "type": step.question.type, "answer": shown, "ttl": answer.ttl})
            if answer.authentic:
                rows[-1]["authentic"] = True
        return rows


def _shown(record: object) -> str:
    return record.decode("utf-8", "replace") if isinstance(record, bytes) else str(record)
