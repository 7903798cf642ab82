"""The fuzz target, with hypothesis at the helm."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]


def target(name: str) -> Callable[[bytes], None]:
    path = ROOT / "fuzz" / f"{name}.py"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fuzz  # type: ignore[no-any-return]


PIECES = st.sampled_from([
    b"n,,n=ann,r=abcdefghijklmnopqrst", b"y,,n=ann,r=abcdefghijklmnopqrst", b"p=tls-exporter,,n=ann,r=abcdefghijklmnopqrst",
    b"c=biws,r=abcdefghijklmnopqrst" + b"n" * 18 + b",p=eA==", b"r=" + b"m" * 19 + b",s=c2FsdA==,i=4096", b"v=eA==", b"e=other-error",
    b"\0ann\0x", b"ann", b"n,a=ann,\x01auth=Bearer x\x01\x01", b"user=ann\x01auth=Bearer x\x01\x01", b"ann " + b"0" * 32, b"", b"\x01", b"<1@x>",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 255), st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=6))
def test_exchanges(first: int, answers: list[bytes]) -> None:
    target("sasl_exchange")(bytes([first]) + b"\xff".join(answers))
