"""What must this host prove before it is given the message?  The pure decision.

    DANE             RFC 7672: where DNSSEC vouches for TLSA records, they decide alone (RFC 8461 2)
    MTA-STS          RFC 8461: else the policy of the recipient's domain
    REQUIRETLS       RFC 8689 4.2.1: a host that is rightly found, and verified, or none at all
    TLS-Required: No RFC 8689 4.2.2: the sender would rather have it arrive; policies are passed over

An answer is either a Requirement, with what to try in order, or a Skip.  Both tell their steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mox_dane import Found, Outcome, verify
from mox_dane import Status as Dane
from mox_dns import Tlsa
from mox_mtasts import Action, judge_host
from mox_mtasts import Result as StsResult
from mox_mtasts import Status as Sts
from mox_queue.message import TlsWish
from mox_smtp import CLEAR, ENCRYPTED, OPPORTUNISTIC, Checked, Pkix, Proof, Trust
from mox_tlsrpt import Policy

# Attempts that wait while DNS does not say whether there is an MTA-STS policy.  RFC 8461 is silent.  Not to wait would
# let whoever can drop one answer undo a policy; to wait for ever would bar mail to domains whose servers fail at the
# name, though the same attacker could as well forge the answer that there is none.
PATIENCE = 3


@dataclass(frozen=True, slots=True)
class DaneCheck:
    """mox_smtp's Check: a chain must be what the TLSA records vouch for.  `now`: seconds since 1970."""

    records: tuple[Tlsa, ...]
    names: tuple[str, ...]
    now: float

    def __call__(self, chain: tuple[bytes, ...]) -> Proof:
        """What the chain proves."""
        verdict = verify(chain, self.records, names=self.names, now=self.now)
        passed = verdict.status is Outcome.PASS
        return Proof(verdict.means if passed else "", "" if passed else verdict.failure, verdict.reason)


@dataclass(frozen=True, slots=True)
class Requirement:
    """The host may be used.  `trusts`: what to ask of it, in order; the next is tried where TLS failed at the last.

    `name`: what to send as SNI, and to know the host by.  `policy`: under which to count the session (RFC 8460 4.4);
    a failure at the first of `trusts` is counted, also where the next one helps.  `failure`: a result type that is to
    be counted whatever happens, "" for none."""

    host: str
    name: str
    trusts: tuple[Trust, ...]
    reason: str
    policy: Policy
    failure: str = ""
    steps: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    @property
    def trust(self) -> Trust:
        """What to ask for first."""
        return self.trusts[0]

    @property
    def verified(self) -> bool:
        """Only to a host that has proven who it is."""
        return len(self.trusts) == 1 and isinstance(self.trust, Pkix | Checked)


@dataclass(frozen=True, slots=True)
class Skip:
    """Not to this host.  `temporary`: asking later may help; `status`: an enhanced code (RFC 3463) for the sender."""

    host: str
    reason: str
    temporary: bool
    status: str
    policy: Policy
    failure: str = ""
    steps: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)


def require(
    host: str,
    *,
    domain: str,
    dane: Found | None = None,
    sts: StsResult | None = None,
    wish: TlsWish = TlsWish.DEFAULT,
    mx_authentic: bool = False,
    expanded: str = "",
    now: float,
    attempt: int = 1,
    roots: str = "",
) -> Requirement | Skip:
    """What `host` must prove to get mail for `domain` (both in A-form, or an address literal).

    `dane`: of the host, and `sts`: of the domain; None where nobody has asked.  `mx_authentic`: DNSSEC vouches for the
    MX records; `expanded`: where CNAMEs of the domain led (RFC 7672 3.2.2).  `now`: seconds since 1970.  `attempt`: the
    first is 1.  `roots`: a PEM file in place of the system's roots."""
    return _Decision(host, domain, dane, sts, mx_authentic, expanded, now, attempt, roots).made(wish)


class _Decision:
    """One decision on its way: each rule notes a step, and the first that has an answer gives it."""

    def __init__(
        self,
        host: str,
        domain: str,
        dane: Found | None,
        sts: StsResult | None,
        mx_authentic: bool,
        expanded: str,
        now: float,
        attempt: int,
        roots: str,
    ) -> None:
        self.host, self.domain, self.dane, self.sts = host, domain, dane, sts
        self.mx_authentic, self.expanded = mx_authentic, expanded
        self.now, self.attempt = now, attempt
        self.pkix = Pkix((host,), roots)
        self.steps: list[dict[str, Any]] = []

    def made(self, wish: TlsWish) -> Requirement | Skip:
        if self.dane is not None and self.dane.status is Dane.NOHOST:
            self.note("DANE", "no address", self.dane.reason, "RFC 5321 5.1")
            return self.skip(self.dane.reason, "4.4.3", self.no_policy())
        if wish is TlsWish.OPTIONAL:
            self.note("TLS-Required: No", "policies are passed over", "the sender asks for it", "RFC 8689 4.2.2")
            return self.may((OPPORTUNISTIC, CLEAR), "the sender passes over TLS policies", self.no_policy())
        decided = self.by_dane()
        if decided is not None:
            return decided
        return self.by_requiretls() if wish is TlsWish.REQUIRE else self.by_sts()

    # DANE, RFC 7672

    def by_dane(self) -> Requirement | Skip | None:
        """RFC 8461 2: MTA-STS must not override DANE."""
        dane = self.dane
        if dane is None:
            return None
        self.note("DANE", dane.status.value, dane.reason, "RFC 7672 2.2")
        policy = Policy.tlsa(dane.base or self.host, dane.records)
        if dane.status is Dane.TEMPERROR:
            return self.skip(dane.reason, "4.7.5", policy, dane.failure)
        if dane.status is not Dane.DANE:
            return None
        names = tuple(dict.fromkeys(name for name in (dane.base, self.domain, self.expanded) if name))
        check = Checked(DaneCheck(dane.records, names, self.now))
        return self.may((check,), "TLSA records say which certificate", policy, name=dane.base)

    # MTA-STS, RFC 8461

    def by_sts(self) -> Requirement | Skip:
        sts = self.sts
        if sts is not None and sts.status is Sts.TEMPERROR:
            if self.attempt <= PATIENCE:
                self.note("MTA-STS", "wait", sts.reason, "RFC 8461 3.1")
                return self.skip(sts.reason, "4.7.0", self.sts_policy())
            self.note(
                "MTA-STS", f"not known after {PATIENCE} attempts, no longer waited for", sts.reason, "RFC 8461 3.1"
            )
        ruling = judge_host(sts.policy if sts is not None else None, self.host)
        if sts is not None and sts.status is not Sts.TEMPERROR:
            because = ruling.reason if sts.policy is not None else sts.reason
            self.note("MTA-STS", ruling.action.value, because, "RFC 8461 5")
        if ruling.action is Action.SKIP:
            return self.skip(ruling.reason, "4.7.0", self.sts_policy(), ruling.failure)
        if ruling.action is Action.ENFORCE:
            return self.may((self.pkix,), ruling.reason, self.sts_policy(), self.sts_failure())
        if ruling.action is Action.REPORT:
            failure = ruling.failure or self.sts_failure()
            # What would have failed is found out by trying; the mail goes all the same.
            return self.may((self.pkix, *self.unpoliced()), ruling.reason, self.sts_policy(), failure)
        return self.unrequired()

    def unrequired(self) -> Requirement:
        """Neither policy says anything."""
        trusts = self.unpoliced()
        if self.is_unusable():
            assert self.dane is not None
            policy = Policy.tlsa(self.dane.base, self.dane.records)
            return self.may(trusts, self.dane.reason, policy, self.dane.failure, self.dane.base)
        failure = self.sts_failure()
        policy = self.sts_policy() if failure else self.no_policy()
        return self.may(trusts, "no policy; TLS where it is offered", policy, failure)

    def unpoliced(self) -> tuple[Trust, ...]:
        """RFC 7435; but RFC 7672 2.2: records, none usable, still mean TLS."""
        return (ENCRYPTED,) if self.is_unusable() else (OPPORTUNISTIC, CLEAR)

    def is_unusable(self) -> bool:
        return self.dane is not None and self.dane.status is Dane.UNUSABLE

    # REQUIRETLS, RFC 8689 4.2.1

    def by_requiretls(self) -> Requirement | Skip:
        """The host must be rightly found (by DNSSEC, or named by an MTA-STS policy), and prove its name."""
        rule = "RFC 8689 4.2.1"
        sts = self.sts
        if sts is not None and sts.status is Sts.TEMPERROR and not self.mx_authentic:
            self.note("REQUIRETLS", "wait", sts.reason, rule)
            return self.skip(sts.reason, "4.7.0", self.sts_policy())
        ruling = judge_host(sts.policy if sts is not None else None, self.host)
        if ruling.action is Action.SKIP:
            self.note("MTA-STS", "skip", ruling.reason, "RFC 8461 5")
            return self.skip(ruling.reason, "4.7.0", self.sts_policy(), ruling.failure)
        if ruling.pattern:
            self.note("REQUIRETLS", "PKIX", ruling.reason, rule)
            return self.may((self.pkix,), ruling.reason, self.sts_policy(), self.sts_failure())
        if self.mx_authentic and not self.host.startswith("["):
            why = f"DNSSEC vouches for the MX records of {self.domain}"
            self.note("REQUIRETLS", "PKIX", why, rule)
            failure = ruling.failure or self.sts_failure()
            policy = self.sts_policy() if failure else self.no_policy()
            return self.may((self.pkix,), why, policy, failure)
        why = f"the message requires TLS, but neither DNSSEC nor MTA-STS vouches for the hosts of {self.domain}"
        self.note("REQUIRETLS", "not to this host", why, rule)
        return Skip(self.host, why, False, "5.7.10", self.no_policy(), "", tuple(self.steps))

    # answers

    def may(
        self, trusts: tuple[Trust, ...], reason: str, policy: Policy, failure: str = "", name: str = ""
    ) -> Requirement:
        return Requirement(self.host, name or self.host, trusts, reason, policy, failure, tuple(self.steps))

    def skip(self, reason: str, status: str, policy: Policy, failure: str = "") -> Skip:
        # RFC 8461 5, RFC 7672 2.1.2: what is not well now may be mended, so the sender hears of it only at the end.
        return Skip(self.host, reason, True, status, policy, failure, tuple(self.steps))

    def no_policy(self) -> Policy:
        return Policy.none(self.domain)

    def sts_policy(self) -> Policy:
        policy = self.sts.policy if self.sts is not None else None
        return Policy.sts(
            self.domain, str(policy) if policy is not None else "", policy.mx if policy is not None else ()
        )

    def sts_failure(self) -> str:
        return self.sts.failure if self.sts is not None else ""

    def note(self, what: str, outcome: str, because: str, rule: str) -> None:
        self.steps.append({"what": f"{what} for {self.host}", "outcome": outcome, "because": because, "rule": rule})
