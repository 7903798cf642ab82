"""The SPF suites of openspf.org and of the crate mail-auth as plain values: who asks, what DNS says, what is right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

# As mox_dns.Zone takes them: "name TYPE" -> values, or "TIMEOUT"; "name" -> a failure of its other types.
Records: TypeAlias = dict[str, Any]

# Names that stand for a failing DNS in mail-auth's cases.
_FAILING = re.compile(r"_dns_error[A-Za-z0-9_.-]*")


class Case(NamedTuple):
    """One check_host(): `wanted` has every result that the suite takes; `explanation` None: not judged."""

    ip: str
    mail_from: str
    helo: str
    wanted: tuple[str, ...]
    explanation: str | None
    records: Records


def openspf(folder: Path) -> Iterator[tuple[str, Case]]:
    """The cases of a folder with rfc7208-tests*.yml, by name."""
    for path in sorted(folder.glob("*.yml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            records = openspf_records(document["zonedata"])
            for name, test in document["tests"].items():
                wanted = test["result"]
                texts = tuple(wanted) if isinstance(wanted, list) else (wanted,)
                case = Case(test["host"], test["mailfrom"], test["helo"], texts, test.get("explanation"), records)
                yield f"{document['description']}: {name}", case


def openspf_records(data: dict[str, Any]) -> Records:
    """The zonedata of a scenario."""
    found: Records = {}
    for name, records in data.items():
        types = {key for record in records if isinstance(record, dict) for key in record}
        for record in records:
            if record == "TIMEOUT":
                found[name] = "TIMEOUT"
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
                found[f"{name} {type}"] = "TIMEOUT"
            elif type == "MX":
                found.setdefault(f"{name} MX", []).append(f"{value[0]} {value[1] or '.'}")
            elif type == "TXT":
                text = "".join(value) if isinstance(value, list) else value
                found.setdefault(f"{name} TXT", []).append(text.encode("utf-8"))
            else:
                found.setdefault(f"{name} {type}", []).append(value)
    return found


def mail_auth(folder: Path) -> Iterator[tuple[str, Case]]:
    """The cases of a folder of mail-auth's .yml files, by name."""
    for path in sorted(folder.glob("*.yml")):
        yield from _mail_auth_file(path)


def _mail_auth_file(path: Path) -> Iterator[tuple[str, Case]]:
    records: Records = {}
    number = 0
    test: dict[str, str] = {}
    title = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip().removeprefix("- ")
        key, _, value = text.partition(":")
        value = value.strip()
        if key == "name":
            records, title, number = {}, value, 0
        elif line.startswith("  ") and key in ("spf", "exp", "a", "aaaa", "mx", "ptr"):
            _add(records, key, value)
            records.update(dict.fromkeys(_FAILING.findall(value), "SERVFAIL"))
        elif key in ("domain", "sender", "ip"):
            test[key] = value
        elif key == "expect":
            number += 1
            result, _, explanation = value.partition(" ")
            for name in _FAILING.findall(f"{test['sender']} {test['domain']}"):
                records[name] = "SERVFAIL"
            case = Case(test["ip"], test["sender"], test["domain"], (result,), explanation or None, records)
            yield f"{path.stem} {title} {number}", case


def _add(records: Records, key: str, value: str) -> None:
    name, *words = re.split(r"[ ,]+", value.strip())
    if key in ("spf", "exp"):
        records.setdefault(f"{name} TXT", []).append(value.partition(" ")[2])
    elif key == "mx":
        # The words are the addresses of hosts without names.
        for number, word in enumerate(words):
            records.setdefault(f"{name} MX", []).append(f"{number} h{number}.mx.{name}")
            _add(records, "a", f"h{number}.mx.{name} {word}")
    elif key == "ptr":
        records.setdefault(f"{ip_address(name).reverse_pointer} PTR", []).extend(words)
    else:
        for word in words:
            records.setdefault(f"{name} {'AAAA' if ':' in word else 'A'}", []).append(word)
