"""A peer that is a Python library, in an environment of its own: JSON lines in, JSON lines out.

    python peer_python.py pyspf|dkimpy|authheaders|authres

Knows nothing of ours.  A line in has `kind`, `id`, `records` and what the kind needs; a line out `id`, `verdict`, `said`."""

from __future__ import annotations

import ipaddress
import json
import sys
from typing import Any


class Table:
    """DNS from memory: "name TYPE" -> texts, or "TIMEOUT"; "name" -> a failure of its other types."""

    def __init__(self, records: dict[str, Any]) -> None:
        self.records = {key.rstrip(".") if " " not in key else key: value for key, value in records.items()}
        self.records = {_folded(key): value for key, value in self.records.items()}

    def find(self, name: str, kind: str) -> Any:
        """Texts; "TIMEOUT" or "SERVFAIL"; [] for nothing."""
        name = name.lower().rstrip(".")
        found = self.records.get(f"{name} {kind}")
        return found if found is not None else self.records.get(name, [])


def _folded(key: str) -> str:
    name, space, kind = key.partition(" ")
    return f"{name.lower().rstrip('.')}{space}{kind}"


def pyspf(case: dict[str, Any]) -> tuple[str, str]:
    """check2(), as its documentation recommends it."""
    import spf

    table = Table(case["records"])

    def lookup(name: str, kind: str, tcpfallback: bool = True, timeout: int = 30) -> list[Any]:
        name = str(name)
        found = table.find(name, kind)
        if isinstance(found, str):
            raise spf.TempError(f"DNS {found}")
        alias = table.find(name, "CNAME")
        if not found and isinstance(alias, list) and alias and kind != "CNAME":
            target = alias[0].rstrip(".").lower()
            return [((name, "CNAME"), target), *lookup(target, kind)]
        return [((name, kind), _value(text, kind)) for text in found]

    def _value(text: str, kind: str) -> Any:
        if kind == "MX":
            preference, host = text.split()
            return int(preference), host
        if kind == "TXT":
            return (text.encode("latin-1"),)
        return ipaddress.ip_address(text) if kind in ("A", "AAAA") else text

    spf.DNSLookup = lookup
    query = spf.query(i=case["ip"], s=case["mail_from"], h=case["helo"], receiver="receiver.example")
    query.set_default_explanation("")
    verdict, _, said = query.check()
    explained = " ".join(said.lower().split()) if verdict == "fail" else ""
    return f"{verdict.lower()} {explained}".strip(), f"{said}; {getattr(query, 'perm_error', None) or ''}".strip("; ")


def dkimpy(case: dict[str, Any]) -> tuple[str, str]:
    """Each signature by its number; the chain by arc_verify()."""
    import dkim

    table = Table(case["records"])

    def lookup(name: bytes, timeout: int = 5) -> bytes | None:
        found = table.find(name.decode("latin-1"), "TXT")
        if isinstance(found, str):
            raise dkim.DnsTimeoutError(found)
        return found[0].encode("latin-1") if found else None

    message = case["message"].encode("latin-1")
    if case["kind"] == "arc":
        verdict, _, said = dkim.arc_verify(message, dnsfunc=lookup)
        word = verdict.decode() if isinstance(verdict, bytes) else str(verdict or "none").lower()
        return word if word in ("pass", "none") else "fail", str(said)
    verdicts, reasons = [], []
    count = len([1 for name, _ in dkim.rfc822_parse(message)[0] if name.lower() == b"dkim-signature"])
    for index in range(count):
        try:
            good = dkim.DKIM(message).verify(idx=index, dnsfunc=lookup)
            reasons.append("")
        except Exception as error:
            good = False
            reasons.append(f"{type(error).__name__}: {error}")
        verdicts.append("pass" if good else "other")
    return " ".join(verdicts) or "none", "; ".join(reasons)


def authheaders(case: dict[str, Any]) -> tuple[str, str]:
    """check_dmarc() in its DMARCbis mode."""
    from authheaders import check_dmarc
    from authres import DKIMAuthenticationResult, SPFAuthenticationResult

    table = Table(case["records"])

    def lookup(name: Any, timeout: int = 5) -> str | None:
        found = table.find(name.decode() if isinstance(name, bytes) else name, "TXT")
        if isinstance(found, str):
            raise TimeoutError(found)
        return found[0] if found else None

    message = f"From: a@{case['author']}\r\nSubject: x\r\n\r\nx\r\n".encode()
    passes = case["passes"]
    dkim = DKIMAuthenticationResult(result="pass", header_d=passes["dkim"]) if "dkim" in passes else None
    spf = SPFAuthenticationResult(result="pass", smtp_mailfrom=f"a@{passes['spf']}") if "spf" in passes else None
    found = check_dmarc(message, spf_result=spf, dkim_result=dkim, dnsfunc=lookup, dmarcbis=True)
    asked = f" {found.policy}" if found.result == "fail" else ""
    return f"{found.result}{asked}", str(found.result_comment or "")


def authres(case: dict[str, Any]) -> tuple[str, str]:
    """AuthenticationResultsHeader.parse()."""
    import authres as library

    try:
        read = library.AuthenticationResultsHeader.parse(f"Authentication-Results: {case['field']}")
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"
    shown = [
        [
            one.method.lower(),
            one.result.lower(),
            sorted([p.type.lower(), p.name.lower(), p.value] for p in one.properties),
        ]
        for one in read.results
    ]
    return json.dumps([read.authserv_id, shown]), ""


def main() -> None:
    """Answers until the end of input."""
    peer = {"pyspf": pyspf, "dkimpy": dkimpy, "authheaders": authheaders, "authres": authres}[sys.argv[1]]
    for line in sys.stdin:
        case = json.loads(line)
        try:
            verdict, said = peer(case)
        except Exception as error:
            verdict, said = "crash", f"{type(error).__name__}: {error}"
        print(json.dumps({"id": case["id"], "verdict": verdict, "said": said}), flush=True)


if __name__ == "__main__":
    main()
