"""The fuzz targets hold for what hypothesis draws; atheris goes on from there."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.certificates import make

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("dane_*.py"))
ROOT = make("Root", ca=True)
LEAF = make("leaf", ROOT, names=["a.example"])
WHOLE = len(LEAF.der).to_bytes(2, "big") + b"\x02\x00" + LEAF.der + ROOT.der


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A chain with a few octets changed."""
    data = bytearray(WHOLE)
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


def target(name: str) -> Callable[[bytes], None]:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        spec.loader.exec_module(module)
    fuzz: Callable[[bytes], None] = module.fuzz
    return fuzz


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    fuzz = target(name)

    @settings(max_examples=300, deadline=None)
    @given(st.one_of(st.binary(max_size=300), bent(), st.text("0123 abcdef", max_size=40).map(str.encode)))
    def holds(data: bytes) -> None:
        fuzz(data)

    holds()
