"""Real-shaped messages: those of the suites, as a client would send them (CRLF)."""

from __future__ import annotations

import re
from functools import cache

import yaml

from kit.suites import suite

_FOLDERS = (
    "mime-mail-parser", "mime-mime4j", "mime-mimetools", "mime-ruby-mail", "mime-jsmime", "dkim-dkimpy", "dkim-chasquid",
)  # fmt: skip
_NOT_MESSAGES = ("LICENSE", "README.md")


def crlf(data: bytes) -> bytes:
    """Every line end as CRLF."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", data)


@cache
def suite_messages() -> dict[str, bytes]:
    """Name -> message with CRLF, ending in CRLF, without NUL."""
    found: dict[str, bytes] = {}
    for name in _FOLDERS:
        folder = suite(name)
        for path in sorted(folder.rglob("*")):
            wanted = path.suffix in (".eml", ".msg", ".message") or (name == "mime-jsmime" and path.is_file())
            if wanted and path.name not in _NOT_MESSAGES:
                found[f"{name}/{path.relative_to(folder)}"] = path.read_bytes()
    for path in sorted(suite("arc-valimail").glob("*.yml")):
        for document in yaml.safe_load_all(path.read_text()):
            for case, fields in (document or {}).get("tests", {}).items():
                found[f"arc-valimail/{path.name.split('.')[0]}/{case}"] = fields["message"].encode()
    clean = {name: crlf(data.replace(b"\0", b"")).rstrip(b"\r\n") + b"\r\n" for name, data in found.items()}
    assert len(clean) > 200, f"only {len(clean)} messages"
    return clean
