"""What a report is made of: policies, and how sessions under them failed.  RFC 8460 4.3 and 4.4."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class PolicyType(StrEnum):
    """RFC 8460 4.4."""

    TLSA = "tlsa"
    STS = "sts"
    NO_POLICY = "no-policy-found"


class ResultType(StrEnum):
    """RFC 8460 4.3: why a session failed.  Foreign reports may have others."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_FETCH = "sts-policy-fetch-error"
    STS_INVALID = "sts-policy-invalid"
    STS_WEBPKI = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy that a session was held to.

    `domain`: whose policy it is; the recipient's domain, or under DANE the TLSA base domain (RFC 8460 1.1).  `strings`:
    the policy's lines, or the TLSA records (RFC 8460 4.5).  `mx_hosts`: the MX patterns of an STS policy.  `type`: one
    of PolicyType, but foreign reports may have others."""

    type: str
    domain: str
    strings: tuple[str, ...] = ()
    mx_hosts: tuple[str, ...] = ()

    @classmethod
    def none(cls, domain: str) -> Policy:
        """The domain has neither MTA-STS nor DANE."""
        return cls(PolicyType.NO_POLICY, domain)

    @classmethod
    def sts(cls, domain: str, text: str = "", mx: Iterable[str] = ()) -> Policy:
        """An MTA-STS policy: its text ("" where it could not be had), and its mx patterns."""
        return cls(PolicyType.STS, domain, tuple(line for line in text.splitlines() if line.strip()), tuple(mx))

    @classmethod
    def tlsa(cls, base: str, records: Iterable[object]) -> Policy:
        """The TLSA records of a TLSA base domain, as `3 1 1 …`."""
        return cls(PolicyType.TLSA, base, tuple(map(str, records)))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a session failed, and between whom.  `result`: one of ResultType; empty texts are not reported.

    `reason_code`: what the TLS library said; `information`: a URI with more (RFC 8460 4.4)."""

    result: str
    sending_ip: str = ""
    mx_host: str = ""
    mx_helo: str = ""
    receiving_ip: str = ""
    information: str = ""
    reason_code: str = ""

    def bare(self) -> Failure:
        """Without the details."""
        return Failure(self.result)
