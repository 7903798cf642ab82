"""The door: everything that it names is there, and little is behind it until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mox_message

LATER = ("compose", "authres", "text", "html", "thread", "sender", "dsn", "arf")


def test_every_name() -> None:
    for name in mox_message.__all__:
        assert getattr(mox_message, name) is not None
    assert set(mox_message.__all__) <= set(dir(mox_message))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mox_message.nothing  # noqa: B018


def test_what_is_rarely_needed_comes_later() -> None:
    code = "import sys, mox_message; print(*sorted(n for n in sys.modules if n.startswith('mox_message.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("mox_message.") for name in done.stdout.split()}
    assert not loaded & set(LATER)
    assert "email" not in loaded
