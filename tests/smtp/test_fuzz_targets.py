"""The fuzz targets, with hypothesis at the helm: any bytes, any cut, and dialogues put together from their lines."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mox_smtp.testing.texts import dialogues

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


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 255), dialogues())
def test_dialogues(first: int, said: bytes) -> None:
    target("smtp_session")(bytes([first]) + said)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_to_the_server(data: bytes) -> None:
    target("smtp_session")(data)


CODES = st.sampled_from(["220", "250", "235", "334", "354", "421", "451", "550", "250-", "999", "2"])
WORDS = st.sampled_from([
    "", " ok", "PIPELINING", "CHUNKING", "STARTTLS", "SIZE 10", "AUTH PLAIN SCRAM-SHA-256 LOGIN", "LIMITS RCPTMAX=1 MAILMAX=1", " eA==",
    "AUTH=LOGIN", "DSN", " 2.0.0 x", "SMTPUTF8",
])  # fmt: skip
SAID = st.lists(st.tuples(CODES, WORDS).map(lambda two: f"{two[0]}{two[1]}\r\n".encode()), max_size=25).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 7), SAID)
def test_replies_to_the_client(first: int, said: bytes) -> None:
    target("smtp_client")(bytes([first]) + said)
    target("smtp_client")(bytes([first]) + b"220 hi\r\n250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n" + said)


LINES = st.lists(
    st.sampled_from([b".", b"..", b"x", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n.", b"\0"]), max_size=20
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=120), LINES, dialogues(1)))
def test_texts(data: bytes) -> None:
    target("smtp_texts")(data)
