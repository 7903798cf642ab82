"""What a policy means for a host: RFC 8461 4, 5 and 8.3; for a report RFC 8460 4.3.3."""

from __future__ import annotations

import pytest

from mox_mtasts import Action, Mode, Policy, agreement, judge_host

ENFORCE = Policy(Mode.ENFORCE, ("mx.a.example", "*.b.example"), 604800)
TESTING = Policy(Mode.TESTING, ENFORCE.mx, 604800)

CASES = {
    "no policy": (None, "mx.a.example", Action.NOTHING, "", ""),
    "mode none": (Policy(Mode.NONE, ("x.example",), 1), "mx.a.example", Action.NOTHING, "", ""),
    "enforce, named": (ENFORCE, "MX.a.example.", Action.ENFORCE, "mx.a.example", ""),
    "enforce, by a star": (ENFORCE, "mx.b.example", Action.ENFORCE, "*.b.example", ""),
    "enforce, not named": (ENFORCE, "b.example", Action.SKIP, "", "validation-failure"),
    "testing, named": (TESTING, "mx.a.example", Action.REPORT, "mx.a.example", ""),
    "testing, not named": (TESTING, "c.example", Action.REPORT, "", "validation-failure"),
}


@pytest.mark.parametrize("policy, host, action, pattern, failure", CASES.values(), ids=CASES)
def test_judge_host(policy: Policy | None, host: str, action: Action, pattern: str, failure: str) -> None:
    ruling = judge_host(policy, host)
    assert (ruling.action, ruling.pattern, ruling.failure) == (action, pattern, failure)
    assert ruling.reason
    assert ruling.to_dict()["action"] == action.value


def test_agreement() -> None:
    assert agreement(ENFORCE, ["mx.a.example", "mx1.b.example", "mx2.b.example"]) == ()
    found = agreement(ENFORCE, ["mx.a.example", "c.example"])
    assert [(finding.severe, str(finding)) for finding in found] == [
        (True, "error: c.example is an MX of the domain, but none of the policy's mx"),
        (False, "warning: the policy's mx *.b.example stands for no MX of the domain"),
    ]
    assert not agreement(TESTING, ["c.example"])[0].severe
    assert "less than a day" in agreement(Policy(Mode.NONE, (), 60), ["c.example"])[0].text
