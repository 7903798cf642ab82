"""Is the chain that the server sent what DNS vouches for?  RFC 7672 3, RFC 7671 5 and 9; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mox_dane.tlsa import Matching, Selector, Usage, association, selected, why_unusable
from mox_dns import Tlsa

if TYPE_CHECKING:
    from mox_dane.path import Certificate

# Result types of RFC 8460 4.3.
NAME_MISMATCH = "certificate-host-mismatch"
EXPIRED = "certificate-expired"
NOT_TRUSTED = "certificate-not-trusted"
TLSA_INVALID = "tlsa-invalid"


class Outcome(StrEnum):
    """What a chain is worth."""

    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    UNUSABLE = "unusable"  # no record counts; TLS suffices (RFC 7672 2.2)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a chain is worth, and how that came.

    `means`: "dane-ee" or "dane-ta".  `record`: the one that matched; `depth`: the certificate that it matched, 0 for
    the server's.  `name`: the reference identifier that the certificate bears, under DANE-TA.  `failure`: a result type
    of RFC 8460.  `trace`: each record that counts, and what came of it."""

    status: Outcome
    reason: str
    means: str = ""
    record: Tlsa | None = None
    depth: int = 0
    name: str = ""
    failure: str = ""
    trace: tuple[str, ...] = ()

    def explain(self) -> str:
        """The verdict and each step, a line each."""
        return "\n".join([f"dane={self.status}: {self.reason}", *(f"  {step}" for step in self.trace)])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "means": self.means,
            "record": None if self.record is None else str(self.record),
            "depth": self.depth,
            "name": self.name,
            "failure": self.failure,
            "trace": list(self.trace),
        }


def verify(chain: Sequence[bytes], records: Iterable[Tlsa], *, names: Sequence[str] = (), now: float) -> Verdict:
    """Judges `chain`, the certificates as the server sent them (DER, its own first), by `records`.

    DANE-EE: the server's certificate or key is the record's; neither names nor dates count (RFC 7672 3.1.1, RFC 7671
    5.1).  DANE-TA: its certificate is signed, over what it sent, by the record's, all of them are valid `now` (seconds
    since 1970), and it bears one of `names` (RFC 7672 3.2.2; see `reference_names`).  Raises nothing, whatever the
    chain holds."""
    records = tuple(records)
    usable = selected(records)
    passed_over = tuple(f"{_short(record)}: {why_unusable(record)}" for record in records if why_unusable(record))
    if not usable:
        why = "none of the records counts; any certificate will do" if records else "there are no records"
        return Verdict(Outcome.UNUSABLE, why, failure=TLSA_INVALID if records else "", trace=passed_over)
    if not chain:
        return Verdict(Outcome.FAIL, "the server has sent no certificate", failure=NOT_TRUSTED, trace=passed_over)
    tried: list[str] = [*passed_over]
    failures: list[_Failed] = []
    # The server's own key first: it costs a digest.
    for record in sorted(usable, key=lambda record: -record.usage):
        judged = _end_entity(chain, record) if record.usage == Usage.DANE_EE else _anchor(chain, record, names, now)
        if isinstance(judged, Verdict):
            trace = (*tried, f"{_short(record)}: {judged.reason}")
            return Verdict(
                judged.status, judged.reason, judged.means, record, judged.depth, judged.name, "", trace
            )  # fmt: skip
        tried.append(f"{_short(record)}: {judged.why}")
        failures.append(judged)
    worst = max(failures, key=lambda failed: failed.near)
    return Verdict(Outcome.FAIL, worst.why, failure=worst.failure, trace=tuple(tried))


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why a record does not take a chain; `near`: how much of it fitted, so that the best reason is told."""

    why: str
    failure: str = NOT_TRUSTED
    near: int = 0


def _short(record: Tlsa) -> str:
    text = str(record)
    return text if len(text) <= 40 else text[:39] + "…"


def _end_entity(chain: Sequence[bytes], record: Tlsa) -> Verdict | _Failed:
    part = "key" if record.selector == Selector.SPKI else "certificate"
    if association(chain[0], record.selector, record.matching) == record.data:
        return Verdict(Outcome.PASS, f"DNS vouches for the server's {part}", "dane-ee", depth=0)
    return _Failed(f"the server's {part} is another than DNS says")


def _anchor(chain: Sequence[bytes], record: Tlsa, names: Sequence[str], now: float) -> Verdict | _Failed:
    """RFC 7671 5.2, RFC 7672 3.1.2 and 3.2.2."""
    failed = _Failed("no certificate above the server's is the one that DNS vouches for")
    for path, depth in _ways(chain, record):
        judged = _whole(path, depth, names, now)
        if isinstance(judged, Verdict):
            return judged
        if judged.near > failed.near:
            failed = judged
    return failed


def _ways(chain: Sequence[bytes], record: Tlsa) -> Iterator[tuple[tuple[Certificate, ...], int]]:
    """Ways from the server's certificate to the anchor, and the depth of that: the path's length for a bare key."""
    from mox_dane.path import Certificate, open_ends, paths

    certificates = [Certificate(der) for der in chain]

    def is_anchor(one: Certificate) -> bool:
        return association(one.der, record.selector, record.matching) == record.data

    for path in paths(certificates, is_anchor):
        yield path, len(path) - 1
    if record.matching != Matching.FULL:
        return
    # RFC 7671 5.2.2 and 5.2.3: the record holds the anchor, so the server need not send it.
    if record.selector == Selector.CERT:
        anchor = Certificate(record.data)
        for path in open_ends(certificates, lambda one: one.der != anchor.der and one.signed_by(anchor)):
            yield (*path, anchor), len(path)
    else:
        for path in open_ends(certificates, lambda one: one.signed_with(record.data)):
            yield path, len(path)


def _whole(path: tuple[Certificate, ...], depth: int, names: Sequence[str], now: float) -> Verdict | _Failed:
    """Does every certificate of a path hold (RFC 5280 6.1)?"""
    try:
        for below, one in enumerate(path):
            if why := one.why_no_server() if below == 0 else one.why_no_issuer(below - 1):
                return _Failed(f"certificate {below} of the chain: {why}", NOT_TRUSTED, 1)
            for under in path[:below]:
                if why := one.why_not_allowed(under):
                    return _Failed(f"certificate {below} of the chain {why}", NOT_TRUSTED, 1)
        for number, one in enumerate(path):
            if why := one.why_not_now(now):
                return _Failed(f"certificate {number} of the chain: {why}", EXPIRED, 2)
        bears = path[0].dns_names
    except ValueError as error:
        return _Failed(f"a certificate makes no sense: {str(error)[:200]}", NOT_TRUSTED, 1)
    for name in names:
        if any(matches(pattern, name) for pattern in bears):
            return Verdict(
                Outcome.PASS, f"DNS vouches for certificate {depth} of the chain", "dane-ta", None, depth, name
            )
    shown = ", ".join(bears[:10]) or "no host"
    return _Failed(
        f"the certificate is for {shown[:300]}, not for {' or '.join(names) or 'any name'}", NAME_MISMATCH, 3
    )


def matches(pattern: str, name: str) -> bool:
    """Is `name` what `pattern` of a certificate stands for?  RFC 7672 3.2.3: `*` is the whole first label."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == name and "*" not in name
    label, _, parent = name.partition(".")
    return bool(label) and pattern[2:] == parent and "*" not in name
