"""The cases of postfix-mta-sts-resolver, against a real HTTPS host: TXT record, response, outcome."""

from __future__ import annotations

import asyncio
import json
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kit.certificates import Made, make
from kit.policy_host import policy_host, response, says
from kit.suites import counted, suite
from mox_dns import Zone
from mox_mtasts import Status, check, check_sync, default_context, fetch, fetch_sync

EXPECTED = {"valid": {Status.VALID}, "no policy": {Status.NONE}, "error": {Status.ERROR, Status.NONE}}
# Case -> the sentence of the RFC that makes it wrong or optional.
DEVIATIONS: dict[str, str] = {}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, ssl.SSLContext]:
    root = make("Test Root", ca=True)
    file = tmp_path_factory.mktemp("roots") / "root.pem"
    file.write_text(root.pem)
    return root, default_context(str(file))


def server_context(policy: dict[str, Any], host: str, root: Made, folder: Path) -> ssl.SSLContext:
    kind = policy.get("certificate", "ok")
    names = ["other.example" if kind == "name mismatch" else host]
    issuer = make("Unknown Root", ca=True) if kind == "untrusted" else root
    return make("leaf", issuer, names=names).server_context(folder)


def said(policy: dict[str, Any]) -> bytes:
    status = int(policy["status"])
    more = ["Location: https://elsewhere.example/"] if 300 <= status < 400 else []
    body = policy.get("body") or ""
    # `then`: filler that follows the body.
    filler = policy.get("then") or ""
    if isinstance(filler, dict):
        filler = filler.get("text", "x") * int(filler.get("times", filler.get("count", 1)))
    elif isinstance(filler, int):
        filler = "x" * filler
    return response(body + filler, f"{status} X", policy.get("content_type"), *more)


def outcome(case: dict[str, Any], authority: tuple[Made, ssl.SSLContext], folder: Path) -> Status:
    root, trust = authority
    domain = case["domain"]
    zone = Zone({f"mta-sts.{domain} A": ["127.0.0.1"]} if case["policy"] else {})
    texts = case["txt"] if isinstance(case["txt"], list) else [case["txt"]] if case["txt"] is not None else []
    if texts:
        zone.add(f"_mta-sts.{domain} TXT", texts)
    if not case["policy"]:
        return check_sync(domain, zone).status
    context = server_context(case["policy"], f"mta-sts.{domain}", root, folder)
    with policy_host(context, says(said(case["policy"]))) as host:
        blocking = check_sync(domain, zone, fetcher=partial(fetch_sync, context=trust, port=host.port)).status
        awaited = asyncio.run(check(domain, zone, fetcher=partial(fetch, context=trust, port=host.port))).status
    assert blocking is awaited
    return blocking


def test_suite_snawoot(authority: tuple[Made, ssl.SSLContext], tmp_path: Path) -> None:
    cases = json.loads((suite("mtasts-snawoot") / "cases.json").read_text())
    found = {case["domain"]: outcome(case, authority, tmp_path) for case in cases}
    failed = {
        case["domain"]: f"{found[case['domain']]}, want {case['expect']}"
        for case in cases
        if case["domain"] not in DEVIATIONS and found[case["domain"]] not in EXPECTED[case["expect"]]
    }
    counted("mtasts-snawoot", len(cases) - len(DEVIATIONS), len(DEVIATIONS))
    assert len(cases) >= 11
    assert failed == {}
