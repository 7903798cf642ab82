"""The suites of chasquid and dkimpy, read in place.  A deviation stands in a table with the reason."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kit.suites import SUITES, deviates, suite
from mox_dkim import BodyLength, KeyRecord, Policy, Signer, Status, load_key, verify_sync
from mox_dns import Zone
from mox_message import Content, Fields

# chasquid looks at five signatures; both suites take an l= tag, old digests and short keys as they come.
LIBERAL = Policy(max_signatures=5, body_length=BodyLength.ACCEPT)
NOW = 1_700_000_000

STATES = {
    "SUCCESS": {Status.PASS},
    "TEMPFAIL": {Status.TEMPERROR},
    "PERMFAIL": {Status.FAIL, Status.PERMERROR, Status.POLICY},
}

# case -> (state of each signature here, why it is not the suite's)
CHASQUID_DEVIATIONS: dict[str, tuple[list[str], str]] = {}

# case -> (statuses here, why they are not the suite's)
DKIMPY_DEVIATIONS: dict[str, tuple[list[str], str]] = {}


def crlf(data: bytes) -> bytes:
    return re.sub(rb"(?<!\r)\n", b"\r\n", data)


def cases(name: str, pattern: str) -> list[str]:
    return sorted(path.name.rsplit(".", 1)[0] for path in (SUITES / name).glob(pattern)) or ["absent"]


def chasquid_zone(path: Path) -> Zone:
    zone = Zone()
    if not path.exists():
        return zone
    text = path.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not colon:
            continue
        value = " ".join(value.split())
        if value == "TEMPERROR":
            zone.add(f"{name} TXT", "SERVFAIL")
        elif value not in ("PERMERROR", "NOTFOUND"):
            zone.add(f"{name} TXT", [value])
    return zone


@pytest.mark.parametrize("case", cases("dkim-chasquid", "*.msg"))
def test_chasquid(case: str) -> None:
    folder = suite("dkim-chasquid")
    results = verify_sync(
        crlf((folder / f"{case}.msg").read_bytes()), chasquid_zone(folder / f"{case}.dns"), policy=LIBERAL, now=NOW
    )
    want_file = folder / f"{case}.result"
    if not want_file.exists():
        # 03: chasquid gives up on a header it cannot read; here there is just no signature in it.
        assert results == []
        return
    want = json.loads(want_file.read_text())
    states = [one["State"] for one in want["Results"]]
    if case in CHASQUID_DEVIATIONS:
        deviates("dkim-chasquid")
        states = CHASQUID_DEVIATIONS[case][0]
    assert len(results) == len(states) == want["Found"]
    for result, state in zip(results, states, strict=True):
        assert result.status in STATES[state], result.explain()


def dkimpy_cases() -> list[dict[str, Any]]:
    path = SUITES / "dkim-dkimpy" / "cases.json"
    return json.loads(path.read_text()) if path.exists() else [{"id": "absent"}]


@pytest.mark.parametrize("case", dkimpy_cases(), ids=lambda case: case["id"])
def test_dkimpy(case: dict[str, Any]) -> None:
    folder = suite("dkim-dkimpy")
    failures = {"!timeout": "TIMEOUT", "!servfail": "SERVFAIL"}
    zone = Zone()
    for name, text in case["dns"].items():
        if "(" not in name:
            zone.add(f"{name} TXT", failures.get(text) or [text])
    results = verify_sync(crlf((folder / case["file"]).read_bytes()), zone, policy=LIBERAL, now=NOW)
    got = [str(result.status) for result in results]
    if case["id"] in DKIMPY_DEVIATIONS:
        deviates("dkim-dkimpy")
        assert got == DKIMPY_DEVIATIONS[case["id"]][0]
    elif "per_signature" in case["expect"]:
        assert got == case["expect"]["per_signature"], [result.explain() for result in results]
    else:
        assert any(status == "pass" for status in got) == (case["expect"]["overall"] == "pass")


KEYS = {
    "test.private": "test.txt",
    "1024_testkey.key": "1024_testkey_wo_markers.pub.txt",
    "2048_testkey.key": "2048_testkey_wo_markers.pub.txt",
    "2048_testkey_PKCS8.key": "2048_testkey_PKCS8.key.pub.txt",
    "rfc8032_7_1.key": None,
    "ed25519test.key": None,
}


@pytest.mark.parametrize("name", KEYS)
def test_dkimpy_keys_sign_and_verify(name: str) -> None:
    folder = suite("dkim-dkimpy")
    key = load_key((folder / name).read_bytes())
    published = KEYS[name]
    text = str(KeyRecord.of(key))
    if published is not None:
        text = (folder / published).read_text().strip()
        text = text if "p=" in text else "p=" + "".join(line for line in text.split() if "-" not in line)
    message = crlf((folder / "test.message").read_bytes())
    field = Signer("example.com", "test", key).sign(Fields.parse(message), Content.of(message), now=NOW)
    (result,) = verify_sync(field + message, Zone({"test._domainkey.example.com TXT": [text]}), now=NOW)
    assert result.status is Status.PASS, result.explain()
