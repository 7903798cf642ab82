"""Several clients in one mailbox of a server with two workers: at every checkpoint all have been told the same."""

from __future__ import annotations

import asyncio

import pytest

from kit.imap_stress import stress
from kit.server import PASSWORD
from kit.world import trusting
from whole.conftest import Start

pytestmark = [pytest.mark.xdist_group("serve"), pytest.mark.timeout(120)]


@pytest.mark.parametrize("reopens", [True, False])
def test_everybody_sees_the_same_at_once(start: Start, reopens: bool) -> None:
    server = start(workers=2)
    counts = asyncio.run(
        stress(
            server.address, server.ports["imaps"], f"you@{server.domain}", PASSWORD, clients=6, seconds=8.0,
            seed=3 + reopens, tls=trusting(server), checkpoint=0.3, reopens=reopens,
        )
    )  # fmt: skip
    assert counts["checkpoint"] > 5
