"""The fuzz targets hold for what hypothesis draws; atheris goes on from there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("tlsrpt_*.py"))

PIECES = [
    *(b" ", b"\t", b"\r\n", b";", b"=", b",", b"{", b"}", b"[", b"]", b":", b'"', b"x", b"\xff", b"\0", b"7", b"null"),
    *(b"rua=", b"mailto:", b"https://a.example/", b"%41", b"a@b.example", b"base64\r\n\r\n", b"7bit\r\n\r\n"),
    *(b'"policy":', b'"summary":', b'"policy-type":"sts"', b'"failure-details":', b'"result-type":"x"', b"--x\r\n"),
    *(b'"total-failure-session-count":', b'"\r\nBcc: x\r\n\r\n"', b'"report-id":"\\r\\nBcc: x"'),
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
