"""What peers and we are asked: the suites' zones and messages, and generated ones that are the same in every run."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from compare import made_dkim, made_spf
from kit import spf_suites
from kit.suites import SUITES


@dataclass(frozen=True, slots=True)
class Case:
    """One question.  `records` as for mox_dns.Zone, texts as Latin-1; `data` is what the kind needs.

    kinds: spf (ip, mail_from, helo), dkim and arc (message, Latin-1), dmarc (author, passes), authres (field)."""

    kind: str
    id: str
    records: dict[str, Any]
    data: dict[str, Any]

    def line(self) -> str:
        """As a peer reads it."""
        return json.dumps({"kind": self.kind, "id": self.id, "records": self.records, **self.data})


def all_cases(kinds: Iterable[str]) -> list[Case]:
    """Every case of these kinds; of a suite that is not here there is none."""
    makers = {"spf": spf, "dkim": dkim, "arc": arc, "dmarc": dmarc, "authres": authres}
    return [case for kind, make in makers.items() if kind in kinds for case in make()]


def plain(records: dict[str, Any]) -> dict[str, Any]:
    """With texts for bytes."""
    return {
        key: values
        if isinstance(values, str)
        else [value.decode("latin-1") if isinstance(value, bytes) else str(value) for value in values]
        for key, values in records.items()
    }


def crlf(data: bytes) -> str:
    """As messages travel, in Latin-1."""
    return re.sub(rb"(?<!\r)\n", b"\r\n", data).decode("latin-1")


def spf() -> Iterator[Case]:
    """check_host()."""
    found = [
        *((f"spf-rfc7208/{name}", case) for name, case in spf_suites.openspf(SUITES / "spf-rfc7208")),
        *((f"spf-mail-auth/{name}", case) for name, case in spf_suites.mail_auth(SUITES / "spf-mail-auth")),
        *((f"spf-made/{name}", case) for name, case in made_spf.cases(random.Random(7208))),
        *((f"spf-made/{name}", case) for name, case in made_spf.odd_cases(random.Random(4408))),
    ]
    for id, case in found:
        yield Case("spf", id, plain(case.records), {"ip": case.ip, "mail_from": case.mail_from, "helo": case.helo})


def dkim() -> Iterator[Case]:
    """Signatures."""
    for path in sorted((SUITES / "dkim-chasquid").glob("*.msg")):
        zone = path.with_suffix(".dns")
        records = chasquid_records(zone.read_text()) if zone.exists() else {}
        yield Case("dkim", f"dkim-chasquid/{path.stem}", records, {"message": crlf(path.read_bytes())})
    listed = SUITES / "dkim-dkimpy" / "cases.json"
    for one in json.loads(listed.read_text()) if listed.exists() else ():
        failures = {"!timeout": "TIMEOUT", "!servfail": "SERVFAIL"}
        records = {f"{name} TXT": failures.get(text) or [text] for name, text in one["dns"].items() if "(" not in name}
        message = crlf((listed.parent / one["file"]).read_bytes())
        yield Case("dkim", f"dkim-dkimpy/{one['id']}", records, {"message": message})
    for name, records, made in made_dkim.cases():
        yield Case("dkim", f"dkim-made/{name}", plain(records), {"message": made.decode("latin-1")})


def chasquid_records(text: str) -> dict[str, Any]:
    """A .dns file of chasquid."""
    records: dict[str, Any] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, colon, value = line.partition(":")
        value = " ".join(value.split())
        if colon and value == "TEMPERROR":
            records[f"{name} TXT"] = "SERVFAIL"
        elif colon and value not in ("PERMERROR", "NOTFOUND"):
            records[f"{name} TXT"] = [value]
    return records


def arc() -> Iterator[Case]:
    """Chains."""
    for path in sorted((SUITES / "arc-valimail").glob("arc-draft-validation-tests*.yml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            texts = document.get("txt-records") or document.get("txt_records") or {}
            # The line ends in some of them are the YAML file's.
            records = {f"{name} TXT": ["".join(text.splitlines())] for name, text in texts.items() if text}
            for name, test in document["tests"].items():
                yield Case("arc", f"arc-valimail/{name}", records, {"message": crlf(test["message"].encode())})
    for name, records, made in made_dkim.chains():
        yield Case("arc", f"arc-made/{name}", plain(records), {"message": made.decode("latin-1")})


def dmarc() -> Iterator[Case]:
    """A From domain and what passed.  Only one domain a means: the peer knows no more."""
    listed = SUITES / "dmarc-mailauth" / "cases.json"
    for one in json.loads(listed.read_text()) if listed.exists() else ():
        given = one["input"]
        author = given["headerFrom"]
        records: dict[str, Any] = {}
        for answer in one["dns"]:
            key = f"{answer['name']} {answer['type']}"
            if "answer" in answer:
                records[key] = ["".join(strings) for strings in answer["answer"]]
            elif answer["error"] not in ("ENOTFOUND", "ENODATA"):
                records[key] = "SERVFAIL"
        passes = {
            means: given[key][0]["domain"]
            for means, key in (("dkim", "dkimDomains"), ("spf", "spfDomains"))
            if given[key]
        }
        if isinstance(author, str):
            data = {"author": author.rpartition("@")[2], "passes": passes}
            yield Case("dmarc", f"dmarc-mailauth/{one['id']}", records, data)
    for name, records, author, passes in made_spf.dmarc_cases():
        yield Case("dmarc", f"dmarc-made/{name}", records, {"author": author, "passes": passes})


def authres() -> Iterator[Case]:
    """Authentication-Results, of the suites' messages and made ones."""
    seen: set[str] = set()
    for folder in ("arc-valimail", "dkim-dkimpy", "dkim-chasquid"):
        for path in sorted((SUITES / folder).glob("*")):
            if path.suffix not in (".yml", ".msg", ".message", ".mbox"):
                continue
            text = path.read_bytes().decode("latin-1")
            for found in re.findall(r"(?im)^ *authentication-results:((?:.*\r?\n[ \t]+(?! *[A-Za-z-]+:))*.*)$", text):
                value = " ".join(found.split())
                if value and value not in seen:
                    seen.add(value)
                    yield Case("authres", f"{folder}/{len(seen)}", {}, {"field": value})
    for name, value in made_dkim.results():
        yield Case("authres", f"authres-made/{name}", {}, {"field": value})
