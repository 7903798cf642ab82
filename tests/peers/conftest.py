"""One world for all tests that need it; its marks keep them in one process, so that it is started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kit.world import World
from kit.world import world as make_world


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """DNS, Postfix and moxd; see kit/world.py."""
    with make_world() as made:
        yield made
