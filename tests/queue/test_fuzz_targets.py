"""The fuzz target, with hypothesis at the helm."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
SEEDS = sorted((ROOT / "fuzz" / "corpus" / "queue_replies").glob("*"))


def target() -> Callable[[bytes], None]:
    path = ROOT / "fuzz" / "queue_replies.py"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    spec = importlib.util.spec_from_file_location("queue_replies", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fuzz  # type: ignore[no-any-return]


FIELDS = st.sampled_from([
    b"Final-Recipient: rfc822; ab@x.example\r\n", b"Final-Recipient: utf-8; \\x{fc}@x\r\n", b"Action: failed\r\n", b"Action: expanded\r\n",
    b"Action: x\r\n", b"Status: 5.1.1\r\n", b"Status: (x)\r\n", b"Diagnostic-Code: smtp; 550\r\n\tnobody\r\n", b"\r\n", b"Original-Recipient: ;\r\n",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(FIELDS, st.binary(max_size=30)), max_size=12))
def test_notices(pieces: list[bytes]) -> None:
    head = b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    target()(b"\1" + head + b"".join(pieces) + b"\r\n--b--\r\n")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_anything(data: bytes) -> None:
    target()(data)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_seeds(seed: Path) -> None:
    target()(seed.read_bytes())
