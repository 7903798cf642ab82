"""The openspf.org suite for RFC 7208, and the cases of the crate mail-auth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from kit.suites import suite
from mox_dns import Answer, Question, Status, Zone
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


class Case(NamedTuple):
    ip: str
    mail_from: str
    helo: str
    wanted: tuple[str, ...]
    explanation: str | None
    zone: Zone


class Names(Zone):
    """A zone in which names that begin with `_dns_error` fail."""

    def ask(self, question: Question) -> Answer:
        if question.name.startswith("_dns_error"):
            return Answer(question, Status.SERVFAIL)
        return super().ask(question)


def openspf_zone(data: dict[str, Any]) -> Zone:
    zone = Zone()
    for name, records in data.items():
        types = {key for record in records if isinstance(record, dict) for key in record}
        for record in records:
            if record == "TIMEOUT":
                zone.add(name, "TIMEOUT")
                continue
            ((type, value),) = record.items()
            # README: a record labelled SPF counts as TXT too unless a TXT is given for that name.
            if type == "SPF":
                if "TXT" in types:
                    continue
                type = "TXT"
            if value == "NONE" and type == "TXT":
                continue
            if value == "TIMEOUT":
                zone.add(f"{name} {type}", "TIMEOUT")
            elif type == "MX":
                zone.add(f"{name} MX", [f"{value[0]} {value[1] or '.'}"])
            elif type == "TXT":
                text = "".join(value) if isinstance(value, list) else value
                zone.add(f"{name} TXT", [text.encode("utf-8") if not text.isascii() else text])
            else:
                zone.add(f"{name} {type}", [value])
    return zone


def openspf() -> Iterator[tuple[str, Case]]:
    path = suite("spf-rfc7208") / "rfc7208-tests.part.yml"
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        for name, test in document["tests"].items():
            wanted = test["result"]
            texts = tuple(wanted) if isinstance(wanted, list) else (wanted,)
            zone = openspf_zone(document["zonedata"])
            case = Case(test["host"], test["mailfrom"], test["helo"], texts, test.get("explanation"), zone)
            yield f"{document['description']}: {name}", case


def mail_auth() -> Iterator[tuple[str, Case]]:
    for path in sorted(suite("spf-mail-auth").glob("*.yml")):
        yield from mail_auth_file(path)


def mail_auth_file(path: Path) -> Iterator[tuple[str, Case]]:
    name = number = 0
    zone = Names()
    test: dict[str, str] = {}
    title = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip().removeprefix("- ")
        key, _, value = text.partition(":")
        value = value.strip()
        if key == "name":
            zone, title, number = Names(), value, 0
            name += 1
        elif line.startswith("  ") and key in ("spf", "exp", "a", "aaaa", "mx", "ptr"):
            add(zone, key, value)
        elif key in ("domain", "sender", "ip"):
            test[key] = value
        elif key == "expect":
            number += 1
            result, _, explanation = value.partition(" ")
            case = Case(test["ip"], test["sender"], test["domain"], (result,), explanation or None, zone)
            yield f"{path.stem} {title} {number}", case


def add(zone: Zone, key: str, value: str) -> None:
    name, *words = re.split(r"[ ,]+", value.strip())
    if key in ("spf", "exp"):
        zone.add(f"{name} TXT", [value.partition(" ")[2]])
    elif key == "mx":
        # The words are the addresses of hosts without names.
        for number, word in enumerate(words):
            zone.add(f"{name} MX", [f"{number} h{number}.mx.{name}"])
            add(zone, "a", f"h{number}.mx.{name} {word}")
    elif key == "ptr":
        zone.add(f"{ip_address(name).reverse_pointer} PTR", words)
    else:
        for word in words:
            zone.add(f"{name} {'AAAA' if ':' in word else 'A'}", [word])


def every() -> list[Any]:
    try:
        return [pytest.param(name, case, id=re.sub(r"\s+", " ", name)) for name, case in [*openspf(), *mail_auth()]]
    except pytest.skip.Exception as missing:
        return [pytest.param("", None, id="missing", marks=pytest.mark.skip(reason=str(missing)))]


@pytest.mark.parametrize("name, case", every())
def test_case(name: str, case: Case) -> None:
    result = check_sync(case.ip, case.mail_from, case.helo, case.zone, now=0)
    if name in DEVIATIONS:
        assert result.status == DEVIATIONS[name][0], result.explain()
        assert result.status not in case.wanted, "no deviation any more"
        return
    assert result.status in case.wanted, result.explain()
    if case.explanation is not None:
        wanted = "" if case.explanation == "DEFAULT" else case.explanation
        assert result.explanation == wanted, result.explain()
