"""The openspf.org suite for RFC 7208, and the cases of the crate mail-auth."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kit.spf_suites import Case, mail_auth, openspf
from kit.suites import counted, deviates, suite
from mox_dns import Zone
from mox_spf import check_sync

# Where we differ, with the sentence that says so.
DEVIATIONS = {
    "all All test 1": (
        "permerror",
        "RFC 7208 4.6: if there are any syntax errors anywhere in the record, check_host() returns immediately with "
        "the result permerror, without further interpretation or evaluation; and there is no mechanism `ip`",
    ),
    "basic DNS Lookup Limits 1": (
        "permerror",
        "RFC 7208 4.6.4: implementations SHOULD limit void lookups to two; the names of this record do not exist",
    ),
    "exists Exists 2": (
        "fail",
        "RFC 7208 5.7: the lookup is one for A, even if the connection is IPv6; this name has only AAAA",
    ),
    "macro Macro expansion 2 2": ("fail", "RFC 7208 5.7, the same"),
}


MAIL_AUTH: set[str] = set()


def every() -> list[Any]:
    try:
        theirs = list(mail_auth(suite("spf-mail-auth")))
        MAIL_AUTH.update(name for name, _ in theirs)
        cases = [*openspf(suite("spf-rfc7208")), *theirs]
    except pytest.skip.Exception as missing:
        return [pytest.param("", None, id="missing", marks=pytest.mark.skip(reason=str(missing)))]
    return [pytest.param(name, case, id=re.sub(r"\s+", " ", name)) for name, case in cases]


@pytest.mark.parametrize("name, case", every())
def test_case(name: str, case: Case) -> None:
    result = check_sync(case.ip, case.mail_from, case.helo, Zone(case.records), now=0)
    which = "spf-mail-auth" if name in MAIL_AUTH else "spf-rfc7208"
    if name in DEVIATIONS:
        deviates(which)
        assert result.status == DEVIATIONS[name][0], result.explain()
        assert result.status not in case.wanted, "no deviation any more"
        return
    counted(which)
    assert result.status in case.wanted, result.explain()
    if case.explanation is not None:
        wanted = "" if case.explanation == "DEFAULT" else case.explanation
        assert result.explanation == wanted, result.explain()
