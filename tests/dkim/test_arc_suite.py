"""ValiMail's ARC suite, read in place.  It was made for a draft; deviations stand in a table with the RFC's words."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from kit.suites import SUITES, deviates, suite
from mox_dkim import CannotSign, Sealer, load_key, verify_chain_sync
from mox_dns import Zone
from mox_dns.taglist import TagList
from mox_message import AuthenticationResults, Content, Fields

# case -> (status here, why it is not the suite's)
DEVIATIONS = {
    "cv_fail_i2_as2_fail": ("fail", "5.2 step 2: if the newest set says cv=fail, the status is fail (draft-18: none)"),
    "cv_fail_i2_as1_fail": ("fail", "5.2 step 3.C: cv= of the first set must be none, else the status is fail"),
    "ams_fields_c_na": ("fail", "4.1.2: syntax and semantics of DKIM-Signature; there c= defaults to simple/simple"),
    "ams_fields_h_mis_hdr": (
        "fail",
        "RFC 6376 3.5, sig-h-tag: between two colons stands a hdr-name, which is not empty",
    ),
}


def documents(name: str) -> list[dict[str, Any]]:
    path = SUITES / "arc-valimail" / f"{name}.part.yml"
    return list(yaml.safe_load_all(path.read_text())) if path.exists() else []


def zone_of(document: dict[str, Any]) -> Zone:
    records = document.get("txt-records") or document.get("txt_records") or {}
    # The line ends in some of them are the YAML file's.
    return Zone({f"{name} TXT": ["".join(text.splitlines())] for name, text in records.items() if text})


def crlf(text: str) -> bytes:
    return re.sub("(?<!\r)\n", "\r\n", text).encode()


VALIDATION = [
    pytest.param(document, name, id=name)
    for document in documents("arc-draft-validation-tests")
    for name in document["tests"]
] or [pytest.param({}, "absent", id="absent")]


@pytest.mark.parametrize("document, name", VALIDATION)
def test_validation(document: dict[str, Any], name: str) -> None:
    suite("arc-valimail")
    case = document["tests"][name]
    chain = verify_chain_sync(crlf(case["message"]), zone_of(document))
    theirs = str(case["cv"] or "none").lower()
    if name in DEVIATIONS:
        deviates("arc-valimail")
        assert chain.status == DEVIATIONS[name][0] != theirs, chain.explain()
    else:
        assert chain.status == theirs, chain.explain()


SIGNING = [
    pytest.param(document, name, id=name)
    for document in documents("arc-draft-sign-tests")
    for name in document["tests"]
] or [pytest.param({}, "absent", id="absent")]


@pytest.mark.parametrize("document, name", SIGNING)
def test_signing(document: dict[str, Any], name: str) -> None:
    suite("arc-valimail")
    case = document["tests"][name]
    message, zone = crlf(case["message"]), zone_of(document)
    fields, content = Fields.parse(message), Content.of(message)
    chain = verify_chain_sync(message, zone)
    sealer = Sealer(
        document["domain"], document["sel"], load_key(document["privatekey"]), headers=case["sig-headers"].split(":")
    )
    if not case["AS"]:
        with pytest.raises(CannotSign):
            sealer.seal(fields, content, AuthenticationResults(case["srv-id"]), chain, now=case["t"])
        return
    instance, _, payload = case["AAR"].partition(";")
    results = AuthenticationResults.parse(" ".join(payload.split()))
    made = sealer.seal(fields, content, results, chain, now=case["t"])
    seal, signature, report = Fields.parse(made + b"\r\n")
    # The octets of our fields differ from the suite's, so its b= are not ours; what they say is the same.
    assert without_b(seal.text) == without_b(case["AS"])
    assert without_b(signature.text) == without_b(case["AMS"])
    assert report.text.startswith(instance + ";")
    assert AuthenticationResults.parse(report.text.partition(";")[2]) == results
    after = verify_chain_sync(made + message, zone)
    assert after.status == ("fail" if "cv=fail" in case["AS"] else "pass"), after.explain()


def without_b(text: str) -> dict[str, str]:
    """The tags but b=, without white space."""
    tags = TagList.parse(" ".join(text.split())).by_name
    return {name: "".join(tag.value.split()) for name, tag in tags.items() if name != "b"}
