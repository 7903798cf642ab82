"""The fuzz targets hold for what hypothesis draws; atheris goes on from there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("message_*.py"))

PIECES = [
    *(
        b" ",
        b"\t",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b";",
        b"=",
        b":",
        b"@",
        b"<",
        b">",
        b"(",
        b")",
        b'"',
        b"\\",
        b"x",
        b"\xff",
    ),
    *(
        b"=?utf-8?q?=C3=A4?=",
        b"=?",
        b"?=",
        b"From: a@b.example\r\n",
        b"\r\n\r\n",
        b"--b",
        b"--b--\r\n",
        b"\r\n--bb\r\n",
    ),
    *(
        b"Content-Type: ",
        b"multipart/mixed; boundary=b\r\n",
        b"message/rfc822\r\n\r\n",
        b"multipart/report;boundary=bb\n\n",
    ),
    *(
        b"message/delivery-status\n\n",
        b"Final-Recipient: rfc822;x\n",
        b"message/feedback-report\n\n",
        b"Feedback-Type: x\n",
    ),
    *(
        b"Content-Transfer-Encoding: base64\r\n",
        b"quoted-printable\r\n",
        b"*0*=",
        b"%41",
        b"mx; dkim=pass header.d=x",
        b"<p>",
    ),
    *(
        b"Tue, 14 Nov 2023 22:13:20 +0000",
        b"a@b.example, ",
        b"g: a@b;",
        b"Re: ",
        b"[a]",
        b"text/html\r\n\r\n",
        b"<!--",
        b"&amp;",
    ),
]
WORDS = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)


def target(name: str) -> Callable[[bytes], None]:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fuzz: Callable[[bytes], None] = module.fuzz
    return fuzz


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    fuzz = target(name)

    @settings(max_examples=300, deadline=None)
    @given(st.one_of(st.binary(max_size=300), WORDS))
    def holds(data: bytes) -> None:
        fuzz(data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    fuzz = target(name)
    seeds = sorted((FUZZ / "corpus" / name).glob("seed-*"))
    assert len(seeds) > 5
    for path in seeds:
        data = path.read_bytes()
        fuzz(data)
        for cut in range(0, len(data), 7):
            fuzz(data[:cut])
            fuzz(data[:cut] + data[cut + 1 :])
