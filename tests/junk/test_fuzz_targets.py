"""The fuzz targets hold for what hypothesis draws; atheris goes on from there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("junk_*.py"))
PIECES = [
    *(
        b"Subject: ",
        b"From: ",
        b"Content-Type: text/html\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"--b\r\n",
    ),
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"<p>",
        b"<script>",
        b"word ",
        b"don't ",
        b"'",
        b"1234 ",
        b"0x",
        b"\xe6\x97\xa5",
        b"\xff",
        b"=?utf-8?q?",
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

    @settings(max_examples=100, deadline=None)
    @given(st.one_of(st.binary(max_size=300), WORDS))
    def holds(data: bytes) -> None:
        fuzz(data)

    holds()
