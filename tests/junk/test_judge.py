from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mox_junk import Judgement, Kind, Signals, judge

WORDS = ("none", "pass", "fail", "softfail", "neutral", "temperror", "permerror")

CASES: dict[str, tuple[Signals, Kind, str]] = {
    "nothing known": (Signals(), Kind.JUNK, "no name, and nobody vouches for it"),
    "a name and nothing else": (Signals(iprev="pass"), Kind.ACCEPT, "no bad signals"),
    "the domain asks to refuse": (
        Signals(dmarc="fail", dmarc_disposition="reject", iprev="pass"), Kind.REFUSE, "DMARC policy reject",
    ),
    "the domain asks for quarantine": (
        Signals(dmarc="fail", dmarc_disposition="quarantine"), Kind.JUNK, "DMARC policy quarantine",
    ),
    "DMARC fails, the domain asks for nothing": (Signals(dmarc="fail", iprev="pass"), Kind.ACCEPT, "no bad signals"),
    "a wish does not count when DMARC passes": (
        Signals(dmarc="pass", dmarc_disposition="reject"), Kind.ACCEPT, "no bad signals",
    ),
    "a temporary failure never refuses": (
        Signals(dmarc="temperror", dmarc_disposition="reject", iprev="pass"), Kind.ACCEPT, "no bad signals",
    ),
    "SPF fail alone": (Signals(spf="fail", iprev="pass"), Kind.JUNK, "SPF fail and nothing speaks for it"),
    "SPF fail of a forwarder, the signature holds": (
        Signals(spf="fail", iprev="pass", dkim_domains=("a.example",)), Kind.ACCEPT, "no bad signals",
    ),
    "SPF softfail alone": (Signals(spf="softfail", iprev="pass"), Kind.ACCEPT, "no bad signals"),
    "no name, but SPF passes": (Signals(spf="pass", iprev="fail"), Kind.ACCEPT, "no bad signals"),
    "the name's server does not answer": (Signals(iprev="temperror"), Kind.ACCEPT, "no bad signals"),
}  # fmt: skip


@pytest.mark.parametrize("signals, kind, reason", CASES.values(), ids=CASES)
def test_judge(signals: Signals, kind: Kind, reason: str) -> None:
    judgement = judge(signals)
    assert (judgement.kind, judgement.reason) == (kind, reason)
    assert judgement.steps[-1].outcome == kind.value, "the last step is the one that decided"


@st.composite
def signals(draw: st.DrawFn) -> Signals:
    return Signals(
        spf=draw(st.sampled_from(WORDS)),
        dmarc=draw(st.sampled_from(WORDS)),
        dmarc_disposition=draw(st.sampled_from(("none", "quarantine", "reject"))),
        iprev=draw(st.sampled_from(WORDS)),
        dkim_domains=tuple(draw(st.lists(st.sampled_from(("a.example", "b.example")), max_size=2))),
        tls=draw(st.booleans()),
        mail_from=draw(st.text(max_size=20)),
        from_domain=draw(st.text(max_size=20)),
    )


@given(signals())
def test_every_judgement_is_told_whole(given_: Signals) -> None:
    judgement: Judgement = judge(given_)
    assert judge(given_) == judgement, "the same signals give the same judgement"
    assert all(step.because for step in judgement.steps)
    assert json.loads(json.dumps(judgement.to_dict()))["kind"] == judgement.kind.value
    assert judgement.explain().count("\n") == len(judgement.steps)
    assert (judgement.kind is Kind.REFUSE) == bool(judgement.public and judgement.enhanced)


@given(signals())
def test_only_the_domain_itself_can_have_a_message_refused(given_: Signals) -> None:
    if judge(given_).kind is Kind.REFUSE:
        assert given_.dmarc == "fail"
        assert given_.dmarc_disposition == "reject"
