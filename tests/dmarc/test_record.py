"""RFC 9989 4.7 and 4.8: what a record says, and what stays of one that is partly wrong."""

from __future__ import annotations

import pytest

from mox_dmarc import Psd, Record, RecordSyntaxError, ReportUri, Request, Strictness


def test_everything_that_can_be_said() -> None:
    record = Record.parse(
        "v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=r; psd=n; t=y; fo=1:d:s; "
        "rua=mailto:a@example.org,mailto:b@example.net!10m; ruf=https://r.example.org/x; pct=20; ri=3600"
    )
    assert (record.p, record.sp, record.np) == (Request.REJECT, Request.QUARANTINE, Request.NONE)
    assert (record.adkim, record.aspf, record.psd) == (Strictness.STRICT, Strictness.RELAXED, Psd.NO)
    assert record.testing
    assert record.fo == ("1", "d", "s")
    assert record.rua == (ReportUri("mailto:a@example.org"), ReportUri("mailto:b@example.net", 10 << 20))
    assert record.ruf == (ReportUri("https://r.example.org/x"),)
    assert (record.pct, record.ri) == (20, 3600)
    assert record.problems == ()


NOT_RECORDS = {
    "nothing": "",
    "another record": "v=spf1 -all",
    "version not first": "p=none; v=DMARC1",
    "version in small letters": "v=dmarc1; p=none",
    "version with something behind it": "v=DMARC10; p=none",
    "version without value": "v=; p=none",
    "tag name in capitals": "V=DMARC1; p=none",
    "white space before": " v=DMARC1; p=none",
    "far too long": "v=DMARC1; p=none; x=" + "a" * 9000,
}


@pytest.mark.parametrize("text", NOT_RECORDS.values(), ids=NOT_RECORDS)
def test_no_record_at_all(text: str) -> None:
    with pytest.raises(RecordSyntaxError):
        Record.parse(text)


# text -> (p that counts, for a subdomain, for one that does not exist, usable, tags with problems)
POLICIES = {
    "plain": ("v=DMARC1; p=reject", "reject", "reject", "reject", True, []),
    "white space around =": ("v = DMARC1 ; p = reject", "reject", "reject", "reject", True, []),
    "sp": ("v=DMARC1; p=none; sp=reject", "none", "reject", "reject", True, []),
    "np": ("v=DMARC1; p=none; np=reject", "none", "none", "reject", True, []),
    "case of values": ("v=DMARC1; p=ReJect; SP=none", "reject", "reject", "reject", True, [""]),
    "no p, no rua: nothing to do": ("v=DMARC1; adkim=s", "none", "none", "none", False, [""]),
    "no p, rua: reports": ("v=DMARC1; rua=mailto:a@b.example", "none", "none", "none", True, [""]),
    "wrong p, no rua": ("v=DMARC1; p=block", "none", "none", "none", False, ["p"]),
    "wrong p, rua": ("v=DMARC1; p=block; rua=mailto:a@b.example", "none", "none", "none", True, ["p"]),
    "wrong sp spoils p as well, 4.10.1": ("v=DMARC1; p=reject; sp=x", "none", "none", "none", False, ["sp"]),
    "wrong np spoils p as well, 4.10.1": (
        "v=DMARC1; p=reject; np=x; rua=mailto:a@b.example",
        "none",
        "none",
        "none",
        True,
        ["np"],
    ),
    "a wrong adkim has its default": ("v=DMARC1; p=reject; adkim=x", "reject", "reject", "reject", True, ["adkim"]),
    "first of two": ("v=DMARC1; p=reject; p=none", "reject", "reject", "reject", True, [""]),
    "a tag without =": ("v=DMARC1; p=reject; oops; t=n", "reject", "reject", "reject", True, [""]),
    "empty tags": ("v=DMARC1;; p=reject ;;", "reject", "reject", "reject", True, ["", ""]),
    "no URI in rua": ("v=DMARC1; p=; rua=nobody", "none", "none", "none", False, ["p", ""]),
}


# RFC 9989 4.10.1
@pytest.mark.parametrize("text, p, sub, missing, usable, wrong", POLICIES.values(), ids=POLICIES)
def test_policies(text: str, p: str, sub: str, missing: str, usable: bool, wrong: list[str]) -> None:
    record = Record.parse(text)
    assert record.effective_p == p
    assert record.for_subdomain(exists=True) == sub
    assert record.for_subdomain(exists=False) == missing
    assert record.usable is usable
    assert [problem.tag for problem in record.problems] == wrong


def test_problems_point_at_the_tag() -> None:
    text = "v=DMARC1; p=none; adkim=maybe; rua=mailto:a@b.example,nonsense"
    adkim, rua = Record.parse(text).problems
    assert text[adkim.at :].startswith("adkim")
    assert text[rua.at :].startswith("rua")
    assert "maybe" in str(adkim)
    assert "nonsense" in str(rua)


URIS = {
    "one": ("mailto:a@b.example", ["mailto:a@b.example"]),
    "white space": (" mailto:a@b.example , mailto:c@d.example ", ["mailto:a@b.example", "mailto:c@d.example"]),
    "case kept": ("mailto:DMARC@Example.ORG", ["mailto:DMARC@Example.ORG"]),
    "no scheme": ("a@b.example", []),
    "a wrong one among good ones": ("x,mailto:a@b.example", ["mailto:a@b.example"]),
    "a size": ("mailto:a@b.example!2k", ["mailto:a@b.example!2048"]),
    "a wrong size": ("mailto:a@b.example!2x", []),
    "too many": (",".join(["mailto:a@b.example"] * 30), ["mailto:a@b.example"] * 20),
}


# RFC 9989 4.8
@pytest.mark.parametrize("value, uris", URIS.values(), ids=URIS)
def test_report_addresses(value: str, uris: list[str]) -> None:
    assert [str(uri) for uri in Record.parse(f"v=DMARC1; p=none; rua={value}").rua] == uris


def test_mail_address_of_a_uri() -> None:
    assert ReportUri("mailto:a%2Bb@example.org?subject=x").mail_address == "a+b@example.org"
    assert ReportUri("https://example.org/").mail_address is None


OPTIONS = {"0": ("0",), "1:d": ("1", "d"), "d:s:0": ("d", "s", "0"), "0:1": ("0",), "x": ("0",), "d:d": ("d",)}


@pytest.mark.parametrize("value, want", OPTIONS.items())
def test_failure_options(value: str, want: tuple[str, ...]) -> None:
    assert Record.parse(f"v=DMARC1; p=none; fo={value}").fo == want


# RFC 7489 6.3
@pytest.mark.parametrize("value, want", {"0": 0, "50": 50, "101": 100, "-1": 100, "x": 100, "²": 100}.items())
def test_pct(value: str, want: int) -> None:
    assert Record.parse(f"v=DMARC1; p=none; pct={value}").pct == want
