"""The same of a whole server: two workers take mail by SMTP and IMAP, the power goes at any moment, and after every 250
and every tagged OK that a client has seen, what it stands for is there."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

import mox_store
from faults.audit import Fate, Rebuilt, fates
from faults.serve import wire
from faults.test_powercut import EVERYTHING, MEMORY, scratch
from kit.powercut import Recorder, Recording, survivals
from kit.processes import free_port
from mox_store import check

__all__ = ["scratch"]
pytest.importorskip("moxd", reason="the server is not installed here")
SERVE = Path(__file__).with_name("serve.py")


def audit(folder: Path, lines: Iterable[str]) -> list[str]:
    """Everything that is not as it was acknowledged."""
    found_out = fates(lines)
    if not folder.is_dir():
        return [f"{token}: no accounts at all" for token, fate in found_out.items() if fate.did]
    store = mox_store.Store(folder, clock=lambda: 1_700_000_000.0, disk=Rebuilt())
    wrong: list[str] = []
    there: dict[str, list[tuple[str, bool]]] = {}
    for name in store.names():
        account = store.open(name)
        report = check.check(account)
        wrong += [] if report.clean else [report.explain()]
        for mailbox in account.mailboxes():
            view = account.open_view(mailbox.id)
            flagged = {
                uid: bool(bits & mox_store.Flag.FLAGGED) for uid, bits in zip(view.uids, view.flags, strict=True)
            }
            for row in account.rows(mailbox.id, list(flagged)):
                data = account.content(row.message).read()
                token = data.partition(b"X-Token: ")[2].partition(b"\r\n")[0].decode()
                there.setdefault(token, []).append((mailbox.name, flagged[row.uid]))
                wrong += [] if data.endswith(wire(token)) else [f"{token}: not what was sent"]
            account.close_view(view)
    store.close()
    for token, fate in found_out.items():
        wrong += [f"{token}: {what}" for what in _judge(fate, there.pop(token, []))]
    return wrong + [f"{token!r} came from nowhere" for token in there]


def said(recording: Recording, moment: int) -> list[str]:
    """Our lines; the server itself writes to its standard output, too."""
    return [line for line in recording.acknowledged(moment) if line.startswith(("try ", "did "))]


def _judge(fate: Fate, found: list[tuple[str, bool]]) -> Iterable[str]:
    if len(found) > 1:
        yield f"there {len(found)} times: {found}"
    if "add" in fate.did and "expunge" not in fate.tried and not found:
        yield "acknowledged, and gone"
    if "expunge" in fate.did and found:
        yield f"acknowledged as expunged, and there: {found}"
    for mailbox, flagged in found:
        if "flag" in fate.did and not flagged:
            yield "lost its flag"
        if "move" in fate.did and mailbox != "Archive":
            yield f"acknowledged as moved, and in {mailbox}"


@pytest.mark.timeout(0 if EVERYTHING else 120)
def test_after_any_250_or_tagged_ok(tmp_path: Path, scratch: Path) -> None:
    rng = random.Random(5)
    root = tmp_path / "served"
    root.mkdir()
    # Ports are standard ones plus a number; below it another test's may be.
    ports = free_port() % 20_000 + 20_000
    arguments = [sys.executable, str(SERVE), str(root), str(ports), "40" if EVERYTHING else "12"]
    environment = {**os.environ, "PYTHONPATH": str(SERVE.parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    recorder = Recorder(arguments, tmp_path / "strace.log", environment)
    try:
        recorder.wait(100)
    finally:
        recorder.kill()
    recording = Recording.read(tmp_path / "strace.log", root)
    end = len(recording.events)
    assert sum(line.startswith("did") for line in said(recording, end)) >= 48
    cuts = [cut for cut in recording.sharp_cuts() if said(recording, cut)]
    tried = 0
    for moment in cuts if EVERYTHING else sorted(rng.sample(cuts, 40)):
        for survival in survivals(rng, 3 if EVERYTHING else 1):
            folder = scratch / "disk"
            shutil.rmtree(folder, ignore_errors=True)
            recording.disk(moment, survival, folder)
            wrong = audit(folder / "data" / "accounts", said(recording, moment))
            assert not wrong, f"cut at event {moment} of {end}, {survival.name}: {wrong}"
            tried += 1
    print(f"{end} events, {len(said(recording, end))} lines said, {tried} disks")
    assert MEMORY is not None
