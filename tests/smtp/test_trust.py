"""What a TLS peer must prove, and what it has proven.

RFC 9525 2 and 6.3; RFC 8460 4.3."""

from __future__ import annotations

import pytest

from mox_smtp import CLEAR, ENCRYPTED, OPPORTUNISTIC, Checked, Pkix, Proof
from mox_smtp.trust import EXPIRED, NAME_MISMATCH, NOT_TRUSTED, VALIDATION, failure_type, judge, matches, subject_names

NAMES = {
    ("mx.a.example", "mx.a.example"): True, ("MX.a.example.", "mx.A.example"): True, ("*.a.example", "mx.a.example"): True,
    ("*.a.example", "a.example"): False, ("*.a.example", "x.mx.a.example"): False, ("m*.a.example", "mx.a.example"): False,
    ("*.example", "a.example"): False, ("*", "example"): False, ("mx.b.example", "mx.a.example"): False,
    ("*.a.example", "*.a.example"): False, ("", "mx.a.example"): False,
}  # fmt: skip


@pytest.mark.parametrize("pair, want", NAMES.items(), ids=map(str, NAMES))
def test_names(pair: tuple[str, str], want: bool) -> None:
    assert matches(*pair) is want


LEAF = {
    "subjectAltName": (("DNS", "mx.a.example"), ("IP Address", "192.0.2.1")),
    "subject": ((("commonName", "b.example"),),),
}


def test_only_alternative_names_count() -> None:
    assert subject_names(LEAF) == ("mx.a.example",)
    assert subject_names({}) == ()


def test_judging() -> None:
    assert judge(Pkix(("mx.a.example", "x.example")), (b"leaf",), LEAF).means == "pkix"
    wrong = judge(Pkix(("b.example",)), (b"leaf",), LEAF)
    assert (wrong.ok, wrong.failure) == (False, NAME_MISMATCH)
    assert "mx.a.example" in wrong.because
    for trust in (OPPORTUNISTIC, ENCRYPTED, CLEAR):
        found = judge(trust, (b"leaf",), LEAF)
        assert (found.ok, found.means) == (True, "")
    seen: list[tuple[bytes, ...]] = []

    def check(chain: tuple[bytes, ...]) -> Proof:
        seen.append(chain)
        return Proof("dane")

    assert judge(Checked(check), (b"leaf", b"above"), {}).means == "dane"
    assert seen == [(b"leaf", b"above")]


@pytest.mark.parametrize(
    "code, word", [(10, EXPIRED), (9, EXPIRED), (62, NAME_MISMATCH), (20, NOT_TRUSTED), (None, VALIDATION)]
)
def test_words_of_rfc_8460(code: int | None, word: str) -> None:
    assert failure_type(code) == word


def test_what_is_wanted() -> None:
    wanted = [
        (one.wanted, one.required)
        for one in (OPPORTUNISTIC, ENCRYPTED, CLEAR, Pkix(()), Checked(lambda chain: Proof()))
    ]
    assert wanted == [(True, False), (True, True), (False, False), (True, True), (True, True)]
