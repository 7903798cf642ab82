"""Is an authenticated domain the author's?  Strict and relaxed alignment, RFC 9989 4.4 and 4.10.2, RFC 7489 3.1.

    Pass          a domain that passed by some means
    Alignment     whether it is aligned, and why
    plan_align    Discovery and passes -> Lookup of their alignments
    same_organization   two domains -> Lookup: is their Organizational Domain the same?

Strict alignment is equality; relaxed is the same Organizational Domain, which may cost DNS questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mox_dmarc.discover import Discovery, Mode, Place, ask_places, organizational, walk_names, walked
from mox_dmarc.record import Strictness
from mox_dns import Domain, Lookup, Step


@dataclass(frozen=True, slots=True)
class Pass:
    """A domain that was authenticated, and by which means: "spf" (the MAIL FROM domain) or "dkim" (a d= tag)."""

    means: str
    domain: Domain


@dataclass(frozen=True, slots=True)
class Alignment:
    """One pass held against the From domain.

    `aligned` is None where it was not needed (the means has an aligned pass already) or not to be told (`failed`)."""

    means: str
    domain: Domain
    aligned: bool | None
    strictness: Strictness
    reason: str
    organizational: Domain | None = None
    failed: bool = False

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {
            "means": self.means,
            "domain": str(self.domain),
            "aligned": self.aligned,
            "strictness": str(self.strictness),
            "organizational": str(self.organizational) if self.organizational else None,
            "reason": self.reason,
        }


def plan_align(discovery: Discovery, passes: Sequence[Pass], trace: list[Step]) -> Lookup[tuple[Alignment, ...]]:
    """Hold every pass against the author of `discovery`, whose record must have been found.

    DNS is asked only for relaxed alignment of different domains of one family, and for no means that is aligned."""
    record = discovery.record
    assert record is not None, "there is nothing to align with where no record was found"
    places = dict(discovery.places)
    outcome: dict[int, Alignment] = {}
    settled: set[str] = set()
    for index, candidate in enumerate(passes):
        strictness = record.adkim if candidate.means == "dkim" else record.aspf
        quick = _without_dns(discovery.author, candidate, strictness)
        if quick is not None:
            outcome[index] = quick
            if quick.aligned:
                settled.add(candidate.means)
    for index, candidate in enumerate(passes):
        if index in outcome:
            continue
        if candidate.means in settled:
            why = f"not needed: {candidate.means} is aligned already"
            outcome[index] = Alignment(candidate.means, candidate.domain, None, Strictness.RELAXED, why)
            continue
        outcome[index] = found = yield from _relaxed(discovery, candidate, places, trace)
        if found.aligned:
            settled.add(candidate.means)
    return tuple(outcome[index] for index in range(len(passes)))


def _without_dns(author: Domain, candidate: Pass, strictness: Strictness) -> Alignment | None:
    """The answers that need no Organizational Domain."""
    means, domain = candidate.means, candidate.domain
    if domain == author:
        return Alignment(means, domain, True, strictness, f"{means} passed for the From domain itself")
    if strictness is Strictness.STRICT:
        return Alignment(means, domain, False, strictness, f"{domain} is not {author}, and alignment is strict")
    if domain.ascii.rpartition(".")[2] != author.ascii.rpartition(".")[2]:
        return Alignment(means, domain, False, strictness, f"{domain} has nothing in common with {author}")
    return None


def _relaxed(discovery: Discovery, candidate: Pass, places: dict[str, Place], trace: list[Step]) -> Lookup[Alignment]:
    """The same Organizational Domain?  Each identifier by its own walk (RFC 9989 4.10.2)."""
    found = yield from _organizations(discovery, discovery.author, candidate.domain, places, trace)
    if isinstance(found, Place):
        return Alignment(candidate.means, candidate.domain, None, Strictness.RELAXED, found.why, failed=True)
    if found is None:
        why = f"{candidate.domain} and {discovery.author} share no domain that has a DMARC record"
        return Alignment(candidate.means, candidate.domain, False, Strictness.RELAXED, why)
    return _compare(candidate, *found)


def same_organization(
    discovery: Discovery, one: Domain, other: Domain, places: dict[str, Place], trace: list[Step]
) -> Lookup[bool | None]:
    """Have two domains the same Organizational Domain, by the rules of `discovery`?  None where DNS does not say."""
    if one == other:
        return True
    if one.ascii.rpartition(".")[2] != other.ascii.rpartition(".")[2]:
        return False
    found = yield from _organizations(discovery, one, other, places, trace)
    if isinstance(found, Place):
        return None
    return found is not None and found[0] == found[1]


def _organizations(
    discovery: Discovery, one: Domain, other: Domain, places: dict[str, Place], trace: list[Step]
) -> Lookup[tuple[Domain, Domain] | Place | None]:
    """The two Organizational Domains; the place without an answer; None where they cannot be the same."""
    if discovery.mode is Mode.RFC7489:
        assert discovery.organization is not None
        return discovery.organization(one) or one, discovery.organization(other) or other
    mine, theirs = walk_names(one.ascii), walk_names(other.ascii)
    # Two different domains can only have one Organizational Domain if a record stands at a name that both walks pass
    # (or, for psd=y, just above it).  Those names are few and mostly known, so they are asked first.
    common = [name for name in theirs if name in mine]
    yield from ask_places(common, places, trace)
    if not any(places[name].failed or places[name].record is not None for name in common):
        return None
    yield from ask_places((*mine, *theirs), places, trace)
    organizations = []
    for domain in (one, other):
        if domain == discovery.author and discovery.organizational is not None:
            organizations.append(discovery.organizational)  # its walk is done
            continue
        met, trouble = walked(domain.ascii, places)
        if trouble is not None:
            return trouble
        organizations.append(Domain(organizational(domain.ascii, met)))
    return organizations[0], organizations[1]


def _compare(candidate: Pass, ours: Domain, theirs: Domain) -> Alignment:
    same = ours == theirs
    why = f"{candidate.domain} belongs to {theirs}" + ("" if same else f", the From domain to {ours}")
    return Alignment(candidate.means, candidate.domain, same, Strictness.RELAXED, why, theirs)
