"""The fuzz targets hold for what hypothesis draws; atheris goes on from there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).resolve().parents[2] / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("spf_*.py"))

PIECES = [
    *(
        b" ",
        b"\0",
        b"=",
        b":",
        b"/",
        b"//",
        b".",
        b"%",
        b"%{",
        b"}",
        b"(",
        b")",
        b'"',
        b"\\",
        b";",
        b"\xff",
        b"9",
        b"-",
    ),
    *(b"all", b"a", b"mx", b"ptr", b"include:", b"exists:", b"ip4:192.0.2.0", b"ip6:::", b"redirect=", b"exp="),
    *(b"a.example", b"b.example", b"%{d}", b"%{ir}", b"%{l1r-}", b"%{p}", b"/24", b"//64", b"u@", b"~", b"?", b"x=y"),
]
WORDS = st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join)


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

    @settings(max_examples=150, deadline=None)
    @given(st.one_of(st.binary(max_size=200), WORDS))
    def holds(data: bytes) -> None:
        fuzz(data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
def test_seeds(name: str) -> None:
    fuzz = target(name)
    seeds = sorted((FUZZ / "corpus" / name).iterdir())
    assert len(seeds) > 3
    for seed in seeds:
        fuzz(seed.read_bytes())
