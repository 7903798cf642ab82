"""What we say to a case."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import mox_dkim
import mox_dmarc
import mox_spf
from compare.cases import Case
from mox_dns import Domain, Zone
from mox_message import AuthenticationResults, AuthResultsSyntaxError


class Said(NamedTuple):
    """A verdict in the words that all sides share, and why."""

    verdict: str
    because: str


def say(case: Case) -> Said:
    """Our verdict."""
    return _SAY[case.kind](case)


def zone(records: dict[str, Any]) -> Zone:
    """The case's DNS, its texts as octets again."""
    return Zone(
        {
            key: [value.encode("latin-1") for value in values]
            if key.endswith(" TXT") and not isinstance(values, str)
            else values
            for key, values in records.items()
        }
    )


def spf(case: Case) -> Said:
    """The result's word."""
    data = case.data
    result = mox_spf.check_sync(
        data["ip"], data["mail_from"], data["helo"], zone(case.records), receiver="receiver.example"
    )
    # An explanation is compared as its words.
    said = " ".join(result.explanation.lower().split())
    return Said(f"{result.status} {said}".strip(), result.reason)


def dkim(case: Case) -> Said:
    """ "pass" or "other" for each signature from the top; "none" without any."""
    results = mox_dkim.verify_sync(case.data["message"].encode("latin-1"), zone(case.records))
    verdicts = ["pass" if result.status is mox_dkim.Status.PASS else "other" for result in results]
    return Said(" ".join(verdicts) or "none", "; ".join(f"{result.status}: {result.reason}" for result in results))


def arc(case: Case) -> Said:
    """pass, fail or none; a chain that could not be judged for now is a fail."""
    chain = mox_dkim.verify_chain_sync(case.data["message"].encode("latin-1"), zone(case.records))
    status = str(chain.status)
    return Said(status if status in ("pass", "none") else "fail", f"{status}: {chain.reason}")


def dmarc(case: Case) -> Said:
    """The result, and what is asked for when it is a fail."""
    passes = [mox_dmarc.Pass(means, Domain.parse(domain)) for means, domain in case.data["passes"].items()]
    verdict = mox_dmarc.check_sync(case.data["author"], passes, zone(case.records))
    asked = f" {verdict.request}" if verdict.status is mox_dmarc.Status.FAIL else ""
    return Said(f"{verdict.status}{asked}", verdict.reason)


def authres(case: Case) -> Said:
    """Identifier, methods, results and properties, or "error"."""
    try:
        read = AuthenticationResults.parse(case.data["field"])
    except AuthResultsSyntaxError as error:
        return Said("error", str(error).splitlines()[0])
    shown = [
        [one.method.lower(), one.result.lower(), sorted([k.lower(), n.lower(), v] for k, n, v in one.properties)]
        for one in read.results
    ]
    return Said(json.dumps([read.authserv_id, shown]), "")


_SAY = {"spf": spf, "dkim": dkim, "arc": arc, "dmarc": dmarc, "authres": authres}
