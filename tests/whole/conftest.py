"""moxd as a program, with a DNS that knows the domains of the tests and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from kit.server import Moxd, configure, moxd
from kit.stubdns import stub_dns

RECORDS = {
    "sender.test TXT": ["v=spf1 ip4:127.0.0.0/8 -all"],
    "_dmarc.sender.test TXT": ["v=DMARC1; p=reject"],
    "forged.test TXT": ["v=spf1 -all"],
    "_dmarc.forged.test TXT": ["v=DMARC1; p=reject"],
}

Start = Callable[..., Moxd]


@pytest.fixture
def dns() -> Iterator[str]:
    """Where DNS is asked."""
    with stub_dns(RECORDS) as where:
        yield where


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not: servers become other users."""
    with TemporaryDirectory(prefix="mox-whole-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def start(public: Path, dns: str) -> Iterator[Start]:
    """start(workers=…, extra=…): configures (the first time) and runs a moxd, which ends with the test."""
    with ExitStack() as stack:
        made: dict[str, Any] = {}

        def run(**settings: Any) -> Moxd:
            folder = public / "moxd"
            if not made:
                settings.setdefault("extra", "connections_per_minute = 0")
                made.update(configure(folder, dns=dns, **settings))
            return stack.enter_context(moxd(folder, made))

        yield run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moxd]:
    """One moxd of two workers for all tests of a file."""
    folder = tmp_path_factory.mktemp("moxd") / "moxd"
    with stub_dns(RECORDS) as dns:
        ports = configure(folder, dns=dns, workers=2, extra="connections_per_minute = 0")
        with moxd(folder, ports) as running:
            yield running
