"""What a host must prove: every state of DANE with every state of MTA-STS and every wish of the sender."""

from __future__ import annotations

import time
from itertools import product

import pytest

from kit.certificates import make
from mox_dane import Found
from mox_dane import Status as Dane
from mox_dane import make as make_record
from mox_dns import Tlsa
from mox_mtasts import Mode, Policy, Result, Source
from mox_mtasts import Status as Sts
from mox_queue.message import TlsWish
from mox_queue.requirement import PATIENCE, DaneCheck, Requirement, Skip, require
from mox_smtp import CLEAR, ENCRYPTED, OPPORTUNISTIC, Checked, Pkix

HOST, DOMAIN = "mx.a.example", "a.example"
LEAF = make("leaf", names=[HOST])
GOOD, USELESS = make_record(LEAF.der), Tlsa(1, 1, 1, b"x" * 32)
NOW = time.time()

DANE: dict[str, Found | None] = {
    "-": None,
    "none": Found(Dane.NONE, "no records", HOST),
    "insecure": Found(Dane.INSECURE, "no DNSSEC", HOST),
    "dane": Found(Dane.DANE, "records", HOST, "base.example", (GOOD, USELESS)),
    "unusable": Found(Dane.UNUSABLE, "useless records", HOST, "base.example", (USELESS,), "tlsa-invalid"),
    "temperror": Found(Dane.TEMPERROR, "forged", HOST, failure="dnssec-invalid"),
    "nohost": Found(Dane.NOHOST, "no address", HOST),
}


def policy(mode: Mode, *mx: str) -> Result:
    return Result(Sts.VALID, "a policy", DOMAIN, Policy(mode, mx, 86400), "1", Source.CACHE)


STS: dict[str, Result | None] = {
    "-": None,
    "none": Result(Sts.NONE, "no record", DOMAIN),
    "error": Result(Sts.ERROR, "no policy to be had", DOMAIN, failure="sts-policy-fetch-error"),
    "temperror": Result(Sts.TEMPERROR, "no answer", DOMAIN),
    "off": policy(Mode.NONE, HOST),
    "test+": policy(Mode.TESTING, HOST),
    "test-": policy(Mode.TESTING, "x.example"),
    "enf+": policy(Mode.ENFORCE, "*.a.example"),
    "enf-": policy(Mode.ENFORCE, "x.example"),
}

# opp: TLS if offered, else in the clear · enc: TLS · pkix, dane: verified · test: PKIX, else opp · tenc: PKIX, else enc
# later: not now · never: not at all
TABLE = """
wish      mx        dane       -      none   error  temperror off    test+  test-  enf+   enf-
default   any       -          opp    opp    opp    later     opp    test   test   pkix   later
default   any       none       opp    opp    opp    later     opp    test   test   pkix   later
default   any       insecure   opp    opp    opp    later     opp    test   test   pkix   later
default   any       dane       dane   dane   dane   dane      dane   dane   dane   dane   dane
default   any       unusable   enc    enc    enc    later     enc    tenc   tenc   pkix   later
default   any       temperror  later  later  later  later     later  later  later  later  later
default   any       nohost     later  later  later  later     later  later  later  later  later
require   insecure  -          never  never  never  later     never  pkix   never  pkix   later
require   insecure  none       never  never  never  later     never  pkix   never  pkix   later
require   insecure  insecure   never  never  never  later     never  pkix   never  pkix   later
require   insecure  unusable   never  never  never  later     never  pkix   never  pkix   later
require   secure    -          pkix   pkix   pkix   pkix      pkix   pkix   pkix   pkix   later
require   secure    none       pkix   pkix   pkix   pkix      pkix   pkix   pkix   pkix   later
require   secure    insecure   pkix   pkix   pkix   pkix      pkix   pkix   pkix   pkix   later
require   secure    unusable   pkix   pkix   pkix   pkix      pkix   pkix   pkix   pkix   later
require   any       dane       dane   dane   dane   dane      dane   dane   dane   dane   dane
require   any       temperror  later  later  later  later     later  later  later  later  later
require   any       nohost     later  later  later  later     later  later  later  later  later
optional  any       -          opp    opp    opp    opp       opp    opp    opp    opp    opp
optional  any       none       opp    opp    opp    opp       opp    opp    opp    opp    opp
optional  any       insecure   opp    opp    opp    opp       opp    opp    opp    opp    opp
optional  any       dane       opp    opp    opp    opp       opp    opp    opp    opp    opp
optional  any       unusable   opp    opp    opp    opp       opp    opp    opp    opp    opp
optional  any       temperror  opp    opp    opp    opp       opp    opp    opp    opp    opp
optional  any       nohost     later  later  later  later     later  later  later  later  later
"""
WISHES = {"default": TlsWish.DEFAULT, "require": TlsWish.REQUIRE, "optional": TlsWish.OPTIONAL}


def cells() -> dict[tuple[str, bool, str, str], str]:
    """(wish, MX under DNSSEC, DANE, MTA-STS) -> what is wanted."""
    head, *lines = (line.split() for line in TABLE.strip().splitlines())
    found = {}
    for wish, mx, dane, *wanted in lines:
        for sts, want in zip(head[3:], wanted, strict=True):
            for authentic in {"any": (False, True), "secure": (True,), "insecure": (False,)}[mx]:
                found[wish, authentic, dane, sts] = want
    return found


CELLS = cells()


def asked(wish: str, authentic: bool, dane: str, sts: str, attempt: int = 1) -> Requirement | Skip:
    return require(
        HOST, domain=DOMAIN, dane=DANE[dane], sts=STS[sts], wish=WISHES[wish], mx_authentic=authentic,
        expanded="b.example", now=NOW, attempt=attempt,
    )  # fmt: skip


CHECK = Checked(DaneCheck((GOOD, USELESS), ("base.example", DOMAIN, "b.example"), NOW))
PKIX = Pkix((HOST,))
TRUSTS = {
    "opp": (OPPORTUNISTIC, CLEAR),
    "enc": (ENCRYPTED,),
    "pkix": (PKIX,),
    "dane": (CHECK,),
    "test": (PKIX, OPPORTUNISTIC, CLEAR),
    "tenc": (PKIX, ENCRYPTED),
}


def test_the_table_is_whole() -> None:
    assert set(CELLS) == set(product(WISHES, (False, True), DANE, STS))


@pytest.mark.parametrize("wish, authentic, dane, sts", CELLS)
def test_requirement(wish: str, authentic: bool, dane: str, sts: str) -> None:
    want = CELLS[wish, authentic, dane, sts]
    found = asked(wish, authentic, dane, sts)
    told = found.steps
    if want in ("later", "never"):
        assert isinstance(found, Skip), told
        assert found.temporary is (want == "later")
        assert found.status.startswith("4." if want == "later" else "5.")
    else:
        assert isinstance(found, Requirement), told
        assert found.trusts == TRUSTS[want]
        assert found.verified is (want in ("pkix", "dane"))
        assert found.name == ("base.example" if want in ("dane", "enc") else HOST)
    assert found.reason
    assert all({"what", "outcome", "because", "rule"} == set(step) for step in told)
    if wish == "default" and sts != "-" and dane not in ("dane", "temperror", "nohost"):
        assert any(step["what"] == f"MTA-STS for {HOST}" for step in told)
    # Who may send it in the clear?  Nobody where a policy or the sender says otherwise.
    clear = isinstance(found, Requirement) and CLEAR in found.trusts
    assert not clear or wish == "optional" or (dane in ("-", "none", "insecure") and not sts.startswith("enf"))


REPORTED: dict[tuple[str, str], tuple[str, str]] = {
    ("-", "none"): ("no-policy-found", ""),
    ("none", "off"): ("no-policy-found", ""),
    ("-", "error"): ("sts", "sts-policy-fetch-error"),
    ("insecure", "test+"): ("sts", ""),
    ("insecure", "test-"): ("sts", "validation-failure"),
    ("insecure", "enf+"): ("sts", ""),
    ("insecure", "enf-"): ("sts", "validation-failure"),
    ("dane", "enf-"): ("tlsa", ""),
    ("unusable", "-"): ("tlsa", "tlsa-invalid"),
    ("temperror", "enf+"): ("tlsa", "dnssec-invalid"),
}


@pytest.mark.parametrize("dane, sts", REPORTED)
def test_what_is_counted(dane: str, sts: str) -> None:
    found = asked("default", True, dane, sts)
    assert (found.policy.type, found.failure) == REPORTED[dane, sts]
    assert found.policy.domain == {"tlsa": "base.example"}.get(found.policy.type, DOMAIN) or dane == "temperror"


def test_what_is_counted_under_requiretls() -> None:
    for sts, failure in (("test-", "validation-failure"), ("error", "sts-policy-fetch-error"), ("none", "")):
        found = asked("require", True, "none", sts)
        assert (found.failure, found.policy.type) == (failure, "sts" if failure else "no-policy-found")


def test_policies_are_told_in_full() -> None:
    assert asked("default", True, "dane", "-").policy.strings == (str(GOOD), str(USELESS))
    sts = asked("default", True, "-", "enf+").policy
    assert sts.strings == ("version: STSv1", "mode: enforce", "mx: *.a.example", "max_age: 86400")
    assert sts.mx_hosts == ("*.a.example",)


def test_a_newer_policy_that_cannot_be_had_is_reported_beside_the_cached_one() -> None:
    cached = Result(
        Sts.VALID, "cached", DOMAIN, Policy(Mode.ENFORCE, (HOST,), 1), "1", Source.CACHE, "sts-webpki-invalid"
    )
    found = require(HOST, domain=DOMAIN, sts=cached, now=NOW)
    assert isinstance(found, Requirement)
    assert (found.trusts, found.failure) == ((PKIX,), "sts-webpki-invalid")


def test_patience_ends() -> None:
    assert isinstance(asked("default", False, "-", "temperror", PATIENCE), Skip)
    found = asked("default", False, "-", "temperror", PATIENCE + 1)
    assert isinstance(found, Requirement)
    assert found.trusts == (OPPORTUNISTIC, CLEAR)
    assert isinstance(asked("require", False, "-", "temperror", PATIENCE + 1), Skip)


def test_an_address_cannot_be_required() -> None:
    found = require("[192.0.2.1]", domain="[192.0.2.1]", wish=TlsWish.REQUIRE, mx_authentic=True, now=NOW)
    assert isinstance(found, Skip)
    assert not found.temporary
    assert isinstance(require("[192.0.2.1]", domain="[192.0.2.1]", now=NOW), Requirement)


def test_the_check_is_danes() -> None:
    check = DaneCheck((GOOD,), (HOST,), NOW)
    assert check(LEAF.chain).means == "dane-ee"
    assert check(LEAF.chain).ok
    proof = check(make("other").chain)
    assert (proof.ok, proof.means, proof.failure) == (False, "", "certificate-not-trusted")
    assert not check(()).ok


def test_roots() -> None:
    found = require(HOST, domain=DOMAIN, sts=STS["enf+"], now=NOW, roots="/etc/roots.pem")
    assert isinstance(found, Requirement)
    assert found.trust == Pkix((HOST,), "/etc/roots.pem")
