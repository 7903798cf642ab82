"""The fuzz targets hold for what hypothesis draws; atheris goes on from there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("store_*.py"))
PIECES = [
    *(b"From ", b"From kim Thu Jan  1 00:00:00 1970", b"\n", b"\r\n", b"\n\n", b">From ", b"Status: RO", b"X-Status: ", b":"),
    *(b"X-Keywords: a b", b"Subject: x", b"References: <a@b>", b"/", b"..", b"/private/", b"cur/", b".mbox", b"inbox", b"*"),
    *(b"\xff", b"\0", b"\xe2\x80\xa8", b"#", b"a"),
]  # fmt: skip
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
